"""A deep ensemble on eight devices: members that do not depend on how many there are.

Thirty-two Flax networks are made at once by `ij.init_ensemble`, four on each of eight
simulated devices, and trained together on a curve with a gap in its data. Their mean
predicts and their spread warns: it is small where data was seen and grows away from it.
Before that you see what the members promise: each has the bits that it has alone, and
those it has in an ensemble of eight, so that an ensemble can grow; no two are alike.

    pip install "initjax[examples]"
    python examples/ensemble.py
"""

from __future__ import annotations

import math
import os
import re
import time
from typing import Any

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

try:
    import flax.linen as nn
    import optax
except ImportError:
    raise SystemExit('needs: pip install "initjax[examples]"') from None

CONSOLE = Console(width=100, highlight=False)  # fixed: a piped table stays readable
LIMIT = 5.0  # standard errors; chance alone exceeds it once in 1.7 million
FEW, MANY = 8, 32
STEPS = 600


class Regressor(nn.Module):
    """A small network of one input and one output."""

    width: int = 64

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the prediction at every point of x (points, 1)."""
        for _ in range(2):
            x = nn.relu(nn.Dense(self.width)(x))
        return nn.Dense(1)(x)


MODEL = Regressor()

# biases spread the kinks of the first layer over the inputs; else all are at 0
RULES = ij.Rules(
    [
        ("Dense_0/bias", ij.RandomUniform(-3.0, 3.0)),
        ("**/bias", "zeros"),
        ("**/kernel", "he_normal"),
    ]
)


def init(key: jax.Array) -> Any:
    """Return Flax's own parameters of one member."""
    return MODEL.init(key, np.zeros((1, 1), np.float32))["params"]


# -- what members promise ------------------------------------------------------------


def same_bits(a: Any, b: Any) -> bool:
    """Tell whether two trees have the same paths, shapes, dtypes and bits."""
    return ij.fingerprint(a) == ij.fingerprint(b) and all(
        np.asarray(x).tobytes() == np.asarray(y).tobytes()
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def check_members(abstract: Any, many: Any, key: jax.Array) -> None:
    """Hold members to what they are alone, and in a smaller ensemble."""
    few = ij.init_ensemble(RULES, abstract, key, FEW)
    for i in range(FEW):
        solo = ij.init_tree(RULES, abstract, ij.member_key(key, i))
        assert same_bits(solo, ij.member(few, i))
        assert same_bits(solo, ij.member(many, i))
    print(f"members 0 to {FEW - 1}: the same bits alone, of {FEW}, and grown to {MANY}")


def check_apart(abstract: Any, many: Any) -> None:
    """Hold members to be as little alike as independent ones are."""
    stds = {row.path: row.std for row in ij.plan(RULES, abstract).rows}
    rows = [
        np.reshape(x, (MANY, -1)) / std
        for path, x in jax.tree_util.tree_leaves_with_path(many)
        if (std := stds[jax.tree_util.keystr(path, simple=True, separator="/")])
    ]  # of one standard deviation; what is constant says nothing
    entries = np.concatenate(rows, axis=1)
    alike = np.abs(np.corrcoef(entries) - np.eye(MANY)).max()
    bound = LIMIT / math.sqrt(entries.shape[1])
    pairs = MANY * (MANY - 1) // 2
    print(f"{pairs} pairs of members: correlation at most {alike:.3f} < {bound:.3f}")
    assert alike < bound


def check_function(key: jax.Array) -> None:
    """Make an ensemble of Flax's own initialization, without rules."""
    own = ij.init_ensemble(init, None, key, FEW)
    alone = jax.jit(init)
    for i in range(FEW):
        assert same_bits(ij.member(own, i), alone(ij.member_key(key, i)))
    print(f"{FEW} members of model.init: the same bits as jax.jit(model.init) alone")


def check_refusal(abstract: Any) -> None:
    """Ask with a key of another kind, whose numbers depend on the company."""
    key = jax.random.key(0, impl="rbg")
    try:
        ij.init_ensemble(RULES, abstract, key, FEW)
    except ValueError as error:
        print(f"an rbg key is refused: {error}\n")
    else:
        raise AssertionError("an rbg key is not refused")


# -- a curve, learned jointly --------------------------------------------------------


def curve(x: Any) -> Any:
    """Return what is to be learned."""
    return np.sin(2 * x) + 0.3 * x


def data() -> tuple[jax.Array, jax.Array]:
    """Return noisy points of the curve, with a gap in the middle."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-3, -1, 40), rng.uniform(1, 3, 40)])[:, None]
    y = curve(x) + 0.05 * rng.standard_normal(x.shape)
    return jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)


def loss_of(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    """Return the mean squared error of one member."""
    return jnp.square(MODEL.apply({"params": params}, x) - y).mean()


@jax.jit
def train(members: Any, x: jax.Array, y: jax.Array) -> tuple[Any, jax.Array, jax.Array]:
    """Train all members; return them, and the loss of each before and after."""
    optimizer = optax.adam(3e-3)

    def train_one(params: Any) -> Any:
        def step(_: Any, carry: Any) -> Any:
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss_of)(params, x, y), state)
            return optax.apply_updates(params, updates), state

        start = params, optimizer.init(params)
        trained, _ = jax.lax.fori_loop(0, STEPS, step, start)
        return trained, loss_of(params, x, y), loss_of(trained, x, y)

    return jax.vmap(train_one)(members)


def predict(members: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the standard deviation of the members at every point."""
    apply = jax.jit(jax.vmap(lambda p: MODEL.apply({"params": p}, x)[:, 0]))
    y = np.asarray(apply(members))
    return y.mean(axis=0), y.std(axis=0)


def show(members: Any) -> tuple[float, float]:
    """Print predictions; return the typical spread among the data and away from it."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.show_edge = False
    for name in ("x", "truth", "mean", "spread"):
        table.add_column(name, justify="right")
    table.add_column("")
    x = np.arange(-6, 6.1, 0.5, dtype=np.float32)
    mean, spread = predict(members, x[:, None])
    seen = (np.abs(x) >= 1) & (np.abs(x) <= 3)
    for row in zip(x, curve(x), mean, spread, seen, strict=True):
        *numbers, has_data = row
        texts = (f"{number:.2f}" for number in numbers)
        table.add_row(*texts, "data" if has_data else "#" * round(10 * row[3]))
    CONSOLE.print(table, "")
    return float(spread[seen].mean()), float(spread[~seen].mean())


def main() -> None:
    """Make an ensemble, hold it to its promises, train it, and let it predict."""
    key = jax.random.key(0)
    abstract = jax.eval_shape(init, key)
    mesh = Mesh(np.array(jax.devices()), ("ensemble",))
    home = NamedSharding(mesh, PartitionSpec("ensemble"))
    start = time.perf_counter()
    members = ij.init_ensemble(RULES, abstract, key, MANY, shardings=home)
    jax.block_until_ready(members)
    print(f"{MANY} members made in {time.perf_counter() - start:.2f} s")
    for x in jax.tree.leaves(members):
        assert [s.data.shape for s in x.addressable_shards] == [(4, *x.shape[1:])] * 8

    check_members(abstract, members, key)
    check_apart(abstract, members)
    check_function(key)
    check_refusal(abstract)

    start = time.perf_counter()
    program = train.lower(members, *data()).compile()
    trained, before, after = jax.block_until_ready(program(members, *data()))
    for x in jax.tree.leaves(trained):
        assert x.sharding.is_equivalent_to(home, x.ndim)
    moves = re.findall(r"all-\w+|collective-\w+|reduce-scatter", program.as_text())
    assert not moves, f"devices wait for each other: {moves}"
    seconds = time.perf_counter() - start
    print(f"trained together in {seconds:.1f} s, no device waits for another")
    assert after.max() < 0.05 < before.min()
    print(f"largest loss: {before.max():.3f} before, {after.max():.4f} after\n")
    inside, outside = show(trained)
    assert outside > 5 * inside
    print(
        f"{MANY} members on 8 devices, each as it is alone: "
        f"spread {inside:.2f} at the data, {outside:.2f} away from it"
    )


if __name__ == "__main__":
    main()
