"""Laws that other libraries have: each does what it is for, and what they compute."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from scipy import special, stats
from tools import assert_moments, assert_refused, assert_same_bits, root

import initjax as ij
from initjax import Fan
from initjax._core import samplers
from initjax._core.bits import split_in_two


def convolve(x, kernel, **options):
    """Batch, window and channels, as Flax has them; x without a batch."""
    letters = "DHW"[-(x.ndim - 1) :]
    layout = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    return np.asarray(
        lax.conv_general_dilated(
            jnp.asarray(x)[None], jnp.asarray(kernel), dimension_numbers=layout,
            precision="highest", **options,
        )[0]
    )  # fmt: skip


def normals(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


# -- Identity, Dirac -------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 3), (3, 5)], ids=str)
def test_rows_of_the_identity_are_moved_around(shape):
    for shift in (-1, 0, 2, 7):
        x = ij.Identity(2.5, shift=shift)(None, shape)
        expected = np.roll(np.eye(*shape, dtype=np.float32), shift, axis=0)
        np.testing.assert_array_equal(x, 2.5 * expected)
    assert ij.Identity(2.5).get_config() == {"gain": 2.5}


@pytest.mark.parametrize(("groups", "outputs"), [(1, 2), (3, 4), (3, 1)])
@pytest.mark.parametrize("window", [(3,), (3, 5), (1, 3, 3)], ids=str)
def test_dirac_passes_channels_of_every_group_through(window, groups, outputs):
    """As many of its two inputs as a group has outputs; other outputs are 0."""
    x = normals(*(6,) * len(window), 2 * groups)
    kernel = ij.Dirac(groups, gain=0.5)(None, (*window, 2, outputs * groups))
    y = convolve(
        x, kernel, window_strides=(1,) * len(window), padding="SAME",
        feature_group_count=groups,
    )  # fmt: skip
    x = x.reshape(*x.shape[:-1], groups, 2)[..., :outputs]
    y = y.reshape(*y.shape[:-1], groups, outputs)
    np.testing.assert_array_equal(y[..., :2], 0.5 * x)
    assert not y[..., 2:].any()


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    "shape", [(4, 3, 3), (2, 3, 4), (6, 2, 3, 2), (4, 4, 1, 2, 3)], ids=str
)
def test_dirac_is_torchs(shape, groups):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
    theirs = np.moveaxis(theirs, (1, 0), (-2, -1))
    np.testing.assert_array_equal(ij.Dirac(groups)(None, theirs.shape), theirs)


# -- Sparse ----------------------------------------------------------------------------

LINES = [  # sparsity, shape, axis, zeros of a line
    (0.3, (7, 10), -1, 3),
    (0.07, (100, 3), 0, 8),  # 0.07 * 100 > 7, as Python has it
    (0.0, (4, 5), 0, 0),
    (1.0, (4, 5), -1, 5),
    (0.5, (3, 4, 5), 1, 2),
    (0.9, (8,), 0, 8),
]


@pytest.mark.parametrize(("sparsity", "shape", "axis", "zeros"), LINES)
def test_every_line_has_as_many_zeros(sparsity, shape, axis, zeros):
    x = np.asarray(ij.Sparse(sparsity, axis=axis)(root(), shape))
    np.testing.assert_array_equal((x == 0).sum(axis), zeros)


def test_zeros_lie_anywhere_and_the_rest_is_normal():
    init = ij.Sparse(0.3, 2.0)
    x = np.asarray(init(root(), (20_000, 10)), np.float64)
    assert stats.chisquare((x == 0).sum(0)).pvalue > 1e-3  # of every place
    pairs = ((x[:, :-1] == 0) & (x[:, 1:] == 0)).mean()
    assert abs(pairs - 3 / 10 * 2 / 9) < 5 * math.sqrt(0.07 / 20_000)
    assert stats.kstest(x[x != 0], stats.norm(0, 2).cdf).pvalue > 1e-3
    law = init.law(x.shape)
    assert law.std == pytest.approx(2 * math.sqrt(0.7))
    assert_moments(x, 0.0, law.std)
    below, at = law.cdf(-1e-9), law.cdf(0.0)
    assert (float(below), float(at)) == pytest.approx((0.35, 0.65))


@pytest.mark.parametrize("sparsity", [0.0, 0.07, 0.1, 0.35, 0.999, 1.0])
def test_sparse_has_torchs_zeros(sparsity):
    """Theirs is (out, in), with as many zeros in every column."""
    torch = pytest.importorskip("torch")
    theirs = torch.nn.init.sparse_(torch.empty(100, 6), sparsity).numpy().T
    ours = np.asarray(ij.Sparse(sparsity)(root(), theirs.shape))
    np.testing.assert_array_equal((ours == 0).sum(1), (theirs == 0).sum(1))


# -- Bilinear --------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 8])
def test_bilinear_windows_are_those_of_mxnet_and_paddle(k):
    f = math.ceil(k / 2)
    c = (2 * f - 1 - f % 2) / (2 * f)
    expected = [
        [(1 - abs(x / f - c)) * (1 - abs(y / f - c)) for x in range(k)]
        for y in range(k)
    ]
    x = np.asarray(ij.Bilinear()(None, (k, k, 2, 3)))
    for pair in np.ndindex(2, 3):
        np.testing.assert_allclose(x[(..., *pair)], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("rank", "f"), [(1, 3), (2, 1), (2, 2), (2, 3), (2, 4), (3, 2)]
)
def test_a_strided_transposed_convolution_interpolates(rank, f):
    """A plane stays one, f times less steep; and channels stay apart."""
    k, size = 2 * f - f % 2, 5 if rank < 3 else 4
    index = np.indices((size,) * rank)
    slopes = np.arange(1, rank + 1, dtype=np.float32)
    plane = (1 + np.tensordot(slopes, index, 1)).astype(np.float32)
    x = np.stack([plane, -2 * plane], -1)
    options = dict(
        window_strides=(1,) * rank, padding=[(k - 1, k - 1)] * rank,
        lhs_dilation=(f,) * rank,
    )  # fmt: skip
    apart = ij.Bilinear()(None, (k,) * rank + (1, 2))
    y = convolve(x, apart, feature_group_count=2, **options)
    diagonal = ij.Bilinear(diagonal=True)(None, (k,) * rank + (2, 2))
    np.testing.assert_allclose(convolve(x, diagonal, **options), y, rtol=1e-6)
    inside = y[(slice(f, -f),) * rank]  # where all neighbours are
    np.testing.assert_allclose(inside[..., 1], -2 * inside[..., 0], rtol=1e-5)
    for axis, slope in enumerate(slopes):
        steps = np.diff(inside[..., 0], axis=axis)
        np.testing.assert_allclose(steps, slope / f, atol=2e-5)


# -- ConvolutionAware ------------------------------------------------------------------

KERNELS = [(5, 7, 4), (2, 3, 6, 2), (2, 3, 4, 2, 2)]  # of 3, 4 and 18 frequencies


@pytest.mark.parametrize("shape", KERNELS, ids=str)
def test_the_mean_square_of_a_kernel_is_that_of_he(shape):
    for eps in (0.0, 3.0, 1e9):
        x = np.asarray(ij.ConvolutionAware(eps)(root(), shape), np.float64)
        square = 2 / math.prod(shape[:-1])
        np.testing.assert_allclose((x**2).mean(), square, rtol=1e-5)
    law = ij.ConvolutionAware(fan=(8, 2))
    x = np.asarray(law(root(), shape), np.float64)
    np.testing.assert_allclose((x**2).mean(), 2 / 8, rtol=1e-5)


def test_spectra_of_a_filters_channels_are_orthogonal():
    """Real, of one norm, and of the three frequencies three at a time."""
    x = np.asarray(ij.ConvolutionAware(0.0)(root(), (5, 7, 4)), np.float64)
    spectra = np.fft.rfft(x, axis=0)  # frequency, in, out
    np.testing.assert_allclose(spectra.imag, 0, atol=1e-6)
    for filters in np.moveaxis(spectra.real, -1, 0):
        for first in (0, 3, 6):
            some = filters[:, first : first + 3]
            gram = some.T @ some
            np.testing.assert_allclose(
                gram / gram[0, 0], np.eye(some.shape[1]), atol=1e-5
            )


@pytest.mark.parametrize("shape", KERNELS, ids=str)
def test_filters_are_numpys_inverse_of_orthonormal_spectra(shape):
    *window, inputs, outputs = shape
    half = (*window[:-1], window[-1] // 2 + 1)
    size = math.prod(half)
    first, _ = split_in_two(root())
    many, one = outputs * -(-inputs // size), np.float32(1)
    z = samplers.normal(first, (many, size, min(size, inputs)), "float32", one)
    q, r = np.linalg.qr(np.asarray(z))
    q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None]
    spectra = q.swapaxes(1, 2).reshape(outputs, -1, *half)[:, :inputs]
    axes = tuple(range(2, spectra.ndim))
    x = np.fft.irfftn(spectra, window, axes)
    x = np.moveaxis(x, (0, 1), (-1, -2))
    x *= math.sqrt(2 / math.prod(shape[:-1]) / (x**2).mean())
    ours = ij.ConvolutionAware(0.0)(root(), shape)
    np.testing.assert_allclose(ours, x, atol=2e-6)


def test_noise_has_its_share_of_a_kernel():
    """Spectra are real, so what is odd in a filter of five taps is the noise."""
    eps = 0.2
    x = np.asarray(ij.ConvolutionAware(eps)(root(), (5, 32, 64)), np.float64)
    odd = (x - x[[0, 4, 3, 2, 1]]) / 2
    share = eps**2 / 2 * 4 / 5 / (1 / (3 * 5) + eps**2)
    assert (odd**2).mean() / (x**2).mean() == pytest.approx(share, rel=0.05)


def test_without_a_window_there_are_normals_or_a_matrix():
    init = ij.ConvolutionAware(0.0)
    x = np.asarray(init(root(), (1, 1, 40, 50)), np.float64)
    assert stats.kstest(x.ravel(), stats.norm(0, math.sqrt(2 / 40)).cdf).pvalue > 1e-3
    assert_same_bits(init(root(), (6, 4)), ij.Orthogonal()(root(), (6, 4)))


def test_stacked_kernels_are_kernels():
    x = ij.ConvolutionAware(fan=Fan.stacked(0))(root(), (2, 3, 3, 4, 6))
    square = (np.asarray(x, np.float64) ** 2).mean((1, 2, 3, 4))
    np.testing.assert_allclose(square, 2 / 36, rtol=1e-5)
    assert np.abs(x[0] - x[1]).max() > 0.1
    x = ij.Dirac(2, fan=Fan.stacked(0))(None, (2, 3, 2, 4))
    for layer in x:
        np.testing.assert_array_equal(layer, ij.Dirac(2)(None, (3, 2, 4)))


# -- Siren -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("init", "limit"),
    [
        (ij.Siren(), math.sqrt(6 / 200) / 30),
        (ij.Siren(2.0), math.sqrt(6 / 200) / 2),
        (ij.Siren(2.0, first=True), 1 / 200),
        (ij.Siren(fan=Fan.layout("oi")), math.sqrt(6 / 500) / 30),
    ],
    ids=repr,
)
def test_siren_is_uniform_by_its_inputs(init, limit):
    law, reference = init.law((200, 500)), stats.uniform(-limit, 2 * limit)
    x = np.ravel(init(root(), (200, 500))).astype(np.float64)
    assert stats.kstest(x, reference.cdf).pvalue > 1e-3
    assert (law.high, law.std) == pytest.approx((limit, reference.std()))
    assert law.fans == ((500, 200) if init.fan else (200, 500))


@pytest.mark.parametrize("w0", [1.0, 30.0])
def test_what_a_sine_is_given_is_a_standard_normal(w0):
    """Of an arcsine law; sin of N(0, v) has the variance (1 - exp(-2 v)) / 2."""
    uniform = np.random.default_rng(0).uniform(-np.pi / 2, np.pi / 2, (64, 512))
    x, keys, variance = np.sin(uniform), jax.random.split(root(), 8), 1.0
    for key in keys:
        given = w0 * x @ np.asarray(ij.Siren(w0)(key, (512, 512)), np.float64)
        assert given.var() == pytest.approx(variance, rel=0.06)
        assert stats.kstest(given[0] / given[0].std(), stats.norm.cdf).pvalue > 1e-3
        x, variance = np.sin(given), 1 - math.exp(-2 * variance)
    assert variance == pytest.approx(0.80, abs=0.005)


def test_the_first_layer_spans_many_periods():
    """Inputs are coordinates: with w0 = 30 a neuron of one turns 30 / 2 pi at most."""
    x = np.asarray(ij.Siren(first=True)(root(), (2, 512)))
    assert np.abs(x).max() == pytest.approx(1 / 2, rel=0.01)


# -- functions -------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1e-300, 0.01, 0.5, 1 - 1e-9])
def test_the_sigmoid_of_a_prior_bias_is_the_probability(p):
    law = ij.prior_bias(p)
    assert law == ij.Constant(law.value)
    assert special.expit(law.value) == pytest.approx(p, rel=1e-12)
    assert law.value == pytest.approx(-math.log((1 - p) / p), abs=1e-7)


def test_a_head_of_many_classes_begins_at_minus_its_logarithm():
    bias = ij.prior_bias(1 / 1001)(None, (1000,))
    np.testing.assert_allclose(bias, -math.log(1000), rtol=1e-6)


def test_scales_of_transformers():
    neox = {ij.small_init(6144): 2 / (6144 + 4 * 6144), ij.wang_init(44, 6144): None}
    small, wang = neox
    assert small == ij.RandomNormal(stddev=small.stddev)
    assert small.stddev == pytest.approx(math.sqrt(neox[small]))
    assert wang.stddev == pytest.approx(2 / 44 / math.sqrt(6144))
    law = ij.sub_ln("glorot_normal", 12)
    assert law == ij.scaled("glorot_normal", math.sqrt(math.log(24)))
    assert_refused(
        lambda: ij.sub_ln("glorot_normal", 0),
        ValueError,
        "sub_ln(layers=0): needs whole numbers >= 1; count the layers.",
    )


@pytest.mark.parametrize(
    "draw",
    [lambda x: ij.Sparse(x)(root(), (3, 4)), lambda x: ij.prior_bias(x).value],
)
def test_what_decides_a_count_or_a_constant_is_a_number(draw):
    with pytest.raises(TypeError, match="got a traced one"):
        jax.jit(draw)(0.5)


@pytest.mark.parametrize(
    "law",
    [
        lambda s: ij.Identity(s, shift=1, fan=Fan.stacked(0)),
        lambda s: ij.Dirac(2, s),
        lambda s: ij.Sparse(0.5, s),
        lambda s: ij.ConvolutionAware(s),
        lambda s: ij.Siren(s),
    ],
    ids="identity dirac sparse cai siren".split(),
)
def test_traced_numbers_draw_what_numbers_do(law):
    """Up to the last bits, where they are divided by or meet a transform."""
    rows = jax.jit(jax.vmap(lambda s: law(s)(root(), (2, 4, 4))))(jnp.array([2, 0.3]))
    x = law(0.3)(root(), (2, 4, 4))
    np.testing.assert_allclose(rows[1], x, rtol=3e-7, atol=2e-7)


GOLDEN = [  # the first entries of a (2, 4, 4) weight under key 5
    (ij.Siren(), [-0.00194105844, 0.0242995769, 0.0136145055, -0.0233779829]),
    (ij.Sparse(0.5), [0.0, 0.0115038669, 0.0, 0.0124154044]),
    (ij.ConvolutionAware(), [-0.231414631, 0.446260184, -0.473513633, -0.613215089]),
]


@pytest.mark.parametrize(("init", "values"), GOLDEN, ids=repr)
def test_golden_draws(init, values):
    """Values are a promise: a change here changes every model."""
    x = np.ravel(init(root(), (2, 4, 4)))[:4]
    np.testing.assert_allclose(x, values, rtol=2e-5, atol=1e-9)
