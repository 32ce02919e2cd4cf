"""Gains: torch's table, exact integrals, and variances through deep networks."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats
from tools import assert_refused

import initjax as ij

LINEAR = ["linear", *(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3))]
TORCH = {
    **{(name,): 1.0 for name in LINEAR},
    ("sigmoid",): 1.0,
    ("tanh",): 1.6666666666666667,
    ("relu",): 1.4142135623730951,
    ("leaky_relu",): 1.4141428569978354,
    ("leaky_relu", 10): 0.14071950894605836,
    ("leaky_relu", 0.2): 1.3867504905630728,
    ("selu",): 0.75,
}


@pytest.mark.parametrize("asked", TORCH)
def test_torchs_names_have_torchs_numbers(asked):
    assert ij.gain(*asked) == pytest.approx(TORCH[asked], rel=1e-12)


def test_the_numbers_are_those_of_the_torch_that_is_here():
    init = pytest.importorskip("torch").nn.init
    for asked in TORCH:
        assert ij.gain(*asked) == pytest.approx(init.calculate_gain(*asked), rel=1e-12)


# -- integrals -------------------------------------------------------------------------

SQUARES = {  # E f(z)^2, and E f'(z)^2, in closed form
    "linear": (1.0, 1.0),
    "relu": (1 / 2, 1 / 2),
    "leaky_relu": (1.0001 / 2, 1.0001 / 2),
    "identity": (1.0, 1.0),
    "hard_tanh": (1 - 2 * stats.norm.pdf(1), math.erf(1 / math.sqrt(2))),
    "selu": (1.0, None),
}
FUNCTIONS = {  # the same of functions
    "exp": (jnp.exp, math.exp(2), math.exp(2)),
    "cube": (lambda x: x**3, 15, 27),
    "sine": (jnp.sin, (1 - math.exp(-2)) / 2, (1 + math.exp(-2)) / 2),
    "fast": (lambda x: jnp.sin(300 * x), 1 / 2, 300**2 / 2),
    "kink": (lambda x: jax.nn.relu(x - 0.3), None, stats.norm.sf(0.3)),
    "jump": (lambda x: jnp.where(x > 0.3, 1.0, 0.0), stats.norm.sf(0.3), None),
    "bool": (lambda x: x > 0.3, stats.norm.sf(0.3), None),
    "erf": (special.erf, 2 / math.pi * math.asin(2 / 3), None),  # SciPy's own
}


@pytest.mark.parametrize("name", [*SQUARES, *FUNCTIONS])
def test_other_gains_are_integrals(name):
    function, *squares = FUNCTIONS.get(name) or (name, *SQUARES[name])
    for of, square in zip(("second_moment", "derivative"), squares, strict=True):
        if square is not None:
            assert ij.gain(function, of=of) ** -2 == pytest.approx(square, rel=1e-12)


SMOOTH = {  # an activation by a name of jax.nn, and by SciPy
    "gelu": lambda x: x / 2 * (1 + np.tanh(GELU * (x + 0.044715 * x**3))),
    "silu": lambda x: x * special.expit(x),
    "swish": lambda x: x * special.expit(x),
    "softplus": lambda x: np.logaddexp(0, x),
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "tanh": np.tanh,
}
GELU = math.sqrt(2 / math.pi)


@pytest.mark.parametrize("name", SMOOTH)
def test_names_mean_the_functions_of_jax(name):
    square = integrate.quad(
        lambda x: SMOOTH[name](x) ** 2 * stats.norm.pdf(x), -30, 30, epsabs=1e-13
    )[0]
    gain = ij.gain(name, of="second_moment")
    assert gain**-2 == pytest.approx(square, rel=1e-10)
    if name != "tanh":  # which is torch's
        assert ij.gain(name) == gain


def test_alpha_is_a_parameter():
    assert ij.gain("elu", 0.5) == ij.gain(lambda x: jax.nn.elu(x, 0.5))


def test_a_function_in_float32_has_its_exactness():
    def narrow(x):
        return jnp.tanh(x.astype(jnp.float32)) * jnp.float32(2)

    assert ij.gain(narrow) == pytest.approx(ij.gain(jnp.tanh) / 2, rel=1e-6)
    assert jnp.ones(()).dtype == jnp.float32  # the mode is back


def test_gains_are_numbers_inside_traced_functions_too():
    def scaled(x):
        made = ij.gain(jax.nn.silu), ij.gain("tanh", of="derivative")
        assert all(type(number) is float for number in made)
        return x * made[0]

    assert jax.jit(scaled)(1.0) == jnp.float32(ij.gain("silu"))


# -- what they are for -----------------------------------------------------------------

DEPTH, WIDTH = 50, 512
ACTIVATIONS = {
    "tanh": (jnp.tanh, np.tanh),
    "relu": (jax.nn.relu, lambda x: np.maximum(x, 0)),
    "gelu": (jax.nn.gelu, SMOOTH["gelu"]),
    "silu": (jax.nn.silu, SMOOTH["silu"]),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_variance_stays_through_50_infinitely_wide_layers(name):
    """A gain that is off by 1 % would be seen, by far more in gelu and silu."""
    scale = ij.VarianceScaling.for_activation(name).scale
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    if name == "relu":  # half of a square, which the nodes integrate
        weights = weights * 2 * (nodes > 0)
        scale /= 2
    weights = weights / math.sqrt(2 * math.pi)

    def deepest(scale):
        variance = 1.0
        for _ in range(DEPTH):
            values = ACTIVATIONS[name][1](math.sqrt(variance) * nodes)
            variance = scale * (weights @ values**2)
        return variance

    assert abs(deepest(scale) - 1) < 1e-6
    assert abs(deepest(scale * 1.01**2) - 1) > 0.02


def variances(name, key, normalized):
    """Of the pre-activations of 50 layers with weights of the law."""
    activation = ACTIVATIONS[name][0]
    law = ij.VarianceScaling.for_activation(activation)
    first, rest = jax.random.split(key)
    keys = jax.random.split(rest, DEPTH)

    def layer(x, key):
        y = activation(x) @ law(key, (WIDTH, WIDTH))
        squares = jnp.mean(y**2, 1, keepdims=True)
        return y / (jnp.sqrt(squares) if normalized else 1), squares.mean()

    x = jax.random.normal(first, (64, WIDTH))
    return np.asarray(jax.jit(lambda x, ks: jax.lax.scan(layer, x, ks)[1])(x, keys))


def test_the_variance_stays_through_50_layers_of_tanh(key):
    assert np.abs(variances("tanh", key, False) - 1).max() < 0.1


@pytest.mark.parametrize("name", ["relu", "gelu", "silu"])
def test_each_of_50_layers_keeps_a_variance_of_1(name, key):
    """Of every input; in the mean of layers, within 3 errors, sqrt(6 / 512 / 50).

    No finite network of gelu or silu keeps its own, whatever the gain: a deviation
    grows by 1.14^50 and 1.17^50; and relu's walks at random.
    """
    assert abs(variances(name, key, True).mean() - 1) < 0.05


def test_for_activation_is_variance_scaling():
    law = ij.VarianceScaling.for_activation("leaky_relu", 0.2, seed="x")
    assert law == ij.VarianceScaling(law.scale, seed="x")
    assert law.scale == pytest.approx(2 / 1.04, rel=1e-12)
    law = ij.VarianceScaling.for_activation(
        "selu", mode="fan_out", distribution="uniform", of=None, fan="conv"
    )
    assert law == ij.VarianceScaling(0.5625, "fan_out", "uniform", fan="conv")


# -- wrong uses: those that a line can write are in rare_errors.py ---------------------

NOT_BY_ENTRY = (
    "is not elementwise: a value depends on the other entries; give a function of each "
    "entry alone."
)
WRONG = {
    "softmax": (jax.nn.softmax, NOT_BY_ENTRY),
    "cumsum": (jnp.cumsum, NOT_BY_ENTRY),
    "glu": (
        jax.nn.glu,
        "is not elementwise: the function returned shape (1024,) for (2048,); give a "
        "function of each entry alone.",
    ),
    "zeros_like": (jnp.zeros_like, "is zero on N(0, 1), and no gain makes it more."),
    "log": (jnp.log, "is not finite at some z; a gain needs E f(z)^2, z ~ N(0, 1)."),
    "reciprocal": (
        jnp.reciprocal,
        "has no second moment that a quadrature finds; is it finite?",
    ),
    "sin": (
        math.sin,
        re.compile(
            r"the function raised TypeError\(.*\); it is called with an array.*"
        ),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_function_without_a_gain_is_refused(name):
    function, rule = WRONG[name]
    where = f"gain({function.__name__})"
    if isinstance(rule, str):
        message = f"{where}: {rule}"
    else:
        message = re.compile(re.escape(f"{where}: ") + rule.pattern)
    assert_refused(lambda: ij.gain(function), ValueError, message)


def test_values_that_are_no_numbers_are_refused():
    def turned(x):
        return 1j * x

    def traced(scale):
        def function(x):
            return scale * x

        return ij.gain(function)

    message = "gain(turned): the function returned complex128; give a real one."
    assert_refused(lambda: ij.gain(turned), TypeError, message)
    message = (
        "gain(function): the function depends on a traced value; a gain is a number, "
        "so make it outside."
    )
    assert_refused(lambda: jax.jit(traced)(2.0), TypeError, message)
    message = re.compile(r"gain\('leaky_relu', .*\): param is traced; give a number\.")
    slope = jax.jit(lambda x: ij.gain("leaky_relu", x))
    assert_refused(lambda: slope(0.1), TypeError, message)
    message = (
        "gain(tanh, 2): param is for names; let the function have its number itself."
    )
    assert_refused(lambda: ij.gain(jnp.tanh, 2), ValueError, message)
