"""Every law holds what it promises: moments, bounds, distribution, in every dtype."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, EMPTY, FIXED, RANDOM
from jax import export
from scipy import stats
from tools import FLOAT8_ROUNDED_ONCE, assert_moments, root, wide

import initjax as ij
from initjax import Fan
from initjax.laws import haar

INF = math.inf
UNCUT = "untruncated_normal"


def sample(init, dtype, n=100_000):
    """Many entries of a law, as one weight whose fans are 250 and 400."""
    return np.asarray(init(root(), (250, n // 250), dtype))


def scipy_law(init):
    """The law's distribution, from its definition and not from initjax."""
    if isinstance(init, ij.Scaled):
        law, by = scipy_law(init.initializer), init.by
        return stats.truncnorm(*law.args[:2], law.args[2] * by, law.args[3] * by)
    n = {"fan_in": 250, "fan_out": 400, "fan_avg": 325, "fan_geo_avg": math.sqrt(1e5)}
    match init:
        case ij.RandomNormal():
            return stats.norm(init.mean, init.stddev)
        case ij.RandomUniform():
            return stats.uniform(init.minval, init.maxval - init.minval)
        case ij.TruncatedNormal():
            mean, sigma = init.mean, init.stddev
            if init.exact_stddev:
                sigma /= stats.truncnorm(init.lower, init.upper).std()
            low, high = (  # bounds of the entries, of which scipy takes relative ones
                mean + sigma * relative if absolute is None else absolute
                for relative, absolute in [
                    (init.lower, init.low),
                    (init.upper, init.high),
                ]
            )
            a, b = (low - mean) / sigma, (high - mean) / sigma
            return stats.truncnorm(a, b, mean, sigma)
        case ij.VarianceScaling():
            std = math.sqrt(init.scale / n[init.mode])
            if init.distribution == "uniform":
                return stats.uniform(-math.sqrt(3) * std, 2 * math.sqrt(3) * std)
            if init.distribution == UNCUT:
                return stats.norm(0, std)
            return stats.truncnorm(-2, 2, 0, std / stats.truncnorm(-2, 2).std())
    raise TypeError(init)


ENTRYWISE = [
    ij.RandomNormal(),
    ij.RandomNormal(1.5, 0.5),
    ij.RandomNormal(seed=("layer", 1)),
    ij.RandomUniform(),
    ij.RandomUniform(1.0, 1.5),
    ij.TruncatedNormal(),
    ij.TruncatedNormal(-2.0, 0.5),
    ij.TruncatedNormal(lower=-0.3, upper=0.3),
    ij.TruncatedNormal(lower=-1, upper=7),
    ij.TruncatedNormal(lower=-INF, upper=1),
    ij.TruncatedNormal(lower=2, upper=3),
    ij.TruncatedNormal(lower=2.9, upper=INF),
    ij.TruncatedNormal(lower=5, upper=INF),
    ij.TruncatedNormal(lower=-6, upper=-5.5),
    ij.TruncatedNormal(lower=-INF, upper=-12),
    ij.TruncatedNormal(lower=50, upper=INF),
    ij.TruncatedNormal(lower=30, upper=31),
    ij.TruncatedNormal(lower=-100, upper=100),
    ij.TruncatedNormal(exact_stddev=True),
    ij.TruncatedNormal(stddev=2.0, lower=-0.5, upper=3, exact_stddev=True),
    ij.TruncatedNormal(lower=5, upper=INF, exact_stddev=True),
    ij.TruncatedNormal(0.0, 0.02, low=-2, high=2),  # torch's trunc_normal_(std=0.02)
    ij.TruncatedNormal(0.5, 1.0, low=-0.3, high=2),
    ij.TruncatedNormal(0.1, 0.05, low=0),
    ij.TruncatedNormal(0.1, 0.05, lower=-INF, high=0.11),
    ij.TruncatedNormal(-1.0, 0.25, low=1, high=INF),
    ij.Scaled(ij.TruncatedNormal(0.5, 1.0, low=-0.3, high=2), 0.1),
    *(
        ij.VarianceScaling(2.0, mode, distribution)
        for mode in ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
        for distribution in ("truncated_normal", UNCUT, "uniform")
    ),
    ij.GlorotNormal(),
    ij.GlorotUniform(),
    ij.HeNormal(),
    ij.HeUniform(),
    ij.LecunNormal(),
    ij.LecunUniform(),
]


@pytest.mark.parametrize(
    ("init", "dtype"),
    [(init, "float32") for init in ENTRYWISE]
    + [(init, "float64") for init in ENTRYWISE[::2]],
    ids=repr,
)
def test_draws_follow_scipys_law(init, dtype):
    """Kolmogorov-Smirnov, mean and standard deviation within 5 standard errors."""
    with wide(dtype):
        x = sample(init, dtype).astype(np.float64).ravel()
    reference = scipy_law(init)
    assert stats.kstest(x, reference.cdf).pvalue > 1e-3
    assert_moments(x, reference.mean(), reference.std())


@pytest.mark.parametrize("init", ENTRYWISE, ids=repr)
def test_law_promises_scipys_law(init):
    law, reference = init.law((250, 400)), scipy_law(init)
    support = reference.support()
    np.testing.assert_allclose(law.mean, reference.mean(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(law.std, reference.std(), rtol=1e-6)
    np.testing.assert_allclose((law.low, law.high), support, rtol=1e-9)
    x = reference.ppf(np.linspace(0.01, 0.99, 21))
    np.testing.assert_allclose(law.cdf(x), reference.cdf(x), rtol=1e-6, atol=1e-9)


def resolved(dtype):
    """The laws that spread over more than a few values of a narrow dtype."""
    eps, laws = (
        float(jnp.finfo(dtype).eps),
        [init.law((250, 400)) for init in ENTRYWISE],
    )
    pairs = zip(ENTRYWISE, laws, strict=True)
    return [
        init for init, law in pairs if eps * (abs(law.mean) + law.std) < law.std / 8
    ]


NARROW = [
    pytest.param(init, dtype, id=f"{init}-{dtype}")
    for dtype in ("bfloat16", "float16")
    for init in resolved(dtype)[:: 1 if dtype == "bfloat16" else 3]
]


@pytest.mark.parametrize(("init", "dtype"), NARROW)
def test_16_bit_floats_keep_moments_and_bounds(init, dtype):
    """Sampled in float32 and rounded once; the bounds hold after rounding."""
    law = init.law((250, 400))
    x = sample(init, dtype).astype(np.float64).ravel()
    assert abs(x.mean() - law.mean) < 5 * law.std / math.sqrt(x.size)
    assert abs(x.std() / law.std - 1) < 0.01
    assert law.low <= x.min()
    assert x.max() <= law.high


@pytest.mark.parametrize(("dtype", "least"), [("bfloat16", 1000), ("float16", 3000)])
@pytest.mark.parametrize(
    "init", [ij.RandomNormal(), ij.TruncatedNormal(), ij.HeNormal()], ids=repr
)
def test_16_bit_floats_have_as_many_values_as_rounding_gives(init, dtype, least):
    """jax.nn.initializers gives 128 and 1024 distinct values, and no tails."""
    x = sample(init, dtype, n=10_000)
    wide_draw = sample(init, "float32", n=10_000)
    assert np.unique(x).size >= least
    rounded = np.unique(wide_draw.astype(x.dtype)).size
    assert rounded - 2 <= np.unique(x).size <= rounded  # values pulled to the bounds


def test_bfloat16_reaches_the_tails():
    x = sample(ij.RandomNormal(stddev=1.0), "bfloat16", n=1_000_000)
    assert x.max() > 4
    assert x.min() < -4


@pytest.mark.parametrize(
    ("init", "dtype"),
    [(init, "float8_e4m3fn") for init in ENTRYWISE[::2]]
    + [(init, "float8_e5m2") for init in ENTRYWISE[::4]],
    ids=repr,
)
def test_float8_has_no_nan_and_keeps_bounds(init, dtype):
    x = sample(init, dtype).astype(np.float64)
    law = init.law((250, 400))
    assert np.isfinite(x).all()
    grid = np.arange(256, dtype=np.uint8).view(jnp.dtype(dtype)).astype(np.float64)
    if ((grid >= law.low) & (grid <= law.high)).any():  # else no value is inside
        assert law.low <= x.min()
        assert x.max() <= law.high


@pytest.mark.parametrize(
    "dtype", ["float8_e4m3fn", "float8_e5m2", "float16", "bfloat16"]
)
@pytest.mark.parametrize(
    "init",
    [ij.RandomNormal(stddev=0.5), ij.RandomUniform(-3, 3), ij.HeNormal()],
    ids=repr,
)
def test_narrow_floats_are_the_float32_draw_rounded_once(init, dtype):
    exact = sample(init, "float32")
    if "8" in dtype and not FLOAT8_ROUNDED_ONCE:
        exact = exact.astype(np.float16)
    narrow = sample(init, dtype)
    law = init.law((250, 400))
    expected = exact.astype(narrow.dtype).astype(np.float64)
    inside = (expected >= law.low) & (expected < law.high)  # else pulled to the bound
    assert inside.mean() > 0.9
    np.testing.assert_array_equal(narrow.astype(np.float64)[inside], expected[inside])


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float16"])
def test_tails_that_a_narrow_dtype_cannot_hold_saturate(dtype):
    largest = float(jnp.finfo(dtype).max)
    x = sample(ij.RandomNormal(stddev=largest / 2), dtype).astype(np.float64)
    assert np.abs(x).max() == largest


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e5m2"])
@pytest.mark.parametrize("bounds", [(0, 1), (0.9, 1.1), (-1, 0), (0.0, 3e-5), (2, 7)])
def test_uniform_is_half_open_after_rounding(bounds, dtype):
    low, high = bounds
    x = sample(ij.RandomUniform(low, high), dtype, n=1_000_000).astype(np.float64)
    assert x.min() >= low
    assert x.max() < high


def test_equal_bounds_give_that_value():
    x = np.asarray(ij.RandomUniform(0.25, 0.25)(root(), (100,)))
    np.testing.assert_array_equal(x, np.float32(0.25))


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint8"])
def test_integers_are_uniform_on_the_half_open_interval(dtype):
    init = ij.RandomUniform(2, 12)
    x = sample(init, dtype)
    counts = np.bincount(x.ravel(), minlength=12)
    assert counts[:2].sum() == 0
    assert stats.chisquare(counts[2:]).pvalue > 1e-3
    law = init.law((250, 400), dtype)
    assert (law.mean, law.low, law.high) == (6.5, 2, 11)
    assert_moments(x, law.mean, law.std)


COMPLEX = [ij.RandomNormal(stddev=2.0)] + [
    ij.VarianceScaling(2.0, "fan_in", distribution)
    for distribution in ("truncated_normal", UNCUT, "uniform")
]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("init", COMPLEX, ids=repr)
def test_complex_laws_have_the_promised_second_moment(init, dtype):
    """sqrt(E|w|^2) is the standard deviation; the phase is uniform."""
    with wide(dtype):
        x = sample(init, dtype).ravel()
        law = init.law((250, 400), dtype)
    expected = 2.0 if isinstance(init, ij.RandomNormal) else math.sqrt(2 / 250)
    assert law.std == pytest.approx(expected)
    assert_moments(x, 0.0, expected)
    assert stats.kstest(np.abs(x), law.cdf).pvalue > 1e-3
    assert stats.kstest(np.angle(x), stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3
    assert np.abs(x).max() <= law.high * (1 + 1e-6)


@pytest.mark.parametrize("case", RANDOM, ids=str)
def test_law_and_draw_agree_for_every_case(case):
    """Mean and standard deviation of many weights, also where entries depend."""
    keys = jax.random.split(root(), 2000)
    draw = jax.jit(jax.vmap(functools.partial(case.init, shape=case.shape)))
    law = case.init.law(case.shape)
    x = np.asarray(draw(keys), np.float64).reshape(2000, -1)
    assert law.low - 1e-6 <= x.min()
    assert x.max() <= law.high + 1e-6
    if case.init.dtype == "bfloat16":
        return  # its rounding has a test of its own
    # weights are independent, their entries may not be: errors over the weights
    for statistic, expected in [
        (x.mean(1), law.mean),
        (((x - law.mean) ** 2).mean(1), law.std**2),
    ]:
        spread = statistic.std() / math.sqrt(2000)
        allowed = 5 * spread + np.finfo(np.float32).eps * 2 * abs(expected)
        assert abs(statistic.mean() - expected) <= allowed


@pytest.mark.parametrize("case", FIXED, ids=str)
def test_law_of_a_fixed_weight_is_that_of_its_entries(case):
    x = np.asarray(case.init(None, case.shape)).astype(np.complex128)
    law = case.init.law(case.shape)
    np.testing.assert_allclose(x.mean(), law.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(x.std(), law.std, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", EMPTY, ids=str)
def test_arrays_without_entries_are_legal(case):
    x = case.init(root(), case.shape)
    assert (x.shape, x.dtype) == (case.shape, jnp.float32)
    assert np.isfinite(case.init.law(case.shape).std)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_eval_shape_builds_nothing(case):
    """An array of 10^12 entries, of laws whose shape is free."""
    bound = case.bound or isinstance(case.init, (ij.Constant, ij.STFT))
    free = case.elementwise and not bound
    big = (10**6, 10**6) if free and len(case.shape) == 2 else case.shape
    out = jax.eval_shape(lambda key: case.init(key, big), root())
    assert out.shape == big


METHODS = pytest.mark.parametrize("method", ["reflections", "qr"])
SIDES = {
    "wide": (2, 8, 32), "row": (1, 7), "one": (1, 1),
    "panels": (131, 131),
}  # fmt: skip
PRECISION = {"bfloat16": 1e-2, "float64": 1e-13, "complex128": 1e-13}


@METHODS
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "bfloat16"])
def test_orthogonal_rows_or_columns(dtype, method):
    init = ij.Orthogonal(gain=2.0, method=method)
    with wide(dtype):
        few = ("wide", "panels") if dtype == "float64" else ("wide",)
        sides = SIDES if dtype == "float32" else few
        drawn = {what: init(root(), SIDES[what], dtype) for what in sides}
    for what, q in drawn.items():
        assert q.dtype == dtype
        q = np.asarray(q).reshape(-1, q.shape[-1]).astype(np.complex128) / 2
        gram = q.conj().T @ q if q.shape[0] >= q.shape[1] else q @ q.conj().T
        error = np.abs(gram - np.eye(len(gram))).max()
        assert error < PRECISION.get(dtype, 1e-5), what


def test_a_large_orthogonal_matrix_is_orthogonal_and_takes_little_memory():
    """One matrix, and many: with the result at most 3 times its size."""
    many = ij.Orthogonal(fan=Fan.stacked(0))
    for init, shape in [(ij.Orthogonal(), (2048, 2048)), (many, (64, 256, 256))]:
        made = jax.jit(lambda key: init(key, shape)).lower(root()).compile()  # noqa: B023
        memory = made.memory_analysis()
        size = memory.output_size_in_bytes
        assert size == 4 * math.prod(shape)
        assert memory.temp_size_in_bytes + size <= 3 * size
        q = made(root())
        one = np.asarray(q).reshape(-1, *shape[-2:])[-1].astype(np.float64)
        assert np.abs(one.T @ one - np.eye(len(one))).max() < 1e-5


HAAR = {"one": (1, 1), "square": (4, 4), "wide": (3, 6), "conv": (2, 1, 2, 3)}


@METHODS
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("shape", HAAR.values(), ids=HAAR)
def test_orthogonal_is_haar(shape, dtype, method):
    """Entries have the law of a sphere's coordinate; rotations change nothing."""
    keys = jax.random.split(root(), 4000)
    init = ij.Orthogonal(method=method)
    draw = jax.jit(jax.vmap(lambda key: init(key, shape, dtype)))
    q = np.asarray(draw(keys)).astype(np.complex128)
    q = q.reshape(4000, -1, shape[-1])
    real = dtype == "float32"
    longest = max(q.shape[1:])
    law = init.law(shape, dtype)
    assert law.std == pytest.approx(longest**-0.5)
    group = stats.ortho_group if real else stats.unitary_group
    turned = q if q.shape[1] < 2 else group(q.shape[1], seed=0).rvs() @ q
    a, b = (0.5, (longest - 1) / 2) if real else (1, longest - 1)
    for x in (q[:, 0, 0], q[:, -1, -1], q[:, 0, -1], turned[:, 0, 0]):
        if longest > 1:
            assert stats.kstest(np.abs(x) ** 2, stats.beta(a, b).cdf).pvalue > 1e-3
        if real:
            assert abs(np.sign(x.real).mean()) < 5 / math.sqrt(4000)  # a fair sign
        else:
            angle = stats.uniform(-np.pi, 2 * np.pi)
            assert stats.kstest(np.angle(x), angle.cdf).pvalue > 1e-3
    if q.shape[1] == q.shape[2]:
        moments_of_haar(q, real)


def moments_of_haar(q, real):
    """Determinants are fair, of square matrices to the last column's sign."""
    n, bound = q.shape[1], 5 / math.sqrt(len(q))
    trace = np.trace(q, axis1=1, axis2=2)
    square = np.trace(q @ q, axis1=1, axis2=2)
    determinant = np.linalg.det(q)
    np.testing.assert_allclose(np.abs(determinant), 1, atol=1e-5)
    assert abs(determinant.mean()) < bound
    assert abs(trace.mean()) < bound
    # E (tr Q)^2 = E tr Q^2 = 1 in O(n), but for |tr Q|^2 both are 0 in U(n)
    second = 1 if real else 0
    for values, mean in [
        (np.abs(trace) ** 2, 1),
        (trace**2, second),
        (square, second),
    ]:
        error = abs(values.mean() - mean)
        assert error <= 5 * values.std() / math.sqrt(len(q)) + 1e-5, n


@pytest.mark.parametrize("platform", ["cpu", "cuda", "rocm", "tpu"])
def test_reflections_lower_on_every_platform(platform):
    """In products alone: they call no solver, which has a target of its own."""
    draw = jax.jit(lambda key: ij.Orthogonal()(key, (8, 6)))
    exported = export.export(draw, platforms=[platform])(root())
    assert "custom_call" not in exported.mlir_module()


def test_a_head_of_zero_reflects_as_a_small_one():
    z = jnp.asarray([[0.0, 3.0, 1.0], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
    q = np.asarray(haar.by_reflections(z), np.float64)
    np.testing.assert_allclose(q.T @ q, np.eye(3), atol=1e-6)


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("scaling", ["density", "spectrum", None])
def test_stft_kernels_transform_as_numpy_does(side, scaling):
    """A kernel times a frame is NumPy's windowed real FFT of the frame."""
    frame, window = np.random.default_rng(0).normal(size=64), np.hanning(64)
    kernel = np.asarray(ij.STFT(side, "hann", scaling)(None, (64, 1, 33)))[:, 0]
    s = {"density": np.sqrt((window**2).sum()), "spectrum": window.sum(), None: 1.0}
    spectrum = np.fft.rfft(frame * window) / s[scaling]
    expected = spectrum.real if side == "real" else spectrum.imag
    np.testing.assert_allclose(frame @ kernel, expected, atol=2e-6 * 64)


@pytest.mark.parametrize("shape", [(3, 4, 6), (4, 3, 2, 2), (2, 3, 4, 2, 5)], ids=str)
def test_delta_orthogonal_keeps_the_norm_of_every_pixel(shape):
    kernel = np.asarray(ij.DeltaOrthogonal(gain=3.0)(root(), shape), np.float64)
    centre = tuple((k - 1) // 2 for k in shape[:-2])
    matrix = kernel[centre] / 3
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(shape[-2]), atol=1e-6)
    assert np.count_nonzero(kernel) == matrix.size


def test_traced_numbers_draw_what_concrete_ones_do():
    stddevs = jnp.array([0.5, 2.0])
    drawn = jax.vmap(lambda s: ij.RandomNormal(stddev=s)(root(), (50,)))(stddevs)
    for row, stddev in zip(drawn, (0.5, 2.0), strict=True):
        np.testing.assert_array_equal(
            row, ij.RandomNormal(stddev=stddev)(root(), (50,))
        )
    scaled = jax.jit(lambda s: ij.VarianceScaling(s)(root(), (50, 3)))(2.0)
    exact = ij.HeNormal()(root(), (50, 3))  # its variance is rounded once, not twice
    np.testing.assert_allclose(scaled, exact, rtol=3e-7)


def test_gradients_flow_to_a_traced_number():
    def mean_square(stddev):
        return jnp.mean(ij.RandomNormal(stddev=stddev)(root(), (1000,)) ** 2)

    value, slope = jax.value_and_grad(mean_square)(3.0)
    assert float(slope) == pytest.approx(2 * float(value) / 3, rel=1e-5)


GOLDEN = [  # entries 0, 9 and 31 of a (4, 8) weight under key 5
    (ij.RandomNormal(), [-0.0042186533, -0.0084212525, -0.0434355624]),
    (
        ij.RandomNormal(mean=1.0, stddev=2.0, seed=("a", 1)),
        [-0.7434669137, 3.9128992558, 3.7970182896],
    ),
    (ij.RandomUniform(), [-0.0033620119, -0.0066875578, -0.0307497513]),
    (ij.TruncatedNormal(), [-0.0040262821, -0.0080346912, -0.0409323797]),
    (ij.TruncatedNormal(lower=5, upper=INF), [0.2559879422, 0.2554172873, 0.25205338]),
    (ij.HeNormal(), [-0.0647323355, -0.129177317, -0.6580881476]),
    (ij.GlorotUniform(), [-0.0475460291, -0.0945763439, -0.4348671436]),
    (ij.Orthogonal(), [-0.02531707287, 0.1452622414, -0.1984177679]),
    (ij.Orthogonal(method="qr"), [-0.0253170729, 0.1288743317, -0.4223375022]),
]


@pytest.mark.parametrize(("init", "values"), GOLDEN, ids=repr)
def test_golden_draws(init, values):
    """Values are a promise: a change here changes every model.

    Other backends take other logarithms.
    """
    x = np.ravel(init(root(), (4, 8)))[[0, 9, 31]]
    on_cpu = jax.default_backend() == "cpu"
    np.testing.assert_allclose(x, values, rtol=2e-6 if on_cpu else 2e-5)
