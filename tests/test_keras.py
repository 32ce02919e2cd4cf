"""The real Keras reads what we write, writes what we read, and draws the same laws."""

import contextlib
import inspect
import json

import jax
import keras
import numpy as np
import pytest
from cases import CASES, KERAS

import initjax as ij

OURS = [case for case in CASES if not case.keras]
# Keras's Identity reads a gain and leaves it out of its own config
RETURNING = [case for case in KERAS if case.name != "identity_tall"]

FORMS = pytest.mark.parametrize("form", ["keras2", "keras3"])


@contextlib.contextmanager
def lenient():
    """JAX as Keras needs it: it mixes dtypes and reuses keys."""
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.debug_key_reuse(False),
    ):
        yield


def to_keras(init, form="keras3"):
    node = json.loads(json.dumps(ij.serialize(init, form)))
    with lenient():
        return keras.initializers.deserialize(node)


def from_keras(theirs):
    return ij.deserialize(json.loads(json.dumps(keras.initializers.serialize(theirs))))


def plain(init):
    """The law without its dtype and method, and with the seed that Keras gets."""
    config = {**init.get_config(), "dtype": None}
    config.pop("method", None)
    if config.get("seed") is not None:
        config["seed"] = ij.serialize(init)["config"]["seed"]
    return type(init).from_config(config)


@FORMS
@pytest.mark.parametrize("case", KERAS, ids=str)
def test_keras_reads_our_configs(case, form):
    theirs = to_keras(case.init, form)
    assert type(theirs) is getattr(keras.initializers, case.keras)
    fields = ij.serialize(case.init, form)["config"]
    for name in fields.keys() - {"value", "seed"}:
        assert getattr(theirs, name) == fields[name]
    # an array's wrapper is compared by its numbers below; Keras replaces an unset seed
    assert theirs.get_config().get("seed") == fields.get("seed")


@FORMS
@pytest.mark.parametrize("case", KERAS, ids=str)
def test_keras_gets_our_configs(case, form):
    theirs = keras.initializers.get(ij.serialize(case.init, form))
    assert type(theirs) is getattr(keras.initializers, case.keras)


@FORMS
@pytest.mark.parametrize("case", OURS, ids=str)
def test_keras_refuses_what_it_would_draw_differently(case, form):
    with pytest.raises((TypeError, ValueError)):
        keras.initializers.get(ij.serialize(case.init, form))


@FORMS
@pytest.mark.parametrize("case", RETURNING, ids=str)
def test_a_law_comes_back_from_keras(case, form):
    assert from_keras(to_keras(case.init, form)) == plain(case.init)


def test_a_clone_keeps_its_path_beside_the_seed_that_keras_gets():
    clone = ij.clone_initializer(ij.HeNormal(), ("encoder", 3, "kernel"))
    node = ij.serialize(clone, "keras3")
    theirs = keras.initializers.deserialize(node)
    assert theirs.seed == node["config"]["seed"]
    assert ij.deserialize(node) == clone


KERAS_CONFIGS = [
    (keras.initializers.Zeros(), ij.Zeros()),
    (keras.initializers.Ones(), ij.Ones()),
    (keras.initializers.Constant(2.5), ij.Constant(2.5)),
    (keras.initializers.Constant(np.float32([1, 2])), ij.Constant([1.0, 2.0])),
    (keras.initializers.Constant(np.float32(2.5)), ij.Constant(2.5)),
    (keras.initializers.RandomNormal(1.0, 2.0, seed=3), ij.RandomNormal(1.0, 2.0, 3)),
    (keras.initializers.RandomUniform(0, 2), ij.RandomUniform(0, 2)),
    (
        keras.initializers.TruncatedNormal(1.0, 0.1, seed=0),
        ij.TruncatedNormal(1.0, 0.1, 0),
    ),
    (
        keras.initializers.VarianceScaling(2.0, "fan_avg", "normal"),
        ij.VarianceScaling(2.0, "fan_avg", "truncated_normal"),
    ),
    (
        keras.initializers.HeUniform(input_axes=[0], output_axes=[1, 2]),
        ij.HeUniform(in_axis=0, out_axis=(1, 2), batch_axis="rest"),
    ),
    (
        keras.initializers.HeNormal(seed=keras.random.SeedGenerator(42)),
        ij.HeNormal(seed=42),
    ),
    (keras.initializers.Orthogonal(0.5, seed=1), ij.Orthogonal(0.5, 1)),
    (keras.initializers.STFT("imag", None, None), ij.STFT("imag", None, None)),
]


@pytest.mark.parametrize(("theirs", "ours"), KERAS_CONFIGS, ids=lambda x: repr(x)[:30])
def test_we_read_keras_configs(theirs, ours):
    assert from_keras(theirs) == ours


@pytest.mark.parametrize(("theirs", "ours"), KERAS_CONFIGS, ids=lambda x: repr(x)[:30])
def test_classes_take_keras_arguments_in_keras_order(theirs, ours):
    """Ours may add more, by keyword only."""
    parameters = inspect.signature(type(theirs).__init__).parameters
    known = {"input_axes": "in_axis", "output_axes": "out_axis"}
    positional = [
        (name, p.default)
        for name, p in inspect.signature(type(ours)).parameters.items()
        if p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    expected = [
        (name, p.default)
        for name, p in parameters.items()
        if name not in ("self", "args", "kwargs") and name not in known
    ]
    assert positional == expected


@pytest.mark.parametrize("case", [case for case in KERAS if not case.random], ids=str)
def test_laws_without_chance_give_the_numbers_of_keras(case, key):
    ours = case.init(key, case.shape)
    with lenient():
        theirs = np.asarray(to_keras(case.init)(case.shape))
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("window", ["hann", "hamming", "blackman", "bartlett"])
@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize(
    ("scaling", "periodic"), [("density", False), ("spectrum", True), (None, True)]
)
def test_stft_kernels_are_those_of_keras(side, window, scaling, periodic, key):
    init = ij.STFT(side, window, scaling, periodic)
    ours = init(key, (48, 1, 33))
    with lenient():
        theirs = np.asarray(to_keras(init)((48, 1, 33)))
    # Keras rounds 2 pi t f / n to float32 before the cosine: t f / n reaches 24 turns
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=2e-5)


LARGE = {0: (), 1: (100_000,), 2: (250, 400), 3: (5, 100, 200), 4: (3, 3, 100, 112)}


@pytest.mark.parametrize(
    "case",
    [case for case in KERAS if case.random and case.shape and not case.init.dtype][::2],
    ids=str,
)
def test_keras_draws_the_same_law(case, key):
    """Means and standard deviations differ by less than 5 standard errors."""
    shape = LARGE[len(case.shape)]
    ours = np.asarray(case.init(key, shape), np.float64)
    with lenient():
        theirs = np.asarray(to_keras(plain(case.init))(shape), np.float64)
    (mean, var, mean_se, var_se), (their_mean, their_var, *_) = map(
        moments, (ours, theirs)
    )
    assert abs(mean - their_mean) <= 5 * np.sqrt(2) * mean_se
    assert abs(var - their_var) <= 5 * np.sqrt(2) * var_se + 1e-6 * var


def moments(x):
    """Mean and variance, and their standard errors by the fourth moment."""
    centred = x - x.mean()
    variance = np.mean(centred**2)
    fourth = np.mean(centred**4)
    return (
        x.mean(),
        variance,
        np.sqrt(variance / x.size),
        np.sqrt((fourth - variance**2) / x.size),
    )
