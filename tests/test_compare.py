"""What differs between two trees, and by how much: each planted difference is found."""

import json
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from tools import assert_refused, root

import initjax as ij
from initjax import compare
from initjax._report import difference as rooms
from initjax._report.difference import difference

INF = math.inf


def normal(*shape, seed=1, dtype="float32"):
    """On the host: nothing is compiled."""
    draw = np.random.default_rng(seed).standard_normal(shape)
    return draw.astype(jnp.dtype(dtype))


def next_up(x):
    return np.nextafter(x, np.full_like(x, INF))


def at(x, place, value):
    x = x.copy()
    x[place] = value
    return x


# -- numbers ---------------------------------------------------------------------------

N = normal(3, 4)
PLANTED = {
    # a, b, and what is expected: (differing, largest, relative, correlation, ulps)
    "equal": (N, N, (0, 0, 0, 1, 0)),
    "the next number": (N, next_up(N), (12, None, None, 1, 1)),
    "next in bfloat16": (
        *(normal(3, 4, dtype="bfloat16"), next_up(normal(3, 4, dtype="bfloat16"))),
        (12, None, None, None, 1),
    ),
    "twice": (N, 2 * N, (12, np.abs(N).max(), 1, 1, 1 << 23)),
    "negative": (N, -N, (12, 2 * np.abs(N).max(), 2, -1, None)),
    "one entry": (N, at(N, (1, 2), N[1, 2] + 3), (1, 3, None, None, None)),
    "-0": (np.zeros(2, "f4"), -np.zeros(2, "f4"), (2, 0, 0, None, 0)),
    "from 0": (np.zeros(2, "f4"), np.ones(2, "f4"), (2, 1, INF, None, 0x3F800000)),
    "nan in both": (at(N, 0, np.nan), at(N, 0, np.nan), (0, 0, 0, 1, 0)),
    "nan in one": (N, at(N, (0, 0), np.nan), (1, INF, 0, 1, 0)),
    "inf of another sign": (at(N, 0, INF), at(N, 0, -INF), (4, INF, 0, 1, 0)),
    "large": (1e30 * N, 2e30 * N, (12, None, 1, 1, None)),
    "small": (1e-30 * N, 2e-30 * N, (12, None, 1, 1, None)),
    "complex": (N + 1j * N[::-1], N + 1j * N[::-1] + 3, (12, 3, None, None, None)),
    "whole numbers": (
        np.int32([2**31 - 1, 5, 2**24]),
        np.int32([-(2**31), 5, 2**24 + 1]),
        (2, 2**32 - 1, None, None, None),
    ),
    "bools": (np.array([True, False]), np.array([True, True]), (1, 1, 1, None, None)),
    "float8": (
        np.arange(4).astype(jnp.float8_e4m3fn),
        (2 * np.arange(4)).astype(jnp.float8_e4m3fn),
        (3, 3, 1, 1, 8),
    ),
    "other dtypes": (
        N,
        N.astype(jnp.bfloat16),
        (12, np.abs(N - N.astype(jnp.bfloat16).astype("f4")).max(), None, 1, None),
    ),
    "empty": (np.zeros((0, 3), "f4"), np.zeros((0, 3), "f4"), (0, 0, 0, None, 0)),
    "a number": (np.float32(1), np.float32(3), (1, 2, 2, None, 1 << 23 | 1 << 22)),
}


@pytest.mark.parametrize("home", ["host", "device"])
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_difference_is_measured(name, home):
    a, b, expected = PLANTED[name]
    a, b = (x.astype("complex64") if np.iscomplexobj(x) else x for x in (a, b))
    if home == "device":
        a, b = jnp.asarray(a), jnp.asarray(b)
    found = difference(np.asarray(a) if home == "host" else a, b)
    for value, wanted in zip(found, expected, strict=False):
        if wanted is not None:
            assert value == pytest.approx(wanted, rel=3e-5, abs=1e-7), found
    if jnp.issubdtype(a.dtype, jnp.floating) and a.dtype == b.dtype:
        assert isinstance(found.ulps, int)
    else:
        assert found.ulps is None
    assert (found.sums[0] == found.sums[1]) == (found.differing == 0)


def test_a_mean_far_from_0_costs_no_precision():
    a, b = (1 + 1e-3 * normal(1000, 30, seed=i) for i in (1, 2))
    exact = np.corrcoef(*(x.ravel().astype(np.float64) for x in (a, b)))[0, 1]
    for x, y in ((a, b), (jnp.asarray(a), jnp.asarray(b))):
        found = difference(x, y)
        assert found.correlation == pytest.approx(exact, abs=1e-4)
        assert found.relative == pytest.approx(1e-3 * math.sqrt(2), rel=0.02)
    assert difference(0.1 * np.ones((7, 3), "f4"), b[:7, :3]).correlation is None
    assert difference(jnp.full((7, 3), 0.1), jnp.asarray(b[:7, :3])).correlation is None


def flat(found):
    return (*found[:-1], *found.sums)


def test_the_host_reads_in_pieces(tmp_path, monkeypatch):
    """Files mapped into memory too, along whatever axis is long."""
    whole = [difference(normal(*shape), normal(*shape, seed=2)) for shape in SHAPES]
    monkeypatch.setattr(rooms, "_CHUNK", 16)
    pieces = []
    measured = rooms._on_host
    monkeypatch.setattr(
        rooms, "_on_host", lambda a, b: pieces.append(a.size) or measured(a, b)
    )
    for shape, expected in zip(SHAPES, whole, strict=True):
        np.save(tmp_path / "a.npy", normal(*shape))
        a = np.load(tmp_path / "a.npy", mmap_mode="r")
        found = difference(a, normal(*shape, seed=2))
        assert flat(found) == pytest.approx(flat(expected))
        assert max(pieces) <= 16
        assert sum(pieces) == a.size
        pieces.clear()


SHAPES = [(70,), (40, 3), (2, 70), (3, 2, 9)]


def test_shards_are_compared_where_they_are():
    mesh = jax.make_mesh((8,), ("d",))
    a, b = normal(16, 8), at(normal(16, 8), (3, 4), 9)
    rows, columns = (
        NamedSharding(mesh, spec)
        for spec in (PartitionSpec("d"), PartitionSpec(None, "d"))
    )
    expected = pytest.approx(flat(difference(a, b)), rel=1e-5)
    a = jax.device_put(a, rows)
    for home in (rows, columns, None):
        assert flat(difference(a, jax.device_put(b, home))) == expected
    assert flat(difference(a, b)) == expected


# -- trees -----------------------------------------------------------------------------


def trees():
    a = {
        **{"same": normal(3, 4), "near": normal(4), "far": normal(4, seed=3)},
        **{
            "old": normal(5),
            "gone": normal(2),
            "q": normal(2, 2),
            "k": normal(2, 2, seed=2),
        },
        **{"shape": normal(2, 3), "dtype": np.ones(4, "f4"), "count": np.float32(1)},
        **{"steps": np.float32(2), "rate": 0.1, "act": jax.nn.relu, "name": "a"},
        **{"key": root(), "off_1": np.zeros(3, "f4"), "off_2": np.zeros(3, "f4")},
    }
    b = {
        **a,
        **{"near": next_up(a["near"]), "far": -a["far"], "q": a["k"], "k": a["q"]},
        **{
            "shape": normal(3, 2),
            "dtype": np.ones(4, "f8"),
            "name": "b",
            "new": a["old"],
        },
        **{"count": np.float32(2), "steps": np.float32(1), "more": a["gone"][::-1]},
        **{"key": root(), "on_1": np.zeros(3, "f4"), "on_2": np.zeros(3, "f4")},
    }
    for name in ("old", "gone", "off_1", "off_2"):
        del b[name]
    return a, b


STATUS = {
    **dict.fromkeys(("same", "rate", "act", "key"), "equal"),
    **dict.fromkeys(("near", "far", "q", "k", "count", "steps"), "different"),
    **dict.fromkeys(("old", "new", "off_1", "off_2", "on_1", "on_2"), "renamed"),
    **{"gone": "only in a", "more": "only in b", "name": "other object"},
    **{"shape": "other shape", "dtype": "other dtype"},
}
TWINS = {
    **{"old": "new", "new": "old", "q": "k", "k": "q"},
    **{"off_1": "on_1", "on_1": "off_1", "off_2": "on_2", "on_2": "off_2"},
}


@pytest.mark.parametrize("home", ["host", "device"])
def test_every_planted_difference_of_trees_is_found(home):
    a, b = trees()
    if home == "device":
        a, b = (jax.tree.map(as_jax, tree) for tree in (a, b))
        del a["dtype"], b["dtype"]  # JAX has float64 on request alone
    found = compare(a, b)
    rows = {row.path: row for row in found.rows}
    assert {k: row.status for k, row in rows.items()} == {
        k: status for k, status in STATUS.items() if k in a or k in b
    }
    assert {k: row.twin for k, row in rows.items() if row.twin} == TWINS
    assert (rows["near"].ulps, rows["near"].differing, rows["near"].size) == (1, 4, 4)
    assert (rows["far"].relative, rows["far"].correlation) == pytest.approx((2, -1))
    assert rows["shape"].a == "float32[2x3]"
    assert (rows["gone"].b, rows["gone"].largest) == (None, None)
    assert not found.equal
    without = [row.path for row in found.differences if row.relative is None]
    assert {*without} == {
        path
        for path, status in STATUS.items()
        if status in ("renamed", "only in a", "only in b", "other shape")
        or path == "name"
    }
    measured = [row.relative for row in found.differences if row.relative is not None]
    assert measured == sorted(measured, reverse=True)


def as_jax(x):
    return jnp.asarray(x) if isinstance(x, np.ndarray | np.generic) else x


def test_a_flat_checkpoint_equals_the_nested_model():
    nested = {"params": {"kernel": normal(2, 3), "bias": np.zeros(3, "f4")}}
    flat = {"params.kernel": normal(2, 3), "params.bias": np.zeros(3, "f4")}
    found = compare(nested, flat)
    assert found.equal
    assert str(found) == "2 paths: 2 equal"
    boxed = jax.tree.map(lambda x: nn.Partitioned(x, names=(None,)), nested)
    assert compare(boxed, nested).equal


def test_it_shows_itself():
    a, b = trees()
    found = compare(a, b)
    total = (
        "18 paths: 4 equal, 6 different, 1 other dtype, 1 only in a, 1 other object, "
        "3 renamed, 1 other shape, 1 only in b"
    )
    assert str(found).splitlines()[-1] == total
    assert repr(found) == f"<Comparison of {total}>"
    lines = {line.split()[0]: line for line in str(found).splitlines()[1:-1]}
    assert "same" not in lines
    assert "new" not in lines
    assert lines["old"].endswith("renamed; b has a's as new")
    assert lines["q"].endswith("b has a's as k")
    assert lines["gone"].split() == ["gone", "float32[2]", "-", "only", "in", "a"]
    assert "4 of 4" in lines["near"]
    assert found._repr_html_().count("<tr>") == len(lines) + 1
    data = json.loads(found.to_json(), parse_constant=pytest.fail)
    assert data["equal"] is False
    assert {row["path"]: row["status"] for row in data["rows"]} == STATUS
    wild = compare({"x": np.float32([1, 2])}, {"x": np.float32([1, np.inf])})
    assert json.loads(wild.to_json())["rows"][0]["largest"] == "inf"
    many = {f"w{i}": np.float32([i]) for i in range(70)}
    shown = str(compare(many, {k: x + 1 for k, x in many.items()})).splitlines()
    assert len(shown) == 1 + 60 + 1 + 1
    assert shown[-2] == "and 10 more"
    assert str(compare({}, {})) == "0 paths: nothing"


# -- wrong uses ------------------------------------------------------------------------


def deleted():
    x = jnp.arange(3.0)
    x.delete()
    return {"w": x}


ONE = {"w": np.ones(2, "f4")}
WRONG = {
    "a shape": (
        lambda: compare(ONE, {"w": jax.ShapeDtypeStruct((2,), "float32")}),
        ValueError,
        "compare: 'w' is only a shape; give arrays.",
    ),
    "deleted": (
        lambda: compare(deleted(), ONE),
        ValueError,
        "compare: 'w' has been deleted or donated; give arrays.",
    ),
    "inside of jit": (
        lambda: jax.jit(lambda p: compare(p, ONE).equal)(ONE),
        ValueError,
        "compare: runs outside of jax.jit, on arrays.",
    ),
    "a bare array": (
        lambda: compare(np.ones(3), ONE),
        ValueError,
        "compare: a bare array has no path; give a tree: {'name': array}.",
    ),
    "words": (
        lambda: compare({"w": np.array(["a"])}, ONE),
        ValueError,
        "compare: 'w' has the dtype <U1, no numbers; leave it out.",
    ),
    "one path twice": (
        lambda: compare({"a/b": np.ones(2), "a": {"b": np.ones(2)}}, ONE),
        ValueError,
        "compare: two leaves have the path 'a/b': slashes and dots separate parts; "
        "rename one.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_use_is_refused(name):
    assert_refused(*WRONG[name])


def test_it_is_public():
    assert ij.compare is compare
    assert isinstance(compare(ONE, ONE), ij.Comparison)
