"""Other distributions and recurrent laws: each has the property that defines it."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats
from tools import assert_moments, assert_same_bits, root, wide, written

import initjax as ij
from initjax._core.samplers import fine_unit

N = 40_000
CONTINUOUS = [
    (ij.Laplace(0.5, 2.0), stats.laplace(0.5, 2)),
    (ij.LogUniform(1e-3, 0.1), stats.loguniform(1e-3, 0.1)),
    (ij.LogUniform(1e-30, 1e30), stats.loguniform(1e-30, 1e30)),
    (ij.Cauchy(-1.0, 0.5), stats.cauchy(-1, 0.5)),
    (ij.StudentT(0.5), stats.t(0.5)),
    (ij.StudentT(1.0, 3.0, 2.0), stats.t(1, 3, 2)),
    (ij.StudentT(1.5), stats.t(1.5)),
    (ij.StudentT(3.0, 1.0), stats.t(3, 1)),
    (ij.StudentT(1e4), stats.t(1e4)),
]


def sample(init, dtype="float32", n=N):
    with wide(dtype):
        return np.asarray(init(root(), (n,), dtype))


@pytest.mark.parametrize(
    ("init", "theirs", "dtype"),
    [(*pair, "float32") for pair in CONTINUOUS]
    + [(*pair, "float64") for pair in CONTINUOUS[::2]],
    ids=written,
)
def test_draws_follow_scipys_law(init, theirs, dtype):
    """By Kolmogorov-Smirnov, and by the shares beyond quantiles of both tails."""
    x = sample(init, dtype).astype(np.float64)
    assert stats.kstest(x, theirs.cdf).pvalue > 1e-3
    for p in (1e-3, 1e-2):
        error = 5 * math.sqrt(p / N)
        assert abs(np.mean(x < theirs.ppf(p)) - p) < error
        assert abs(np.mean(x > theirs.ppf(1 - p)) - p) < error


@pytest.mark.parametrize(("init", "theirs"), CONTINUOUS, ids=written)
def test_law_promises_scipys_law(init, theirs):
    law, no_std = init.law((3,)), not np.isfinite(theirs.std())
    x = theirs.ppf(np.linspace(0.01, 0.99, 21))
    np.testing.assert_allclose(law.cdf(x), theirs.cdf(x), atol=1e-6)
    if no_std:  # nor a mean, but a centre
        assert (law.mean, law.std) == (theirs.median(), math.inf)
        return
    np.testing.assert_allclose((law.mean, law.std), (theirs.mean(), theirs.std()))
    np.testing.assert_allclose((law.low, law.high), theirs.support())


def test_bits_are_a_fraction_in_the_half_open_unit_interval():
    bits = jnp.array([0, 1, 2, 3, 2**32 - 1], "uint32")
    u = np.asarray(fine_unit(bits, np.dtype("float32")), np.float64)
    np.testing.assert_array_equal(u, [2**-32, 2**-32, 3 * 2**-32, 3 * 2**-32, 1])


def test_laplace_and_cauchy_are_their_inverse_cdf_of_the_bits():
    bits = np.asarray(jax.random.bits(root(), (N,), "uint32"))
    p = (bits | 1) / 2**33
    p = np.where(bits & 1, 1 - p, p)  # the lower half is below the median
    expected = stats.laplace.ppf(p)
    np.testing.assert_allclose(sample(ij.Laplace()), expected, rtol=1e-5, atol=1e-6)
    expected = -stats.cauchy.ppf(p)
    np.testing.assert_allclose(sample(ij.Cauchy()), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("init", "dtype"),
    [
        (ij.Cauchy(scale=1e38), "float32"),
        (ij.StudentT(0.1), "float32"),
        (ij.Cauchy(), "float8_e4m3fn"),
        (ij.StudentT(0.5), "float16"),
    ],
    ids=repr,
)
def test_heavy_tails_saturate(init, dtype):
    x = sample(init, dtype).astype(np.float64)
    assert np.abs(x).max() == float(jnp.finfo(dtype).max)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e5m2"])
@pytest.mark.parametrize("bounds", [(0.01, 0.1), (0.9, 1.1), (1, 7)])
def test_log_uniform_is_half_open_after_rounding(bounds, dtype):
    x = sample(ij.LogUniform(*bounds), dtype).astype(np.float64)
    assert bounds[0] <= x.min()
    assert x.max() < bounds[1]


def test_equal_bounds_give_that_value():
    np.testing.assert_array_equal(sample(ij.LogUniform(0.3, 0.3)), np.float32(0.3))
    law = ij.LogUniform(0.3, 0.3).law((3,))
    assert (law.mean, law.std) == (0.3, 0.0)


@pytest.mark.parametrize("by", [0.25, 3.0])
@pytest.mark.parametrize("init", [init for init, _ in CONTINUOUS[::2]], ids=repr)
def test_a_multiple_is_drawn_by_the_laws_own_parameters(init, by):
    expected = by * sample(init).astype(np.float64)
    got = sample(ij.Scaled(init, by)).astype(np.float64)
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-6)


TRACED = {
    "laplace": lambda s: ij.Laplace(s, s),
    "log_uniform": lambda s: ij.LogUniform(0.01, s),
    "cauchy": lambda s: ij.Cauchy(s, s),
    "student_t": lambda s: ij.StudentT(s, 1.0, s),
    "chrono": lambda s: ij.Chrono(100 * s),
    "mamba_dt": lambda s: ij.MambaDt(dt_max=s, floor=s / 20),
    "eigenvalue": lambda s: ij.Ring(s, 0.99, s, dtype="complex64"),
    "nu_log": lambda s: ij.Ring(0.1, s, part="nu_log"),
    "theta_log": lambda s: ij.Ring(max_phase=s, part="theta_log"),
}


@pytest.mark.parametrize("name", TRACED)
def test_traced_numbers_draw_what_numbers_do(name):
    law = TRACED[name]
    drawn = jax.jit(lambda s: law(s)(root(), (64,)))(0.75)
    np.testing.assert_allclose(drawn, law(0.75)(root(), (64,)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", TRACED)
def test_float64_and_complex_bits_are_those_of_jit(name):
    init = TRACED[name](0.75)
    dtype = "complex128" if name == "eigenvalue" else "float64"
    with wide(dtype):
        eager = init(root(), (8, 32), dtype)
        jitted = jax.jit(lambda key: init(key, eager.shape, dtype))(root())
        assert_same_bits(jitted, eager)


# -- discrete --------------------------------------------------------------------

DISCRETE = [
    ([5.0], None),
    ([-1, 1], [0.1, 0.9]),
    ([3, 1, 2], None),
    ([0.5, 0.5, 2], [0.25, 0.25, 0.5]),  # one value twice
    ([1, 2, 3, 4], [0.0, 0.4, 0.6, 0.0]),
    (range(37), np.arange(1, 38) / 703),
]


@pytest.mark.parametrize(("values", "shares"), DISCRETE, ids=str)
def test_categorical_has_its_probabilities(values, shares):
    init = ij.Categorical(values, shares)
    x, law = sample(init), init.law((3,))
    values = np.asarray(values, np.float64)
    shares = np.full(len(values), 1 / len(values)) if shares is None else shares
    distinct = np.unique(values[np.asarray(shares) > 0])
    expected = np.array([np.sum(shares, where=values == v) for v in distinct])
    counts = np.array([np.sum(x == v) for v in distinct])
    assert counts.sum() == N  # nothing else is drawn
    if len(distinct) > 1:
        assert stats.chisquare(counts, N * expected).pvalue > 1e-3
    mean = expected @ distinct
    np.testing.assert_allclose(law.mean, mean)
    spread = math.sqrt(expected @ (distinct - mean) ** 2)
    np.testing.assert_allclose(law.std, spread, atol=1e-9)
    assert (law.low, law.high) == (distinct[0], distinct[-1])
    np.testing.assert_allclose(law.cdf(distinct), np.cumsum(expected), atol=1e-9)
    before = np.nextafter(distinct, -np.inf)
    np.testing.assert_allclose(law.cdf(before) + expected, np.cumsum(expected))


def test_categorical_is_the_inverse_cdf_of_the_bits():
    bits = np.asarray(jax.random.bits(root(), (N,), "uint32"))
    edges = np.rint(np.cumsum([0.1, 0.2, 0.3]) * 2**32)
    x = sample(ij.Categorical([7, 5, 9, 8], [0.1, 0.2, 0.3, 0.4]))
    np.testing.assert_array_equal(
        x, np.array([7, 5, 9, 8])[np.searchsorted(edges, bits, "right")]
    )


@pytest.mark.parametrize("dtype", ["int8", "bfloat16", "int4"])
def test_categorical_draws_the_same_values_in_narrow_dtypes(dtype):
    init = ij.Categorical([-1, 0, 1])
    np.testing.assert_array_equal(sample(init, dtype).astype(np.float32), sample(init))


# -- recurrent -------------------------------------------------------------------


@pytest.mark.parametrize("order", ["ifgo", "fogi", "if"])
def test_chronos_forget_gates_have_uniform_time_constants(order):
    t_max, n = 50.0, 10_000
    bias = np.asarray(ij.Chrono(t_max, order)(root(), (2, n // 2 * len(order))))
    gates = dict(zip(order, np.split(bias, len(order), axis=-1), strict=True))
    f = gates.pop("f").ravel().astype(np.float64)
    np.testing.assert_array_equal(gates.pop("i").ravel(), -f)
    assert not any(rest.any() for rest in gates.values())
    times = 1 / (1 - special.expit(f))
    assert stats.kstest(times, stats.uniform(2, t_max - 2).cdf).pvalue > 1e-3


def test_chronos_law_is_that_of_all_gates():
    x = np.asarray(ij.Chrono(50.0)(root(), (N,))).astype(np.float64)
    law = ij.Chrono(50.0).law((N,))
    for at in (-3.0, -1.0, -1e-9, 0.0, 1.0, 3.0):
        assert abs(law.cdf(at) - np.mean(x <= at)) < 5 / math.sqrt(N)
    assert law.high == -law.low == pytest.approx(math.log(49))
    assert ij.Chrono(2.0).law((4,)).std == 0
    assert not np.any(ij.Chrono(2.0)(root(), (8,)))


def test_lstm_bias_is_one_in_the_forget_gate():
    for order, at in [("ifgo", 1), ("iofg", 2)]:
        bias = np.asarray(ij.lstm_bias(order=order)(None, (12,))).reshape(4, 3)
        np.testing.assert_array_equal(bias, (np.arange(4) == at)[:, None] * np.ones(3))
    assert ij.lstm_bias(2.5)(None, (8,))[2] == 2.5


# -- state spaces ----------------------------------------------------------------


def test_mambas_steps_are_log_uniform():
    steps = np.logaddexp(0, sample(ij.MambaDt()).astype(np.float64))
    assert stats.kstest(steps, stats.loguniform(1e-3, 0.1).cdf).pvalue > 1e-3


def test_mambas_steps_are_cut_at_the_floor():
    init = ij.MambaDt(1e-4, 0.1, floor=1e-3)
    x, law = sample(init).astype(np.float64), init.law((3,))
    point = math.log(math.expm1(1e-3))
    np.testing.assert_allclose((x.min(), law.low), point, rtol=1e-6)
    at_floor = np.mean(x == x.min())
    assert abs(at_floor - 1 / 3) < 5 * math.sqrt(2 / 9 / N)
    assert law.cdf(law.low) == pytest.approx(1 / 3)
    assert law.cdf(-7.0) == 0
    above = np.logaddexp(0, x[x > x.min()])
    assert stats.kstest(above, stats.loguniform(1e-3, 0.1).cdf).pvalue > 1e-3
    assert ij.MambaDt(1e-4, 1e-3, floor=0.1).law((3,)).std == pytest.approx(0)


RINGS = [(0.0, 1.0, 2 * math.pi), (0.9, 0.999, math.pi / 10), (0.5, 1.0, 1.0)]


@pytest.mark.parametrize("ring", RINGS, ids=str)
def test_eigenvalues_are_uniform_on_the_ring(ring):
    low, high, phase = ring
    init = ij.Ring(*ring)
    z, law = sample(init, "complex64"), init.law((3,), "complex64")
    square = stats.uniform(low**2, high**2 - low**2)
    assert stats.kstest(np.abs(z) ** 2, square.cdf).pvalue > 1e-3
    turn = np.angle(z) % (2 * math.pi)
    assert stats.kstest(turn, stats.uniform(0, phase).cdf).pvalue > 1e-3
    assert_moments(z, law.mean, law.std)
    np.testing.assert_allclose(law.cdf([low, high]), [0, 1])


@pytest.mark.parametrize("ring", RINGS, ids=str)
def test_parts_of_a_ring_are_those_of_its_eigenvalues(ring):
    nu, theta = (
        sample(ij.Ring(*ring, part)).astype(np.float64)
        for part in ("nu_log", "theta_log")
    )
    z = np.exp(-np.exp(nu) + 1j * np.exp(theta))
    np.testing.assert_allclose(z, sample(ij.Ring(*ring), "complex64"), atol=3e-6)
    for x, part in [(nu, "nu_log"), (theta, "theta_log")]:
        law = ij.Ring(*ring, part).law((3,))
        assert np.isfinite(x).all()
        assert stats.kstest(x, law.cdf).pvalue > 1e-3
        assert_moments(x, law.mean, law.std)


# -- features --------------------------------------------------------------------


def test_random_fourier_features_estimate_the_gaussian_kernel():
    bandwidth, features = 1.5, 20_000
    frequencies, phases = jax.random.split(root())
    w = np.asarray(ij.random_fourier(bandwidth)(frequencies, (3, features)), float)
    b = np.asarray(ij.random_fourier_phase()(phases, (features,)), float)
    x = np.array([[0.0, 0.0, 0.0], [0.5, -1.0, 0.2], [2.0, 1.0, -1.0]])
    z = np.cos(x @ w + b)
    for i, j in [(0, 1), (0, 2), (1, 2), (1, 1)]:
        products = 2 * z[i] * z[j]
        kernel = np.exp(-((x[i] - x[j]) ** 2).sum() / (2 * bandwidth**2))
        error = products.std() / math.sqrt(features)
        assert abs(products.mean() - kernel) < 5 * error
