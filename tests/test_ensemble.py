"""Ensembles: a member is itself, alone or among many."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from tools import assert_same_bits

import initjax as ij
from initjax import Fan, Rules, Spec
from initjax._rules import ensemble as _ensemble
from initjax._rules import fill as filling


def struct(*shape, dtype="float32"):
    return jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))


TREE = {
    "layers": [{"kernel": struct(24, 32), "bias": struct(32, dtype="bfloat16")}] * 2,
    "qkv": struct(16, 48),
    "head": struct(32, 8),
    "plain": struct(8, 8),
    "scale": struct(8),
}
RULES = Rules(
    [
        ("**/kernel", "he_normal"),
        ("**/bias", ij.TruncatedNormal(seed="b")),
        ("qkv", Spec("glorot_uniform", fan=Fan.fused(3, axis=1))),
        ("head", ij.Orthogonal()),
        ("plain", jax.nn.initializers.normal(0.1)),
        ("scale", "ones"),
    ]
)


def ensemble(n, **kwargs):
    return ij.init_ensemble(RULES, TREE, jax.random.key(4), n, **kwargs)


@pytest.fixture(scope="module")
def eight():
    return ensemble(8)


@pytest.fixture(scope="module")
def solo():
    return [
        ij.init_tree(RULES, TREE, ij.member_key(jax.random.key(4), i)) for i in range(8)
    ]


def assert_same(one, other):
    jax.tree.map(assert_same_bits, one, other)


@pytest.mark.parametrize("n", [1, 3, 11])
def test_member_i_is_itself_alone_and_among_any_number(n, eight, solo):
    many = ensemble(n)
    for i in range(min(n, 8)):
        assert_same(ij.member(many, i), solo[i])
        assert_same(ij.member(eight, i), solo[i])
    assert_same(ij.member(many, -1), ij.member(many, n - 1))


def test_members_are_uncorrelated(eight):
    drawn = np.stack([np.asarray(x["kernel"]).reshape(8, -1) for x in eight["layers"]])
    rows = drawn.reshape(16, -1)
    correlations = np.corrcoef(rows) - np.eye(16)
    assert np.abs(correlations).max() < 5 / np.sqrt(rows.shape[1])


@pytest.mark.parametrize("spec", [P("x"), P("x", "y"), P(None, "x"), P(("x", "y"))])
def test_the_axis_of_the_members_can_be_sharded(spec, eight):
    """Where n is no multiple of a bucket, too."""
    mesh = jax.make_mesh((2, 4), ("x", "y"))
    sharding = NamedSharding(mesh, spec)
    rules = Rules([RULES.rules[0], RULES.rules[3]])
    tree = {"kernel": struct(24, 32), "head": struct(32, 8)}
    for n in (8, 24):
        placed = ij.init_ensemble(rules, tree, jax.random.key(4), n, shardings=sharding)
        alone = ij.init_ensemble(rules, tree, jax.random.key(4), n)
        for name, x in placed.items():
            assert x.sharding == sharding
            assert_same_bits(x, alone[name], name)


def test_a_members_own_sharding_leaves_the_members_whole():
    sharding = NamedSharding(jax.make_mesh((8,), ("x",)), P("x"))
    tree = {"w": jax.ShapeDtypeStruct((8, 4), jnp.float32, sharding=sharding)}
    w = ij.init_ensemble(Rules([("w", "he_normal")]), tree, jax.random.key(0), 3)["w"]
    assert w.sharding.spec == P(None, "x")


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
@pytest.mark.parametrize("spec", [P("x"), P("x", "y"), P(None, "x")])
def test_a_member_keeps_its_own_axes_sharded(spec, kind):
    kinds = (getattr(jax.sharding.AxisType, kind),) * 2
    mesh = jax.make_mesh((2, 4), ("x", "y"), axis_types=kinds)
    stacked = jnp.arange(256.0).reshape(8, 8, 4)
    placed = jax.device_put(stacked, NamedSharding(mesh, spec))
    row = ij.member({"w": placed}, -2)["w"]
    assert_same_bits(row, stacked[6])
    assert row.sharding.is_equivalent_to(NamedSharding(mesh, P(*spec[1:])), 2)


def test_ensembles_of_one_bucket_share_their_programs(eight, monkeypatch):
    assert [_ensemble.bucket_of(n) for n in (1, 2, 3, 5, 8, 9, 16, 17)] == [
        1, 2, 4, 8, 8, 16, 16, 24
    ]  # fmt: skip

    def refuse(lowered):
        assert not list(lowered)
        return []

    monkeypatch.setattr(filling, "compiling", refuse)
    assert_same(ij.member(ensemble(6), 5), ij.member(eight, 5))


class Regressor(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.tanh(nn.Dense(16)(x)))


def test_a_function_makes_members_too():
    def init(key):
        return Regressor().init(key, jnp.ones((1, 2)))

    abstract, key = jax.eval_shape(init, jax.random.key(0)), jax.random.key(0)
    many = ij.init_ensemble(init, abstract, key, 3)
    assert_same(many, ij.init_ensemble(init, None, jax.random.key(0), 3))
    for i in range(3):
        alone = jax.jit(init)(ij.member_key(jax.random.key(0), i))
        assert_same(ij.member(many, i), alone)
    predict = jax.vmap(Regressor().apply, (0, None))
    assert predict(many, jnp.ones((5, 2))).shape == (3, 5, 1)


def test_member_keys_are_no_keys_of_the_users():
    key = jax.random.key(0)
    ours = {
        tuple(jax.random.key_data(ij.member_key(key, i)).tolist()) for i in range(50)
    }
    theirs = {
        *(
            tuple(jax.random.key_data(k).tolist())
            for k in jax.random.split(jax.random.key(0), 50)
        ),
        *(
            tuple(jax.random.key_data(ij.fold_in_path(key, *path)).tolist())
            for i in range(50)
            for path in [(i,), ("member", i), (f"member/{i}",)]
        ),
    }
    assert len(ours) == 50
    assert not ours & theirs
