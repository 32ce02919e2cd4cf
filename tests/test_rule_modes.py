"""Trees under JAX's debugging modes, and where they live: as a single law would."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from tools import assert_same_bits

import initjax as ij
from initjax import Fan, Rules, Spec
from initjax._rules import fill as filling

LAWS = {
    "fused": Spec(ij.RandomUniform(seed="own"), fan=Fan.fused(3, axis=1)),
    "matrix": ij.Orthogonal(),
    "function": jax.nn.initializers.uniform(),
    "ones": "ones",
    "row": ij.Constant(np.arange(6.0)),
}
RULES = Rules(LAWS.items())
TREE = {name: jax.ShapeDtypeStruct((6, 6), jnp.float32) for name in LAWS}
OLD = {name: jnp.zeros((6, 6)) for name in LAWS}
SHORT = OLD | {"ones": jnp.arange(24.0).reshape(4, 6), "row": np.ones((6, 2), "f4")}


def of_function(key):
    """Members of a function: samples and a constant."""
    return {"w": ij.RandomNormal()(key, (6, 6)), "b": jnp.ones(6)}


FUNCTIONS = {
    "init_tree": lambda key: ij.init_tree(RULES, TREE, key),
    "init_ensemble": lambda key: ij.init_ensemble(RULES, TREE, key, 3),
    "of a function": lambda key: ij.init_ensemble(of_function, None, key, 3),
    "reinit": lambda key: ij.reinit(OLD, RULES, key, only="*"),
    "missing": lambda key: ij.missing({"ones": OLD["ones"]}, TREE, RULES, key),
    "rows": lambda key: ij.missing(SHORT, TREE, RULES, key, grow="rows"),
    "mean": lambda key: ij.missing(SHORT, TREE, RULES, key, grow="mean"),
    "member": lambda key: ij.member({"a": OLD["ones"], "k": np.ones((6, 2))}, 4),
    "fingerprint": lambda key: ij.fingerprint(OLD),
}


@contextlib.contextmanager
def flag(name):
    old = getattr(jax.config, name)
    jax.config.update(name, True)
    try:
        yield
    finally:
        jax.config.update(name, old)


MODES = {
    "disable_jit": jax.disable_jit,
    "debug_nans": lambda: flag("jax_debug_nans"),
    "check_tracer_leaks": jax.checking_leaks,
    "transfer_guard": lambda: jax.transfer_guard("disallow"),
}


def fresh(kind):
    return jax.random.PRNGKey(3) if kind == "raw" else jax.random.key(3)


@functools.cache
def plain(name):
    return FUNCTIONS[name](jax.random.key(3))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_debugging_mode_changes_no_bit(name, mode, monkeypatch):
    wanted, key, again = plain(name), fresh("typed"), fresh("raw")
    if name.startswith("init_"):  # else with the programs that are known
        monkeypatch.setattr(filling, "_COMPILED", {})
    with MODES[mode]():
        got, repeated = FUNCTIONS[name](key), FUNCTIONS[name](again)
    if name == "fingerprint":
        assert got == repeated == wanted
        return
    jax.tree.map(assert_same_bits, got, wanted)
    jax.tree.map(assert_same_bits, repeated, wanted)


# -- where arrays live ---------------------------------------------------------------


def mesh(**kwargs):
    return jax.make_mesh((8,), ("x",), **kwargs)


PLACES = {
    "a device": lambda: jax.sharding.SingleDeviceSharding(jax.devices()[1]),
    "replicated": lambda: NamedSharding(mesh(), P()),
}
OTHERS = ("rows", "mean", "member", "fingerprint")
MAKERS = [name for name in FUNCTIONS if name not in OTHERS]


@pytest.mark.parametrize("kind", ["typed", "raw"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", MAKERS)
def test_arrays_live_where_the_key_is_committed_to(name, place, kind):
    """As that of a law alone does."""
    law = ij.RandomUniform()(jax.device_put(fresh(kind), PLACES[place]()), (6, 6))
    assert law.committed
    made = FUNCTIONS[name](jax.device_put(fresh(kind), PLACES[place]()))
    for leaf, x in made.items():
        if name == "missing" and leaf == "ones":
            continue  # the checkpoint's
        assert x.committed, leaf
        assert x.sharding.is_equivalent_to(_like(law.sharding), x.ndim), leaf
    jax.tree.map(assert_same_bits, made, plain(name))


def _like(sharding):
    """The same for any rank."""
    return NamedSharding(sharding.mesh, P()) if hasattr(sharding, "spec") else sharding


@pytest.mark.skipif(not hasattr(jax, "set_mesh"), reason="jax.set_mesh is newer")
@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_arrays_live_on_the_mesh_in_use(kind):
    whole = mesh(axis_types=(getattr(jax.sharding.AxisType, kind),))
    with jax.set_mesh(whole):
        law = ij.RandomUniform()(jax.random.key(3), (6, 6))
        made = ij.init_tree(RULES, TREE, jax.random.key(3))
    for leaf, x in made.items():
        assert x.committed, leaf
        assert x.sharding.is_equivalent_to(law.sharding, 2), leaf


def test_what_a_sharding_says_comes_before_the_key():
    key = jax.device_put(jax.random.key(3), jax.devices()[1])
    wanted = NamedSharding(mesh(), P(None, "x"))
    struct = jax.ShapeDtypeStruct((4, 8), jnp.float32, sharding=wanted)
    rules = Rules([("w", "he_normal")])
    assert ij.init_tree(rules, {"w": struct}, key)["w"].sharding == wanted
    old = {"w": jax.device_put(jnp.ones((4, 8)), wanted)}
    again = ij.reinit(old, rules, key, only="w")
    assert again["w"].sharding == wanted
