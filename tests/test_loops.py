"""Loops over keys are opened: what each turn draws is drawn for all turns at once."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from setup_models import KEY, TOKENS, Linen
from tools import VERSION

import initjax as ij

pytestmark = [
    pytest.mark.usefixtures("as_frameworks_expect"),
    pytest.mark.skipif(VERSION < (0, 9), reason="its XLA rounds loops otherwise"),
]
MESH = Mesh(np.array(jax.devices()).reshape(4, 2), ("data", "model"))
normal, uniform, split = jax.random.normal, jax.random.uniform, jax.random.split


def turn(key):
    """What a turn returns: laws of frameworks, constants, and half precision."""
    keys = split(key, 5)
    return {
        "kernel": jax.nn.initializers.lecun_normal()(keys[0], (8, 4, 6)),
        "embedding": normal(keys[1], (12, 8)) * jnp.sqrt(0.5),
        "uniform": uniform(keys[2], (5, 3), minval=-0.3, maxval=0.8) * 0.3 + 0.1,
        "half": normal(keys[3], (9,), "bfloat16"),
        "ours": ij.HeNormal(seed="w")(keys[4], (6, 7)),
        "scale": jnp.ones(8),
        "steps": jnp.zeros((), "int32"),
    }


def few(key):
    """Less to compile."""
    return {"kernel": normal(key, (8, 6)) * 0.3 + 0.1, "scale": jnp.ones(8)}


def handed_on(key, _, turn=few):
    _, now, then = split(key, 3)
    return then, turn(now)


def with_data(x, key):
    weights = few(key)
    return jnp.tanh(x @ weights["kernel"] @ jnp.ones((6, 8))), weights


LOOPS = {
    "map": lambda k: lax.map(turn, split(k, 3)),
    "map in batches": lambda k: lax.map(few, split(k, 5), batch_size=2),
    "once": lambda k: lax.map(few, split(k, 1)),
    "scan": lambda k: lax.scan(lambda n, k: (n + 1, few(k)), 0, split(k, 3))[1],
    "scan of data": lambda k: lax.scan(with_data, jnp.ones((2, 8)), split(k, 3))[1],
    "rematerialized": lambda k: lax.scan(
        jax.checkpoint(with_data), jnp.ones((2, 8)), split(k, 3)
    )[1],
    "keys handed on": lambda k: lax.scan(
        lambda k, x: handed_on(k, x, turn), k, None, 3
    )[1],
    "backwards": lambda k: lax.scan(handed_on, k, None, 3, reverse=True)[1],
    "unrolled": lambda k: lax.scan(handed_on, k, None, 4, unroll=2)[1],
    "raw keys": lambda k: lax.scan(handed_on, jax.random.PRNGKey(2), None, 3)[1],
    "counted": lambda k: lax.map(
        lambda i: few(jax.random.fold_in(k, i)), jnp.arange(3)
    ),
    "in a loop": lambda k: lax.map(lambda k: lax.map(few, split(k, 2)), split(k, 3)),
    "mapped": lambda k: jax.vmap(lambda k: lax.map(turn, split(k, 2)))(split(k, 3)),
    "moved": lambda k: jax.tree.map(
        lambda x: jnp.moveaxis(x, 0, -1), lax.map(few, split(k, 3))
    ),
}


def assert_same(fun, *args, **options):
    ours, theirs = ij.jit_init(fun, **options)(*args), jax.jit(fun)(*args)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    pairs = zip(jax.tree.leaves_with_path(ours), jax.tree.leaves(theirs), strict=True)
    for (path, x), y in pairs:
        assert (x.shape, x.dtype, x.weak_type) == (y.shape, y.dtype, y.weak_type)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes(), path


def loops_left(fun, *args, **options):
    plan = ij.jit_init(fun, **options).lower(*args)
    return [row for row in plan.programs if "scan" in row.computes.split()]


@pytest.mark.parametrize("name", LOOPS)
def test_an_opened_loop_has_the_bits_of_jit(name):
    assert not loops_left(LOOPS[name], KEY)
    assert_same(LOOPS[name], KEY)


@pytest.mark.parametrize("spec", [P("data"), P(None, "data", "model"), P()])
def test_an_opened_loop_is_born_in_its_shards(spec):
    def fun(key):
        return lax.map(lambda k: normal(k, (8, 16)) * 0.3, split(key, 4))

    place = NamedSharding(MESH, spec)
    assert not loops_left(fun, KEY, out_shardings=place)
    x, y = ij.jit_init(fun, out_shardings=place)(KEY), jax.jit(fun)(KEY)
    assert x.sharding.is_equivalent_to(place, x.ndim)
    assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_scanned_layers_need_no_more_memory_than_their_weights():
    init = Linen(4, "scan", head=jax.nn.initializers.lecun_normal()).init
    plan = ij.jit_init(init).lower(KEY, TOKENS)
    assert (plan.fallbacks, plan.inexact, plan.peak) == ({}, {}, plan.size)
    assert plan.compiled <= 3


def test_a_layer_stack_of_haiku_is_opened():
    def forward(x):
        stack = hk.experimental.layer_stack(4)
        return stack(lambda x: x + hk.Linear(8)(hk.LayerNorm(-1, True, True)(x)))(x)

    init = hk.transform(forward).init
    args = (jax.random.PRNGKey(0), jnp.ones((2, 8)))
    assert not loops_left(init, *args)
    assert_same(init, *args)


# what a turn alone would round otherwise, or not draw at all
KEPT = {
    "a range of width 1": lambda k: lax.map(
        lambda k: uniform(k, (16,), minval=-0.3, maxval=0.7), split(k, 3)
    ),
    "scaled outside": lambda k: lax.map(lambda k: normal(k, (16,)), split(k, 3)) + 0.3,
    "an exponential": lambda k: lax.map(
        lambda k: jax.random.exponential(k, (16,)), split(k, 3)
    ),
    "shared": lambda k: lax.map(
        lambda k: (lambda x: (x * 0.3, x + 0.1))(normal(k, (16,))), split(k, 3)
    ),
    "of a number a turn": lambda k: lax.scan(
        lambda n, x: (n, normal(x[0], (16,)) * x[1]),
        0,
        (split(k, 3), jnp.arange(3.0)),
    )[1],
    "of a number outside": lambda k: (
        lambda c: lax.map(lambda k: normal(k, (16,)) * c, split(k, 3))
    )(jnp.sqrt(jnp.float32(0.3))),
}
# and what depends on the turns before
CHAINED = {
    "sums": lambda k: lax.scan(
        lambda x, k: (x + normal(k, (16,)),) * 2, jnp.ones(16), split(k, 3)
    )[1],
    "a random number of turns": lambda k: lax.while_loop(
        lambda kx: kx[1][0] < 1,
        lambda kx: (split(kx[0])[0], normal(split(kx[0])[1], (16,))),
        (k, jnp.zeros(16)),
    )[1],
}


@pytest.mark.parametrize("name", [*KEPT, *CHAINED])
def test_other_loops_stay_those_of_jit(name):
    fun = (KEPT | CHAINED)[name]
    plan = ij.jit_init(fun).lower(KEY)
    assert plan.fallbacks
    assert not plan.inexact
    assert_same(fun, KEY)


# -- but for the last bits -----------------------------------------------------------

LAST_BITS = KEPT | {
    "logarithms": lambda k: jax.random.gumbel(k, (300, 7)),
    "exponentials": lambda k: jnp.exp(normal(k, (300, 7)) * 0.3),
    "angles": lambda k: normal(k, (300, 7), "complex64"),
    "in bfloat16": lambda k: jax.random.laplace(k, (300, 7), "bfloat16"),
    "two of one": lambda k: (lambda x: (x * 0.3, x + 0.1))(normal(k, (300, 7))),
}


@pytest.mark.parametrize("name", LAST_BITS)
def test_inexact_samples_are_within_four_units_in_the_last_place(name):
    fun = LAST_BITS[name]
    jitted = ij.jit_init(fun, exact=False)
    plan = jitted.lower(KEY)
    assert len(plan.inexact) == plan.outputs
    assert not plan.fallbacks
    assert not loops_left(fun, KEY, exact=False)
    for name, why in plan.inexact.items():
        assert f"{name}: {why}" in str(plan)
    for x, y in zip(
        *map(jax.tree.leaves, (jitted(KEY), jax.jit(fun)(KEY))), strict=True
    ):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        unit = float(jnp.finfo(x.dtype).eps)
        x, y = (np.asarray(z).astype("complex128") for z in (x, y))
        assert np.abs(x - y).max() <= 4 * unit * np.abs(y).max()


def test_a_loop_without_turns_draws_nothing():
    for exact in (True, False):
        x = ij.jit_init(lambda k: lax.map(few, split(k, 0)), exact=exact)(KEY)
        assert x["kernel"].shape == (0, 8, 6)


@pytest.mark.parametrize("name", LOOPS)
def test_what_is_exact_stays_exact(name):
    plan = ij.jit_init(LOOPS[name], exact=False).lower(KEY)
    assert not any("loop" in why for why in plan.inexact.values())


@pytest.mark.parametrize("name", CHAINED)
def test_what_depends_on_turns_before_stays_a_loop(name):
    assert ij.jit_init(CHAINED[name], exact=False).lower(KEY).fallbacks
    assert_same(CHAINED[name], KEY, exact=False)


def test_exact_is_true_or_false():
    with pytest.raises(
        TypeError, match=r"jit_init\(exact='no'\): exact is True or Fal"
    ):
        ij.jit_init(lambda k: k, exact="no")
