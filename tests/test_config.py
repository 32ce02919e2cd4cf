"""Configs are values: what a law holds can be compared, kept, sent and read back."""

import copy
import dataclasses
import json
import os
import pickle
import subprocess
import sys
from collections import UserDict, UserList

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, EMPTY
from tools import public, root

import initjax as ij
from initjax._core.compile import _prepare_known

each_case = pytest.mark.parametrize("case", CASES, ids=str)

SCALARS = [
    np.float32(0.5),
    np.float64(0.5),
    np.asarray(0.5),
    jnp.asarray(0.5),
    jnp.asarray(0.5, jnp.bfloat16),
]

PLAIN = [
    # what the user gives, what the config keeps
    *[(ij.RandomNormal(stddev=half).stddev, 0.5) for half in SCALARS],
    *[(ij.VarianceScaling(scale=half).scale, 0.5) for half in SCALARS],
    *[(ij.TruncatedNormal(lower=-half).lower, -0.5) for half in SCALARS],
    *[(ij.Constant(half).value, 0.5) for half in SCALARS],
    (ij.RandomNormal(mean=-0.0).mean, 0.0),
    (ij.RandomUniform(np.int8(-3), jnp.int32(4)).maxval, 4),
    (ij.Constant(np.complex64(1j)).value, 1j),
    (ij.Constant(np.bool_(True)).value, True),
    (ij.Orthogonal(column_axis=np.int64(-2)).column_axis, -2),
    (ij.STFT(periodic=np.bool_(True)).periodic, True),
    (ij.HeNormal(seed=np.uint32(7)).seed, 7),
    (ij.HeNormal(seed=np.str_("head")).seed, "head"),
    (ij.HeNormal(seed=["encoder", 3]).seed, ("encoder", 3)),
    (ij.HeNormal(seed=("head",)).seed, "head"),
    (ij.HeNormal(seed=()).seed, None),
    (ij.HeNormal(seed=UserList(["a", UserList(["b"])])).seed, ("a", ("b",))),
    (ij.HeNormal(fan=UserList([3, 4])).fan, ij.Given(3, 4)),
    (ij.Fan.fused(UserDict(q=3, k=4)), ij.Fan.fused({"q": 3, "k": 4})),
    (ij.per_layer("ones", UserList([1, 2])).scales, (1.0, 2.0)),
    (ij.Sum(UserList(["ones", 2])), ij.Sum(["ones", 2])),
    (ij.with_row("ones", UserList([0, 1])).index, (0, 1)),
    (ij.HeNormal(in_axis=0, out_axis=[1, np.int32(2)]).out_axis, (1, 2)),
    (ij.HeNormal(dtype=jnp.bfloat16).dtype, "bfloat16"),
    (ij.VarianceScaling(mode="FAN_OUT").mode, "fan_out"),
    (ij.VarianceScaling(distribution="Uniform").distribution, "uniform"),
]

# numbers that == treats in its own way: NaN differs from itself, -0.0 equals 0.0
ODD = [
    ij.Constant(float("nan")),
    ij.Constant(float("-inf")),
    ij.Constant([float("-inf"), 0.0, float("nan")]),
    ij.Constant(complex(float("nan"), float("inf"))),
    ij.Constant([complex(0.0, float("-inf"))]),
    ij.Constant(-0.0),
    ij.Constant([]),
    ij.Constant([[], []]),
    ij.Constant(2**63),
    ij.Constant([2**64 - 1]),
    ij.Constant([True, False]),
]

every = pytest.mark.parametrize(
    "init", [case.init for case in CASES + EMPTY] + ODD, ids=repr
)


@every
def test_is_frozen_and_slotted(init):
    field = dataclasses.fields(init)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(init, field, None)
    assert not hasattr(init, "__dict__")


@every
def test_equals_its_copies_and_hashes_alike(init):
    for copied in (
        dataclasses.replace(init),
        copy.copy(init),
        copy.deepcopy(init),
        pickle.loads(pickle.dumps(init)),
    ):
        assert copied == init
        assert hash(copied) == hash(init)


@every
def test_repr_builds_an_equal_config(init):
    assert eval(repr(init), public()) == init


@every
def test_config_survives_json(init):
    config = init.get_config()
    again = type(init).from_config(json.loads(json.dumps(config)))
    assert again == init
    assert repr(again) == repr(init)
    assert type(init).from_config(config) == init


def test_different_laws_are_different_values():
    inits = {case.name: case.init for case in CASES}
    del inits["scaling_vector"], inits["scaling_scalar"]  # as "scaling_in"
    del inits["orthogonal_conv"], inits["delta_5d"]  # as "orthogonal" and "delta_3d"
    assert len(set(inits.values())) == len(inits)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ij.HeNormal(), ij.VarianceScaling(2.0)),  # one law, two classes
        (ij.Constant(0.0), ij.Constant(-0.0)),
        (ij.Constant([0.0]), ij.Constant([-0.0])),
        (ij.Constant(1.0), ij.Constant([1.0])),
        (ij.Constant(1.0), ij.Constant(1.0, dtype="float32")),
        (ij.HeNormal(seed=1), ij.HeNormal(seed="1")),
        (ij.HeNormal(seed=0), ij.HeNormal()),
    ],
)
def test_what_draws_differently_is_not_equal(one, other):
    assert one != other


def test_a_constant_fills_its_own_bits(key):
    """Not those of an earlier one that == takes for the same."""
    zeros = [ij.Constant(zero)(key, ()) for zero in (0.0, -0.0, 0.0)]
    assert [np.signbit(zero) for zero in zeros] == [False, True, False]


@pytest.mark.parametrize(("kept", "plain"), PLAIN)
def test_fields_are_plain_python(kept, plain):
    assert type(kept) is type(plain)
    assert repr(kept) == repr(plain)  # which tells 0.0 from -0.0


@each_case
def test_is_a_leaf_of_a_tree(case):
    tree = {"kernel": case.init, "bias": ij.Zeros()}
    assert jax.tree.leaves(tree) == [ij.Zeros(), case.init]


@each_case
def test_is_a_jax_initializer(case):
    assert isinstance(case.init, jax.nn.initializers.Initializer)


@each_case
def test_equal_configs_trace_once(case):
    traces = []
    jitted = jax.jit(lambda init: traces.append(init), static_argnums=0)
    jitted(case.init)
    jitted(copy.deepcopy(case.init))
    jitted(type(case.init).from_config(case.init.get_config()))
    assert traces == [case.init]


def test_a_traced_number_compares_by_identity_and_stays_in_no_cache():
    def look(stddev):
        laws = [ij.RandomNormal(stddev=stddev), ij.scaled(ij.HeNormal(), stddev)]
        for law in laws:
            same, other = dataclasses.replace(law), type(law)(*_twice(law, stddev))
            assert (law == same, hash(law) == hash(same)) == (True, True)
            assert (law == other, hash(law) == hash(other)) == (False, False)
            kept = _prepare_known.cache_info().currsize
            law(root(), (3,))
            assert _prepare_known.cache_info().currsize == kept
        return stddev

    with jax.checking_leaks():
        jax.jit(look)(0.5)


def _twice(law, stddev):
    return (0.0, 2 * stddev) if isinstance(law, ij.RandomNormal) else ("ones", stddev)


def test_pickles_mean_the_same_in_another_process():
    """Under another hash seed an unpickled config is equal, and found in a set."""
    source = [(repr(case.init), case.init) for case in CASES]
    program = (
        "import pickle, sys; from initjax import *\n"
        "for text, init in pickle.load(sys.stdin.buffer):\n"
        "    assert init in {eval(text)}, text\n"
        "print(hash('initjax'))"
    )
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    child = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(source),
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr.decode()
    assert int(child.stdout) != hash("initjax")


@pytest.mark.parametrize(
    ("init", "config"),
    [
        (ij.Zeros(), {}),
        (ij.RandomNormal(), {"mean": 0.0, "stddev": 0.05, "seed": None}),
        (ij.HeNormal(), {"seed": None}),
        (ij.HeNormal(seed=("a", 1)), {"seed": ["a", 1]}),
        (ij.HeNormal(dtype="float16"), {"seed": None, "dtype": "float16"}),
        (
            ij.TruncatedNormal(exact_stddev=True),
            {"mean": 0.0, "stddev": 0.05, "seed": None, "exact_stddev": True},
        ),
        (
            ij.HeNormal(in_axis=0, out_axis=(1, 2)),
            {"seed": None, "in_axis": [0], "out_axis": [1, 2]},
        ),
        (ij.Constant([[1, 2]]), {"value": [[1, 2]]}),
    ],
    ids=repr,
)
def test_config_holds_kerass_arguments_and_what_differs_from_our_defaults(init, config):
    assert init.get_config() == config


def test_a_constant_keeps_its_own_copy_of_an_array(key):
    source = np.ones(3, np.float32)
    init = ij.Constant(source)
    source[:] = 7
    assert init(key, (3,)).tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(init.value)[:] = 7


@each_case
def test_a_promise_is_a_value_too(case):
    """It pickles, copies, compares, and prints plain numbers."""
    law = case.init.law(case.shape)
    for again in (pickle.loads(pickle.dumps(law)), copy.deepcopy(law)):
        assert (again, hash(again), repr(again)) == (law, hash(law), repr(law))
        if law.cdf is not None:
            points = np.linspace(-1, 2, 7)
            np.testing.assert_array_equal(again.cdf(points), law.cdf(points))
    assert law == dataclasses.replace(case.init).law(case.shape)
    assert "np." not in repr(law)
    assert "Array" not in repr(law)
