"""Laws are functions that JAX's transforms take, wherever jax.nn.initializers go."""

import copy
import dataclasses
import functools
import itertools
import weakref

import jax
import jax.numpy as jnp
import pytest
from jax import export
from tools import assert_same_bits, root

import initjax as ij

SHAPE, DTYPE = (4, 8), jnp.float32


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted(ij.Initializer):
    """A law of one's own, with slots."""

    scale: float = 2.0

    def _sample(self, key, shape, dtype):
        return jax.random.uniform(key, shape, dtype) * self.scale


@dataclasses.dataclass(frozen=True)
class Plain(ij.Initializer):
    """A law of one's own, without."""

    scale: float = 3.0

    def _sample(self, key, shape, dtype):
        return jax.random.uniform(key, shape, dtype) * self.scale


# each is a function of (key, shape, dtype), made anew: what lives in a cache may die
FUNCTIONS = {
    "jax": lambda: jax.nn.initializers.he_normal(),
    "law": lambda: ij.nn.he_normal(),
    "law of a law": lambda: ij.scaled(ij.GlorotUniform(), 2.0),
    "clone of a law": lambda: ij.clone_initializer(ij.HeNormal(), "name"),
    "clone of a function": lambda: ij.clone_initializer(jax.nn.initializers.ones, "x"),
    "slotted": Slotted,
    "plain": Plain,
    "clone of a plain one": lambda: ij.clone_initializer(Plain(), "name"),
    "partial": lambda: functools.partial(ij.HeNormal(), out_sharding=None),
    "bound": lambda: _unbound(ij.HeNormal()),
    "constant": lambda: ij.Constant(3.0),
}


def _unbound(law):
    """A function of a key through the call form of Keras and Haiku."""
    return lambda key, shape, dtype: law.bind(key)(shape, dtype)


STATIC = (1, 2)
TRANSFORMS = {
    "jit": lambda f: jax.jit(f, static_argnums=STATIC),
    "checkpoint": lambda f: jax.checkpoint(f, static_argnums=STATIC),
    "named_call": lambda f: jax.named_call(f, name=None if _named(f) else "init"),
    "jit_init": lambda f: ij.jit_init(f, static_argnums=STATIC),
    "vmap": lambda f: lambda key, *a: jax.vmap(lambda k: f(k, *a))(key[None])[0],
    "scan": lambda f: (
        lambda key, *a: jax.lax.scan(lambda c, k: (c, f(k, *a)), 0, key[None])[1][0]
    ),
    "pmap": lambda f: (
        lambda key, *a: jax.pmap(f, static_broadcasted_argnums=STATIC)(key[None], *a)[0]
    ),
    "jvp": lambda f: (
        lambda key, *a: jax.jvp(lambda s: s * f(key, *a), (1.0,), (1.0,))[0]
    ),
    "partial": lambda f: (
        lambda key, *a: jax.jit(functools.partial(f, shape=a[0], dtype=a[1]))(key)
    ),
    "deepcopy": lambda f: jax.jit(copy.deepcopy(f), static_argnums=STATIC),
}


def _named(f):
    return hasattr(f, "__name__")


def called(f):
    return f(root(), SHAPE, DTYPE)


# as laws and plain ones
SAME = {"law of a law", "clone of a plain one", "partial", "slotted", "constant"}
PAIRS = itertools.product(FUNCTIONS, TRANSFORMS)


@pytest.mark.parametrize(
    ("name", "transform"),
    [(name, how) for name, how in PAIRS if name not in SAME or how in ("jit", "vmap")],
)
def test_a_law_is_taken_by_every_transform_again_and_again(name, transform):
    """Under jit the bits are those of jit, whatever came before and died."""
    make = FUNCTIONS[name]
    want = called(jax.jit(make(), static_argnums=STATIC))
    for _ in range(2):
        got = called(TRANSFORMS[transform](make()))
        if name != "jax":  # its eager bits are others
            assert_same_bits(got, want, f"{name} under {transform}")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_shapes_and_exports(name):
    f = functools.partial(FUNCTIONS[name](), shape=SHAPE, dtype=DTYPE)
    assert jax.eval_shape(f, root()).shape == SHAPE
    assert jax.make_jaxpr(f)(root()).out_avals[0].dtype == DTYPE
    exported = export.export(jax.jit(f))(root())
    if name != "jax":  # its eager bits are others
        assert_same_bits(exported.call(root()), called(FUNCTIONS[name]()))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_law_can_be_referred_to_weakly(name):
    f = FUNCTIONS[name]()
    assert weakref.ref(f)() is f


@pytest.mark.parametrize("wrap", ["jit", "checkpoint", "jit_init", "partial", "vmap"])
@pytest.mark.parametrize(
    "law",
    [
        lambda s: ij.RandomNormal(stddev=s),
        lambda s: ij.scaled("he_normal", s),
        lambda s: Plain(s),
        lambda s: ij.clone_initializer(ij.RandomUniform(0.0, s), "name"),
    ],
    ids=["normal", "scaled", "plain", "clone"],
)
def test_a_law_that_holds_a_traced_number_is_taken_too(law, wrap):
    """Equal to itself alone; no stale trace answers for another number."""

    def run(s):
        return called(TRANSFORMS[wrap](law(s)))

    wrapped, bare = jax.jit(run), jax.jit(lambda s: called(law(s)))
    for s in (jnp.float32(0.5), jnp.float32(2)):
        assert_same_bits(wrapped(s), bare(s), f"{s}")


def test_names_and_documents():
    """What tools ask of a function."""
    law = ij.HeNormal()
    assert law.__name__ == ij.clone_initializer(law, "x").__name__ == "HeNormal"
    assert law.bind(root()).__name__ == "HeNormal"
    assert ij.clone_initializer(len, "x").__name__ == "len"
    assert (
        "HeNormal"
        in jax.jit(law, static_argnums=STATIC).lower(root(), SHAPE, DTYPE).as_text()
    )
