"""Llama 3.1 405B planned in a blink; a small Llama of its shape made and checked.

`ij.plan` says what every tensor of a model will get before a byte is allocated: which
rule, which law, its fans, its standard deviation, over how many devices. You see the
plan of all 1,137 tensors of Llama 3.1 405B under `recipes.llama`, on one device and on
a mesh of eight simulated ones, and what wrong rules are told. Then `ij.init_tree` makes
a small Llama with the same names on one device and on the mesh, and every weight is
held against the plan.

    pip install "initjax[examples]"
    python examples/rules_llm.py
"""

from __future__ import annotations

import math
import os
import re
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

# read as JAX starts, so set before; of two flags the last holds
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from rich import box
from rich.console import Console
from rich.table import Table

import initjax as ij
from initjax import recipes

CONSOLE = Console(width=100, highlight=False)  # fixed: a piped table stays readable
LIMIT = 5.0  # standard errors; chance alone exceeds it once in 1.7 million
Shapes = dict[str, jax.ShapeDtypeStruct]
Weights = dict[str, jax.Array]

# -- the model: its names and shapes are all that is needed --------------------------


class Llama(NamedTuple):
    """The widths of a Llama."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    mlp: int
    vocab: int


LLAMA_405B = Llama(16384, 126, 128, 8, 128, 53248, 128256)
SMALL = Llama(256, 4, 8, 2, 32, 832, 1024)


def parameters(m: Llama) -> Shapes:
    """Return every tensor by its name in PyTorch, its shape (outputs, inputs)."""
    query, kv = m.heads * m.head, m.kv_heads * m.head
    layer = {
        "input_layernorm": (m.hidden,),
        "self_attn.q_proj": (query, m.hidden),
        "self_attn.k_proj": (kv, m.hidden),
        "self_attn.v_proj": (kv, m.hidden),
        "self_attn.o_proj": (m.hidden, query),
        "post_attention_layernorm": (m.hidden,),
        "mlp.gate_proj": (m.mlp, m.hidden),
        "mlp.up_proj": (m.mlp, m.hidden),
        "mlp.down_proj": (m.hidden, m.mlp),
    }
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens": (m.vocab, m.hidden)}
    for i in range(m.layers):
        shapes |= {f"model.layers.{i}.{name}": layer[name] for name in layer}
    shapes |= {"model.norm": (m.hidden,), "lm_head": (m.vocab, m.hidden)}
    return {
        f"{name}.weight": jax.ShapeDtypeStruct(shape, jnp.bfloat16)
        for name, shape in shapes.items()
    }


def shardings(tree: Shapes) -> dict[str, NamedSharding]:
    """Return how every tensor is cut over two by four devices."""
    mesh = Mesh(np.array(jax.devices()).reshape(2, 4), ("data", "model"))

    def spec(name: str, rank: int) -> PartitionSpec:
        if rank == 1:
            return PartitionSpec()  # copied to every device
        if re.search(r"\.(o_proj|down_proj)\.", name):
            return PartitionSpec("data", "model")
        return PartitionSpec("model", "data")

    return {
        name: NamedSharding(mesh, spec(name, len(x.shape))) for name, x in tree.items()
    }


# -- plans ---------------------------------------------------------------------------


def table(title: str, left: str, right: str) -> Table:
    """Return an empty table, the columns of `right` flush right."""
    new = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    new.title_justify, new.show_edge = "left", False
    for name in left.split():
        new.add_column(name, no_wrap=True)
    for name in right.split():
        new.add_column(name.replace("_", " "), justify="right")
    return new


def role(path: str) -> str:
    """Return a path without its numbers: model/layers/*/mlp/up_proj/weight."""
    return re.sub(r"\d+", "*", path)


def plan_whole(rules: ij.Rules, tree: Shapes) -> int:
    """Plan the model; return its number of parameters."""
    before, start = len(jax.live_arrays()), time.perf_counter()
    plan = ij.plan(rules, tree)
    seconds = time.perf_counter() - start
    assert len(jax.live_arrays()) == before
    print(plan)
    print(f"planned in {seconds:.2f} s, nothing allocated\n")
    print(plan.explain("model.layers.7.mlp.down_proj.weight"), end="\n\n")
    assert len(plan.rows) == 1137
    return plan.parameters


def plan_sharded(rules: ij.Rules, tree: Shapes) -> None:
    """Plan the model over eight devices, and show what each will hold."""
    cut = shardings(tree)
    plan = ij.plan(rules, tree, shardings=cut)
    assert plan.fingerprint == ij.plan(rules, tree).fingerprint  # the same weights
    homes = {name.replace(".", "/"): sharding for name, sharding in cut.items()}
    roles: defaultdict[str, list[Any]] = defaultdict(list)
    for row in plan.rows:
        roles[role(row.path)].append(row)
    shown = table("The same over 2 x 4 devices", "path spec shard", "n devices GB_each")
    total = 0.0
    for path, rows in roles.items():
        home, row = homes[rows[0].path], rows[0]
        shard = home.shard_shape(row.shape)
        each = len(rows) * row.bytes * math.prod(shard) / math.prod(row.shape) / 1e9
        total += each
        size = "x".join(map(str, shard))
        numbers = str(len(rows)), str(row.shards), f"{each:.3f}"
        shown.add_row(path, ", ".join(map(str, home.spec)) or "whole", size, *numbers)
    CONSOLE.print(shown)
    print(f"{total:.1f} GB on each device, of {plan.bytes / 1e9:.1f} GB\n")


def show_refusals(rules: ij.Rules, tree: Shapes, key: jax.Array) -> None:
    """Ask for all 405 billion with wrong rules, which are refused at once."""
    experts = ij.Spec(ij.HeNormal(), fan=ij.Fan.layout("boi"))
    wrong = {
        "a misspelled path": ij.Rules([("**/self_atn/q_proj/*", "zeros")]) + rules,
        "a rule is lacking": ij.Rules(rules.rules[:-1]),
        "a matrix is no stack": ij.Rules([("**/up_proj/weight", experts)]) + rules,
    }
    before = len(jax.live_arrays())
    for title, bad in wrong.items():
        try:
            ij.init_tree(bad, tree, key)
        except ValueError as error:
            print(f"{title}: {error}", end="\n\n")
        else:
            raise AssertionError(f"{title}: not refused")
    # of 812 GB, none: reading the key may keep its two words
    assert len(jax.live_arrays()) <= before + 1


# -- a small Llama, made -------------------------------------------------------------


def timed(title: str, make: Callable[[], Weights]) -> Weights:
    """Call for the first time, so compile and run; print the seconds."""
    start = time.perf_counter()
    weights = jax.block_until_ready(make())
    print(f"{title:<14}{time.perf_counter() - start:6.2f} s")
    return weights


def same_bits(a: jax.Array, b: jax.Array) -> bool:
    """Tell whether two arrays have the same shape, dtype and bits."""
    x, y = np.asarray(a), np.asarray(b)
    same = x.shape == y.shape and x.dtype == y.dtype
    return same and x.tobytes() == y.tobytes()


def errors_off(row: Any, weight: jax.Array) -> tuple[float, float]:
    """Return the standard deviation, and by how many standard errors a weight is off.

    Of mean and standard deviation, the larger; the law of a random weight is normal.
    """
    x = np.asarray(weight, np.float64)
    mean, std = x.mean(), x.std()
    if row.std == 0:  # every entry is promised
        return std, 0.0 if std == 0 and mean == row.mean else math.inf
    off_mean = abs(mean - row.mean) / (row.std / math.sqrt(x.size))
    off_std = abs(std - row.std) / (row.std / math.sqrt(2 * x.size))
    return std, float(np.nan_to_num(max(off_mean, off_std), nan=math.inf))


def audit(plan: Any, one: Weights, eight: Weights) -> int:
    """Hold every weight, on one device and on eight, to the plan; return how many.

    The table has one row for each role, with the weight of it that is furthest off.
    """
    names = {name.replace(".", "/"): name for name in one}
    worst: dict[str, tuple[float, float, Any]] = {}
    for row in plan.rows:
        name = names[row.path]
        assert same_bits(one[name], eight[name]), f"{name}: other bits on the mesh"
        std, z = errors_off(row, one[name])
        assert z <= LIMIT, f"{name}: off by {z:.1f} standard errors"
        if (at := role(row.path)) not in worst or z > worst[at][1]:
            worst[at] = std, z, row
    shown = table("A small Llama", "path shape", "promised_std observed z")
    for path, (std, z, row) in worst.items():
        size = "x".join(map(str, row.shape))
        shown.add_row(path, size, f"{row.std:.5f}", f"{std:.5f}", f"{z:.1f}")
    CONSOLE.print(shown, "")
    return len(plan.rows)


def make_small(model: Llama, key: jax.Array) -> int:
    """Make a small model on one device and on eight; return how many weights hold."""
    rules, tree = recipes.llama(model.layers, layout="oi"), parameters(model)
    cut = shardings(tree)
    one = timed("on 1 device", lambda: ij.init_tree(rules, tree, key))
    eight = timed("on 8 devices", lambda: ij.init_tree(rules, tree, key, shardings=cut))
    assert all(eight[name].sharding == cut[name] for name in tree)
    print(f"fingerprint on 1: {ij.fingerprint(one)[:32]}...")
    print(f"fingerprint on 8: {ij.fingerprint(eight)[:32]}...\n")
    assert ij.fingerprint(one) == ij.fingerprint(eight)
    held = audit(ij.plan(rules, tree), one, eight)

    # one weight alone, as for a look at it, is that of the whole; the rest stay shapes
    name = "model.layers.2.mlp.up_proj.weight"
    alone = ij.init_tree(rules, tree, key, only=name)
    assert same_bits(alone[name], one[name])
    assert all(alone[other] is tree[other] for other in tree if other != name)
    return held


def main() -> None:
    """Plan the large model, be refused, make the small one."""
    key = jax.random.key(0)
    tree = parameters(LLAMA_405B)
    rules = recipes.llama(LLAMA_405B.layers, layout="oi")
    planned = plan_whole(rules, tree)
    assert planned == 405_853_388_800
    plan_sharded(rules, tree)
    show_refusals(rules, tree, key)
    held = make_small(SMALL, key)
    print(
        f"{planned:,} parameters planned; all {held} weights of the small one hold "
        "their law on 1 and 8 devices"
    )


if __name__ == "__main__":
    main()
