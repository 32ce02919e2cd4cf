"""Checkpoints whose tables have become larger: the old rows, and new ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from tools import assert_same_bits

import initjax as ij
from initjax import Rules

RULES = Rules([("**", ij.RandomUniform())])
# the whole shape, and the axis along which the checkpoint's is shorter
GROWN = {"embedding": ((16, 8), 0), "head": ((8, 16), 1), "heads": ((2, 16, 4), 1)}


def tree():
    shapes = {name: shape for name, (shape, _) in GROWN.items()} | {"bias": (16,)}
    return {name: jax.ShapeDtypeStruct(s, jnp.float32) for name, s in shapes.items()}


def checkpoint(size):
    rng = np.random.default_rng(size)
    return {
        name: jnp.asarray(rng.normal(size=first(np.empty(shape), axis, size).shape))
        for name, (shape, axis) in GROWN.items()
    }


def first(x, axis, size):
    return np.take(np.asarray(x), range(size), axis)


def grown(grow, size):
    return ij.missing(checkpoint(size), tree(), RULES, jax.random.key(1), grow=grow)


@pytest.mark.parametrize("size", [0, 1, 10, 15])
def test_old_rows_come_first_and_the_others_are_those_of_a_fresh_leaf(size):
    fresh, old = ij.init_tree(RULES, tree(), jax.random.key(1)), checkpoint(size)
    whole = grown("rows", size)
    assert_same_bits(whole["bias"], fresh["bias"])
    for name, (_, axis) in GROWN.items():
        assert_same_bits(first(whole[name], axis, size), old[name], name)
        new = [
            np.delete(np.asarray(x[name]), range(size), axis) for x in (whole, fresh)
        ]
        assert_same_bits(*new, name)


def test_new_rows_have_the_mean_and_the_scaled_covariance_of_the_old():
    skew = np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 0.1]])
    old = np.random.default_rng(0).normal(size=(400, 3)).astype("float32") @ skew + 5
    old = old.astype("float32")
    for axis, name in enumerate(["w", "v"]):
        shape = (20_400, 3) if axis == 0 else (3, 20_400)
        struct = {name: jax.ShapeDtypeStruct(shape, jnp.float32)}
        have = {name: old if axis == 0 else old.T}
        x = ij.missing(have, struct, RULES, jax.random.key(2), grow="mean")[name]
        x = np.moveaxis(np.asarray(x), axis, 0)
        assert_same_bits(x[:400], old)
        new, wide = x[400:].astype("float64"), old.astype("float64")
        np.testing.assert_allclose(new.mean(0), wide.mean(0), atol=3e-6)
        wanted = 1e-9 * np.cov(wide.T)
        np.testing.assert_allclose(np.cov(new.T), wanted, atol=4e-11)


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
@pytest.mark.parametrize("grow", ["rows", "mean"])
def test_what_has_grown_lives_where_asked_or_where_the_old_did(grow, kind):
    kinds = (getattr(jax.sharding.AxisType, kind),)
    mesh = jax.make_mesh((8,), ("x",), axis_types=kinds)
    alone = grown(grow, 8)
    for spec in (P("x"), P(None, "x")):
        sharding = NamedSharding(mesh, spec)
        shapes = {n: s for n, s in tree().items() if n in ("embedding", "head")}
        asked = {
            name: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=sharding)
            for name, s in shapes.items()
        }
        have = {name: checkpoint(8)[name] for name in shapes}
        placed = jax.device_put(have, sharding)
        for old, wanted in ((have, asked), (placed, shapes)):
            made = ij.missing(old, wanted, RULES, jax.random.key(1), grow=grow)
            for name, x in made.items():
                assert x.sharding.is_equivalent_to(sharding, 2), name
                assert_same_bits(x, alone[name], name)


@pytest.mark.parametrize("grow", ["rows", "mean"])
def test_a_table_grows_inside_a_traced_function(grow):
    old, struct = jnp.arange(30.0).reshape(10, 3), jax.ShapeDtypeStruct((12, 3), "f4")

    def table(key):
        return ij.missing({"w": old}, {"w": struct}, RULES, key, grow=grow)["w"]

    traced = jax.jit(table)(jax.random.key(1))
    np.testing.assert_allclose(traced, table(jax.random.key(1)), rtol=1e-6)
