"""Plans and fingerprints: what will be made, and what was."""

import contextlib
import dataclasses
import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from tools import COLLECTIVES, VERSION, count_compilations

import initjax as ij
from initjax import Fan, Rules, Spec
from initjax._engine import blocks, cost
from initjax._rules import fill as filling
from initjax._rules import fingerprint as _fingerprint


def struct(*shape, dtype="float32"):
    return jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))


def plain(key, shape, dtype):
    return jnp.zeros(shape, dtype)


TREE = {
    "embed": {"table": struct(100, 8, dtype="bfloat16")},
    "layers": [
        {
            "qkv": struct(8, 24),
            "out": struct(8, 8),
            "up": struct(8, 32),
            "norm": struct(8),
        }
        for _ in range(3)
    ],
    "head": struct(8, 100),
    "extra": struct(2, 2),
}
GROUPED = Fan.fused({"q": 16, "k": 4, "v": 4}, axis=1)
RULES = Rules(
    [
        ("embed/table", Spec(ij.RandomNormal(stddev=0.5), fan=Fan.embedding())),
        ("**/qkv", Spec("glorot_normal", fan=GROUPED)),
        ("**/out", ij.depth_scaled("lecun_normal", 3)),
        ("**/up", ij.HeUniform(in_axis=0, out_axis=1)),
        ("**/norm", "ones"),
        ("head", Spec(ij.Orthogonal(), stream="readout/0")),
        ("extra", plain),
    ]
)
FEW = (
    Rules([("{a,b}", "he_normal"), ("*", "zeros")]),
    {"a": struct(8, 16), "b": struct(16, 24), "bias": struct(16)},
)
PLAN = ij.plan(RULES, TREE)
ROWS = {row.path: row for row in PLAN.rows}

EXPECTED = {
    # path: rule, fans, how they were found, std, bytes
    "embed/table": ("'embed/table'", [(1, 8)], "Fan(", 0.5, 1600),
    "layers/0/qkv": (
        "'**/qkv'", [(8, 16), (8, 4)], "Fused(", (16 / 24 / 12 + 8 / 24 / 6) ** 0.5, 768
    ),
    "layers/0/out": ("'**/out'", [(8, 8)], "Keras's rule", 1 / 48**0.5, 256),
    "layers/1/up": ("'**/up'", [(8, 32)], "in_axis=(0,), out_axis=(1,)", 0.5, 1024),
    "layers/2/norm": ("'**/norm'", [], "none", 0.0, 32),
    "head": ("'head'", [], "none", 0.1, 3200),
    "extra": ("'extra'", [], "a function", None, 16),
}  # fmt: skip


@pytest.mark.parametrize("path", EXPECTED)
def test_a_row_says_what_a_leaf_gets(path):
    rule, fans, found, std, size = EXPECTED[path]
    row = ROWS[path]
    assert (row.rule, row.bytes, row.shards) == (rule, size, 1)
    assert list(dict.fromkeys(map(tuple, row.fans))) == fans
    assert row.fans_from.startswith(found)
    assert row.std == (None if std is None else pytest.approx(std, rel=1e-12))


def test_streams_are_paths_unless_the_rule_says_otherwise():
    assert ROWS["layers/0/qkv"].stream == ("layers", 0, "qkv")
    assert ROWS["head"].stream == ("readout", 0)


def test_the_table_has_one_line_for_leaves_alike_and_totals_per_rule():
    lines = str(PLAN).splitlines()
    assert (
        lines[0].split() == "leaves path shape dtype law fan_in fan_out std way".split()
    )
    (qkv,) = [line for line in lines if "layers/*/qkv" in line]
    assert qkv.split() == [
        "3", "layers/*/qkv", "8x24", "float32", "GlorotNormal()", "8+8+8", "16+4+4",
        "0.3333", "program",
    ]  # fmt: skip
    (total,) = [line for line in lines if line.lstrip().startswith("3  '**/qkv'")]
    assert total.split() == ["3", "'**/qkv'", "576", "2.3", "kB"]
    assert lines[-1].startswith("15 leaves, 3,164 parameters, 11.1 kB, 6 programs, ")
    assert lines[-1].endswith(f", fingerprint {PLAN.fingerprint[:16]}")
    assert sum(r.bytes for r in PLAN.rows) == PLAN.bytes
    assert repr(PLAN).startswith("<TreePlan of 15 leaves, 3,164 parameters")


@pytest.mark.parametrize(
    ("paths", "shown"),
    [
        (["l/0/w", "l/1/w"], ["l/*/w"]),
        (["block_0/norm_1", "block_1/norm_1"], ["block_*/norm_1"]),
        (["block_0/Dense_0", "block_1/Dense_1"], ["block_*/Dense_*"]),
        (["block_7/w2"], ["block_7/w2"]),
        (["conv1/w", "conv2/w", "w1_5"], ["conv1/w", "conv2/w", "w1_5"]),
    ],
)
def test_a_line_has_a_star_for_each_numeral_that_differs(paths, shown):
    tree = {path: jax.ShapeDtypeStruct((2,), "float32") for path in paths}
    lines = str(ij.plan(Rules([("**", "ones")]), tree)).splitlines()[1:]
    assert [line.split()[1] for line in lines[: lines.index("")]] == shown
    with pytest.raises(ValueError, match=r"match no rule") as caught:
        ij.plan(Rules([]), tree)
    listed = str(caught.value).splitlines()[1:-1]
    assert [line.split()[0] for line in listed] == shown


def test_explain_says_why():
    text = PLAN.explain("layers.0.qkv")
    assert "rule    '**/qkv'" in text
    assert "(8, 16) + (8, 4) + (8, 4) (in, out), by Fused(" in text
    assert "fold_in_path(key, 'layers', 0, 'qkv')" in text
    assert text.endswith("way     program")
    with pytest.raises(KeyError, match=r"no such leaf; nearest is 'layers/0/qkv'"):
        PLAN.explain("layers/0/qqkv")


def test_a_plan_is_json():
    read = json.loads(PLAN.to_json())
    assert (read["parameters"], read["bytes"]) == (PLAN.parameters, PLAN.bytes)
    assert read["fingerprint"] == PLAN.fingerprint
    (row,) = [row for row in read["leaves"] if row["path"] == "layers/0/out"]
    assert ij.deserialize(row["law"]) == ij.depth_scaled("lecun_normal", 3)
    assert row["fans"] == [[8, 8]]
    assert (row["way"], read["compiled"]) == (ROWS["layers/0/out"].way, PLAN.compiled)


def test_shards_are_those_of_the_sharding():
    sharding = NamedSharding(jax.make_mesh((8,), ("x",)), P("x"))
    plan = ij.plan(
        RULES,
        TREE,
        shardings={"embed": None, "layers": sharding, "head": None, "extra": None},
    )
    shards = {row.path: row.shards for row in plan.rows}
    assert (shards["layers/0/up"], shards["head"]) == (8, 1)
    assert plan.fingerprint == PLAN.fingerprint


def test_a_plan_compiles_and_allocates_nothing(monkeypatch):
    """Of a tree no machine holds."""
    tree = {f"w{i}": struct(1 << 20, 1 << 20) for i in range(1000)}
    live = len(jax.live_arrays())
    monkeypatch.setattr(jax, "jit", None)
    plan = ij.plan(Rules([("**", "he_normal")]), tree)
    assert plan.bytes == 1000 * 4 << 40
    assert len(jax.live_arrays()) <= live


def in_mesh():
    if not hasattr(jax, "set_mesh"):
        pytest.skip("no mesh to be in")
    return jax.set_mesh(jax.make_mesh((8,), ("x",)))


def on_mesh():
    x = NamedSharding(jax.make_mesh((8,), ("x",)), P("x"))
    return {"a": x, "b": None, "bias": x}


PLAIN = contextlib.nullcontext
BLOCKS = "blocks" if VERSION >= (0, 9) else "program"
WAYS = {  # of a, b and bias: in what mode, where they live, and how much is large
    "small": (PLAIN, None, 400, [BLOCKS, BLOCKS, "host"]),
    "large": (PLAIN, None, 300, ["program", "program", "host"]),
    "rbg": (
        lambda: jax.default_prng_impl("rbg"),
        None,
        400,
        ["program"] * 2 + ["host"],
    ),
    "in a mesh": (in_mesh, None, 400, [BLOCKS, BLOCKS, "host"]),
    "on a mesh": (PLAIN, on_mesh, 400, [BLOCKS, BLOCKS, "host"]),
}


def assert_done(plan, make, monkeypatch):
    """A fresh process does what the plan says, and compiles as much."""
    made = []

    def ways_of(*args):
        made.extend(way.name for way in decide(*args))
        return decide(*args)

    decide = filling.ways_of
    jax.block_until_ready(make())  # what JAX itself needs is there
    monkeypatch.setattr(filling, "_COMPILED", {})
    monkeypatch.setattr(blocks, "_COMPILED", {})
    monkeypatch.setattr(filling, "ways_of", ways_of)
    assert count_compilations(lambda: jax.block_until_ready(make())) == plan.compiled
    assert [row.way for row in plan.rows] == made


@pytest.mark.parametrize("name", WAYS)
def test_a_plan_says_what_makes_each_leaf(name, monkeypatch):
    mode, shardings, large, ways = WAYS[name]
    where = shardings and shardings()
    monkeypatch.setattr(cost, "LARGE", large)
    with mode():
        plan = ij.plan(*FEW, shardings=where)
        assert [row.way for row in plan.rows] == ways
        assert_done(
            plan,
            lambda: ij.init_tree(*FEW, jax.random.key(0), shardings=where),
            monkeypatch,
        )


def test_a_plan_says_what_makes_a_model(monkeypatch):
    """Parts, factors, functions, constants and numbers that differ."""
    make = functools.partial(ij.init_tree, RULES, TREE)
    assert_done(PLAN, lambda: make(jax.random.key(0)), monkeypatch)


def instead(path, spec):
    return Rules([(path, spec)]) + RULES, TREE


CHANGES = {
    "a law": instead("extra", "zeros"),
    "a number": instead("head", Spec(ij.Orthogonal(2.0), stream="readout/0")),
    "a stream": instead("head", ij.Orthogonal()),
    "a shape": (RULES, TREE | {"head": struct(8, 101)}),
    "a dtype": (RULES, TREE | {"head": struct(8, 100, dtype="bfloat16")}),
    "a declaration": instead("**/up", Spec("he_uniform", fan=Fan.layout("oi"))),
    "a leaf": (RULES, TREE | {"layers": TREE["layers"][:2]}),
}


@pytest.mark.filterwarnings("ignore:rules without a leaf")
@pytest.mark.parametrize("change", CHANGES)
def test_another_plan_has_another_fingerprint(change):
    rules, tree = CHANGES[change]
    rules = Rules(rules.rules, strict=False)
    assert ij.plan(rules, tree).fingerprint != PLAN.fingerprint


def test_the_same_plan_has_the_same_fingerprint():
    """Whatever the order of leaves and rules; pinned, for it may be kept in files."""
    again = dict(reversed(TREE.items()))
    rules = Rules(tuple(reversed(RULES.rules)))
    assert ij.plan(rules, again).fingerprint == PLAN.fingerprint
    one = ij.plan(Rules([("w", "he_normal")]), {"w": struct(4, 6)})
    assert one.fingerprint == (
        "bb79e71310a40024b21d95b5b89c190272d7fda24dcc561167b2d168c18ed570"
    )


# -- laws of one's own --------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Mixed(ij.Initializer):
    """Not registered: holds laws and a function."""

    laws: Any = (ij.RandomNormal(), ij.Zeros())
    by: Any = jnp.sin

    def _sample(self, key, shape, dtype):
        return self.by(self.laws[0](key, shape, dtype))


OWN = {
    "itself": Mixed(),
    "another law": Mixed((ij.HeNormal(), ij.Zeros())),
    "another function": Mixed(by=jnp.cos),
    "scaled": ij.scaled(Mixed(), 0.5),
    "fused": Spec(Mixed(), fan=Fan.fused(2, axis=1)),
    "a function": plain,
}


def test_a_law_of_ones_own_is_shown_and_counts_by_name_and_fields():
    plans = {n: ij.plan(Rules([("w", x)]), {"w": struct(4, 6)}) for n, x in OWN.items()}
    assert len({plan.fingerprint for plan in plans.values()}) == len(OWN)
    for name, plan in plans.items():
        (row,) = json.loads(plan.to_json())["leaves"]
        assert ("Mixed" in str(plan)) == ("Mixed" in str(row["law"])), name
    row = json.loads(plans["itself"].to_json())["leaves"][0]["law"]
    assert row["class_name"] == f"{__name__}.Mixed"
    assert row["config"]["by"] == f"{jnp.sin.__module__}.sin"
    assert row["config"]["laws"][1] == ij.serialize(ij.Zeros())


# -- fingerprints of weights -----------------------------------------------------


def weights():
    rules = Rules([("**", ij.RandomNormal())])
    tree = {"a": struct(8, 16), "b": {"c": struct(16, dtype="bfloat16")}}
    return ij.init_tree(rules, tree, jax.random.key(0))


def test_a_fingerprint_is_of_content_not_of_order_container_or_place():
    tree, mesh = weights(), jax.make_mesh((4, 2), ("x", "y"))
    wanted = ij.fingerprint(tree)
    assert ij.fingerprint({"b.c": tree["b"]["c"], "a": np.asarray(tree["a"])}) == wanted
    for spec in (P(("x", "y")), P(None, "x"), P("y", "x"), P()):
        placed = jax.device_put(tree["a"], NamedSharding(mesh, spec))
        assert ij.fingerprint(tree | {"a": placed}) == wanted
    assert ij.fingerprint({"w": jnp.arange(6.0).reshape(2, 3)}) == (
        "23c1ea40dd8f5db26b1b952e76b9f8e952c3b24ad39653fccc4015198682a523"
    )


SWAPPED = {
    "one bit": lambda a: a.at[3, 4].add(jnp.finfo("float32").eps * a[3, 4]),
    "two entries": lambda a: a.at[0, 0].set(a[0, 1]).at[0, 1].set(a[0, 0]),
    "the sign of a zero": lambda a: a.at[0, 0].set(-0.0),
    "the shape": lambda a: a.reshape(16, 8),
    "the dtype": lambda a: a.view(jnp.int32),
    "rows": lambda a: a[::-1],
}


@pytest.mark.parametrize("what", SWAPPED)
def test_a_fingerprint_sees(what):
    tree = weights()
    tree["a"] = tree["a"].at[0, 0].set(0.0)
    changed = tree | {"a": SWAPPED[what](tree["a"])}
    assert ij.fingerprint(changed) != ij.fingerprint(tree)


KINDS = [
    "float64",
    "float16",
    "float8_e4m3fn",
    "complex64",
    "int8",
    "uint32",
    "bool",
    "int4",
]


@pytest.mark.parametrize("dtype", KINDS)
def test_every_dtype_has_a_fingerprint(dtype):
    wide = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
    with wide(dtype == "float64"):
        x = jnp.arange(8).astype(dtype)
        y = x.at[7].set(jnp.zeros((), dtype))
        assert len({ij.fingerprint({"x": x}), ij.fingerprint({"x": y})}) == 2
        assert ij.fingerprint({"x": x}) == ij.fingerprint({"x": x.copy()})


def test_a_fingerprint_sees_all_bits_of_wide_numpy_arrays():
    one, two = ({"x": np.array([1.0, x])} for x in (1, 1 + 1e-12))
    assert ij.fingerprint(one) != ij.fingerprint(two)


def test_no_device_waits_for_another_to_be_hashed():
    """Programs that wait for each other can do so for ever on simulated devices."""
    mesh = jax.make_mesh((4, 2), ("x", "y"))
    x = jax.device_put(jnp.ones((8, 16)), NamedSharding(mesh, P("x", "y")))
    blocks, starts = _fingerprint._side_by_side(x.addressable_shards)
    how = {"mesh": blocks.sharding.mesh, "whole": x.shape}
    program = _fingerprint._sums_on_mesh.lower(blocks, starts, **how)
    assert not COLLECTIVES.search(program.compile().as_text())


def test_keys_and_scalars_have_fingerprints():
    one, two = ({"k": jax.random.key(i), "s": jnp.float32(i)} for i in (1, 2))
    assert ij.fingerprint(one) != ij.fingerprint(two)
