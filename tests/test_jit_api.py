"""jit_init has what a jitted function has; what it lacks is refused by name."""

import copy
import inspect

import jax
import jax.numpy as jnp
import pytest
from jax import export
from tools import assert_refused, assert_same_bits, root

import initjax as ij


def init(key, n=8, *, scale=1.0):
    """Make two arrays."""
    a, b = jax.random.split(key)
    return {"w": jax.random.normal(a, (4, n)) * scale, "b": jax.random.uniform(b, (n,))}


init.note = "of the function"
JITTED, OURS = jax.jit(init, static_argnums=1), ij.jit_init(init, static_argnums=1)


def assert_same(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(assert_same_bits, ours, theirs)


# what is asked of both, and must be answered alike
ALIKE = {
    "eval_shape": lambda f: f.eval_shape(root(), 8),
    "trace": lambda f: str(f.trace(root(), 8).jaxpr),
    "signature": inspect.signature,
    "name": lambda f: (f.__name__, f.__qualname__, f.__module__),
    "doc": lambda f: f.__doc__,
    "wrapped": lambda f: f.__wrapped__,
    "is Wrapped": lambda f: isinstance(f, jax.stages.Wrapped),
    "callable": callable,
}


@pytest.mark.parametrize("what", ALIKE)
def test_answers_are_those_of_a_jitted_function(what):
    assert ALIKE[what](OURS) == ALIKE[what](JITTED)


CALLS = {
    "by keyword": lambda f: f(root(), scale=2.0),
    "deepcopy": lambda f: copy.deepcopy(f)(root()),
    "copy": lambda f: copy.copy(f)(root()),
    "cleared": lambda f: (f(root()), f.clear_cache(), f(root()))[-1],
    "export": lambda f: export.export(f)(root(), 8).call(root()),
    "within jit": lambda f: jax.jit(f, static_argnums=1)(root()),
    "vmap": lambda f: jax.vmap(f)(root()[None]),
    "vmap within": lambda f: _again(f)(jax.vmap(init))(root()[None]),
}


def _again(f):
    return ij.jit_init if isinstance(f, ij.JitInit) else jax.jit


@pytest.mark.parametrize("how", CALLS)
def test_calls_return_what_a_jitted_function_does(how):
    assert_same(CALLS[how](OURS), CALLS[how](JITTED))


class Model:
    """A function of a class, jitted, is a method; so is one of an object."""

    width = 8

    @staticmethod
    def make(jit):
        class Bound(Model):
            @jit
            def init(self, key):
                return init(key, self.width)

        jax.tree_util.register_static(Bound)
        return Bound

    def __eq__(self, other):
        return type(self) is type(other)

    def __hash__(self):
        return hash(type(self))


def test_it_is_a_method_of_a_class():
    ours, theirs = Model.make(ij.jit_init), Model.make(jax.jit)
    assert_same(ours().init(root()), theirs().init(root()))
    assert_same(ours.init(ours(), root()), theirs.init(theirs(), root()))


def test_it_is_a_decorator_with_options_too():
    @ij.jit_init(static_argnames="n")
    def small(key, n):
        return init(key, n)

    assert isinstance(small, ij.JitInit)
    assert_same(small(root(), n=4), jax.jit(init, static_argnames="n")(root(), n=4))


def test_what_a_function_carries_hides_nothing():
    def lower(key):
        return jnp.zeros(3)

    lower.lower = lower._jitted = "of the function"
    assert ij.jit_init(lower).lower(root()).outputs == 1
    assert not hasattr(OURS, "note")
    assert OURS.__wrapped__.note == "of the function"


def test_clearing_the_cache_compiles_again():
    calls = []
    counted = ij.jit_init(lambda key: (calls.append(1), init(key))[1])
    for _ in range(2):
        counted(root())
    counted.clear_cache()
    counted(root())
    assert len(calls) == 2


KEYS_STAY = "keys are read on the host, so nothing is donated; leave it out."
REFUSED = {
    "in_shardings": "place the arguments with jax.device_put.",
    "donate_argnums": KEYS_STAY,
    "donate_argnames": KEYS_STAY,
    "device": "give out_shardings, such as SingleDeviceSharding(device).",
    "backend": "give out_shardings, such as SingleDeviceSharding(device).",
    "keep_unused": "what is not used is dropped; leave it out.",
    "inline": "within jax.jit it is always inlined; leave it out.",
    "abstracted_axes": "shapes are static here; leave it out.",
    "compiler_options": "use jax.jit, or set XLA_FLAGS.",
    "out_sharding": "jax.jit has no such option either.",
}


def test_every_option_of_jit_is_taken_or_refused_by_name():
    taken = {*inspect.signature(ij.jit_init).parameters} - {"fun", "others"}
    assert {*inspect.signature(jax.jit).parameters} - {"fun"} <= taken | {*REFUSED}


@pytest.mark.parametrize("option", REFUSED)
def test_an_option_without_a_place_says_what_to_do(option):
    assert_refused(
        lambda: ij.jit_init(init, **{option: 1}),
        TypeError,
        f"jit_init({option}=...): {REFUSED[option]}",
    )


def test_an_output_that_is_no_array_is_named():
    def named(key, name):
        return {"w": [jax.random.normal(key, (2,)), name]}

    assert_refused(
        lambda: ij.jit_init(named, static_argnames="name")(root(), name="relu"),
        TypeError,
        "jit_init(named): the output 'w/1' is 'relu', no array; return arrays alone, "
        "or use adapters.equinox.filter_jit_init, which keeps what else Equinox's "
        "modules hold.",
    )


@pytest.mark.parametrize("name", ["compile", "as_text", "cost_analysis"])
def test_a_plan_says_where_one_program_is_found(name):
    plan = OURS.lower(root(), 8)
    assert_refused(
        lambda: getattr(plan, name),
        AttributeError,
        f"SetupPlan.{name}: a plan is of several programs; "
        f"use jax.jit(fun).lower(...).{name} for the function as one.",
    )
    assert not hasattr(plan, "nonsense")
