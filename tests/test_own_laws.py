"""Laws of a user's own: streams, equality and plain data come from the base."""

import copy
import dataclasses
import json
import pickle
from collections import UserDict, UserList
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tools import assert_refused, assert_same_bits, public, root

import initjax as ij
from initjax import Fan, Rules

pytestmark = pytest.mark.usefixtures("registry")
SHAPE = (4, 16)
FUSED = Fan.fused(2, axis=1)


@dataclasses.dataclass(frozen=True)
class Exponential(ij.Initializer):
    """That of docs/how-to/own-law.md: one number, no word of streams."""

    scale: float = 1.0

    def _sample(self, key, shape, dtype):
        return jax.random.exponential(key, shape, dtype) * self.scale


@dataclasses.dataclass(frozen=True, slots=True)
class Mixture(ij.Initializer):
    """With slots; holds laws, plain and nested."""

    inner: Any = ij.RandomNormal()  # noqa: RUF009  # a frozen config
    more: Any = (ij.HeNormal(), {"a": ij.Zeros()})

    def _sample(self, key, shape, dtype):
        return self.inner(key, shape, dtype)


@dataclasses.dataclass(frozen=True)
class Own(ij.Initializer):
    """Has a stream of its own already."""

    seed: Any = None
    low: float = 0.0

    def _sample(self, key, shape, dtype):
        return jax.random.uniform(key, shape, dtype) + self.low


@dataclasses.dataclass(frozen=True)
class Steeper(Exponential):
    """A law that inherits what it draws."""

    power: int = 2

    def _sample(self, key, shape, dtype):
        return Exponential._sample(self, key, shape, dtype) ** self.power


LAWS = {
    "exponential": Exponential(2.0),
    "mixture": Mixture(),
    "nested": Mixture(Mixture(ij.clone_initializer(Exponential(), "deep"))),
    "keywords": Mixture(more={"deep": [{"x": (1, 2.5, None, "text", True)}, 1 + 2j]}),
    "own seed": Own(low=1.0),
    "inherits": Steeper(power=3),
    "scaled": ij.scaled(Exponential(), 0.5),
    "per layer": ij.per_layer(Exponential(), [1.0, 2.0, 3.0, 4.0]),
    "mixture of a function": Mixture(more=(len, dict)),
}
DATA = [name for name in LAWS if "function" not in name]


@pytest.fixture(autouse=True)
def _named(registry):
    for cls in (Exponential, Mixture, Own, Steeper):
        ij.register(cls)


def draw(law, shape=SHAPE):
    return np.asarray(law(root(), shape, jnp.float32))


# -- streams -------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAWS)
def test_clones_are_independent(name):
    """No two of: the law, its clones, clones of clones, parts of a split."""
    law = LAWS[name]
    query = ij.clone_initializer(law, "query")
    many = [law, query, ij.clone_initializer(law, "value"), *split(law), *split(query)]
    many.append(ij.clone_initializer(law))
    assert len({*many}) == len(many)
    drawn = [draw(one) for one in many]
    for i, x in enumerate(drawn):
        for y in drawn[:i]:
            assert not np.any(x == y)


def split(law):
    return ij.clone_initializer(law, num=2)


@pytest.mark.parametrize("name", LAWS)
def test_a_seed_is_a_fold_and_parts_are_clones(name):
    law = LAWS[name]
    clone = ij.clone_initializer(law, "name")
    path = (*(() if law.seed is None else law.seed), "name")
    key = ij.fold_in_path(root(), *path)
    assert_same_bits(draw(clone), np.asarray(bare(law)(key, SHAPE, jnp.float32)))
    whole = draw(dataclasses.replace(law, fan=FUSED))
    for i, part in enumerate(np.split(whole, 2, axis=1)):
        clone = draw(ij.clone_initializer(law, i), (4, 8))
        np.testing.assert_allclose(part, clone, rtol=1e-6)  # logarithms, by the loop


def bare(law):
    return dataclasses.replace(law, seed=None)


def test_clones_share_one_program():
    """The stream is a number that the program takes."""
    from initjax._core.compile import _compiled

    draw(Exponential(7.0))
    before = _compiled.cache_info().misses
    draw(ij.clone_initializer(Exponential(7.0), "a"))
    draw(ij.clone_initializer(Exponential(7.0), "b"))
    assert _compiled.cache_info().misses == before + 1


class Undecorated(ij.Initializer):
    """Has no place for a stream."""

    def _sample(self, key, shape, dtype):
        return jax.random.normal(key, shape, dtype)


@dataclasses.dataclass(frozen=True)
class Secret(ij.Initializer):
    """Draws by the way of initjax's own laws, without a stream."""

    def _draw(self, shape, dtype):
        return ij.RandomNormal()._draw(shape, dtype)


@dataclasses.dataclass(frozen=True)
class Pair(ij.Initializer):
    """Promises a pair of numbers."""

    def _law(self, shape, dtype):
        return 0.0, 1.0


def test_a_promise_is_a_law():
    assert_refused(
        lambda: Pair().law((2, 3)),
        TypeError,
        "Pair().law(shape=(2, 3)): its _law must return an initjax.Law, got tuple.",
    )


def test_a_law_without_a_stream_is_refused():
    assert_refused(
        Undecorated,
        TypeError,
        "Undecorated(): the class is no dataclass of its own; decorate it with "
        "@dataclasses.dataclass(frozen=True).",
    )
    assert_refused(
        lambda: Undecorated(2.0),
        TypeError,
        "Undecorated: the class is no dataclass of its own; decorate it with "
        "@dataclasses.dataclass(frozen=True).",
    )
    assert_refused(
        lambda: Secret()(root(), SHAPE),
        TypeError,
        "Secret()(key, shape=(4, 16)): draws, and has no stream; give the class a "
        "field `seed`.",
    )


# -- values --------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAWS)
def test_laws_are_values(name):
    law = LAWS[name]
    for again in (copy.deepcopy(law), pickle.loads(pickle.dumps(law)), bare(law)):
        assert (again == law, hash(again) == hash(law)) == (True, True)
        assert repr(again) == repr(law)
    if name in DATA:
        assert eval(repr(law), {**public(), **globals()}) == law


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("form", ["keras2", "keras3"])
def test_laws_are_plain_data(name, form):
    law = ij.clone_initializer(LAWS[name], "stream")
    text = json.dumps(ij.serialize(law, form))
    assert ij.deserialize(json.loads(text)) == law
    rules = Rules([("**", law)])
    assert Rules.from_config(json.loads(json.dumps(rules.get_config()))) == rules


def test_custom_objects_reach_nested_laws():
    node = ij.serialize(ij.scaled(Mixture(Exponential(5.0)), 2.0))
    custom = {"Exponential": Own}
    node["config"]["initializer"]["config"]["inner"]["config"] = {"low": 5.0}
    read = ij.deserialize(node, custom)
    assert read == ij.scaled(Mixture(Own(low=5.0)), 2.0)
    assert ij.get("exponential") == Exponential()  # in scope there alone


@pytest.mark.parametrize("name", LAWS)
def test_laws_work_in_rules(name):
    """Planned, printed, filled; a leaf is the law at the key of its path."""
    rules = Rules([("a", LAWS[name]), ("b", ij.scaled(LAWS[name], 2.0))])
    shapes = dict.fromkeys("ab", jax.ShapeDtypeStruct(SHAPE, jnp.float32))
    plan = ij.plan(rules, shapes)
    assert type(LAWS[name]).__name__ in str(plan)
    assert plan.fingerprint == ij.plan(rules, shapes).fingerprint
    assert json.loads(plan.to_json())["parameters"] == 128
    tree = ij.init_tree(rules, shapes, root())
    key = ij.fold_in_path(root(), "a")
    assert_same_bits(tree["a"], LAWS[name](key, SHAPE, jnp.float32))


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (1, 1.0), (0.0, -0.0), ((1,), (True,)), ("1", 1)]
)
def test_values_of_another_type_are_another_law(one, other):
    """What a law computes may depend on it, and caches go by equality."""
    assert Mixture(one) != Mixture(other)
    assert Mixture(one) == Mixture(one)
    assert Mixture({"x": one}) != Mixture({"x": other})


KEPT = {
    "list": ([1, [2, 3]], (1, (2, 3))),
    "number of NumPy": (np.float32(0.5), 0.5),
    "number of JAX": (jnp.int32(3), 3),
    "dict": ({"a": [1]}, {"a": (1,)}),
    "set": ({1, 2}, frozenset({1, 2})),
    "what configuration systems have": (UserDict(a=UserList([1])), {"a": (1,)}),
    "nan": (float("nan"), float("nan")),
}


@pytest.mark.parametrize("name", KEPT)
def test_fields_are_kept_as_immutable_values(name):
    given, kept = KEPT[name]
    law = Mixture(given)
    assert repr(law.inner) == repr(kept)
    assert law == Mixture(given)
    with pytest.raises(TypeError, match="a field of a law is a value"):
        Mixture({"a": 1}).inner["a"] = 2


REFUSED = {
    "Exponential(np.ones(3))": (
        "Exponential(scale=array([1., 1., 1.])): is an array, and a law is a value; "
        "give a tuple, such as array.tolist(), and make the array of it in _sample."
    ),
    "Mixture({'a': [np.ones(1)]})": (
        "Mixture(inner={'a': [array([1.])]}): is an array, and a law is a value; "
        "give a tuple, such as array.tolist(), and make the array of it in _sample."
    ),
    "Exponential(bytearray())": (
        "Exponential(scale=bytearray(b'')): is of type bytearray, which cannot be "
        "hashed, and a law is a value; give numbers, text, tuples, dicts or laws."
    ),
    "Mixture(len).get_config()": (
        "Mixture.inner: holds a builtin_function_or_method, which is not plain data."
    ),
    "Mixture({1: 2}).get_config()": (
        "Mixture.inner: holds a dict whose keys are no str; JSON has no others."
    ),
    "ij.serialize(Mixture(Stranger()))": (
        "Mixture.inner: the class Stranger is not registered; decorate it with "
        "@initjax.register."
    ),
}


@dataclasses.dataclass(frozen=True)
class Stranger(Exponential):
    """Nobody has registered it."""


@pytest.mark.parametrize("call", REFUSED)
def test_what_is_no_value_is_refused_by_name(call):
    assert_refused(lambda: eval(call), TypeError, REFUSED[call])
