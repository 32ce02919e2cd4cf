"""Every initializer of every peer: the formula and the defaults that it has there.

`FORMULAS` has each by name, with what the peer's documentation or source says of it;
where the library itself is installed, its own draws are held to our law as well.
"""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from tools import assert_moments, assert_refused, root

import initjax as ij
from initjax import Fan, presets

A, B = 60, 40  # inputs and outputs of a matrix
CONV = (3, 3, 16, 8)
CUT = float(stats.truncnorm(-2, 2).std())
KERAS, TORCH, HAIKU, SONNET = (
    presets.keras,
    presets.torch,
    presets.haiku,
    presets.sonnet,
)
MLX, TIMM, PRAXIS, LINGVO = presets.mlx, presets.timm, presets.praxis, presets.lingvo
FLAX = presets.flax


def normal(std, mean=0.0):
    return stats.norm(mean, std)


def uniform(limit):
    return stats.uniform(-limit, 2 * limit)


def cut(std, mean=0.0):
    """A normal of that standard deviation before it is cut at two of them."""
    return stats.truncnorm(-2, 2, mean, std)


def corrected(std):
    return cut(std / CUT)


def at(std, low, high, mean=0.0):
    return stats.truncnorm((low - mean) / std, (high - mean) / std, mean, std)


def unit(low, high):
    return stats.uniform(low, high - low)


# row of the peers' table: peer, ours, shape, and the peer's distribution
FORMULAS = [
    ("RandomNormal", "keras", KERAS.RandomNormal(), (A, B), normal(0.05)),
    ("RandomNormal", "jax", FLAX.normal(), (A, B), normal(0.01)),
    ("RandomNormal", "haiku", HAIKU.RandomNormal(2.0, 1.0), (A, B), normal(2, 1)),
    ("RandomNormal", "haiku", HAIKU.RandomNormal(), (A, B), normal(1)),
    ("RandomNormal", "sonnet", SONNET.RandomNormal(1.0, 2.0), (A, B), normal(2, 1)),
    ("RandomNormal", "torch", TORCH.normal(), (A, B), normal(1)),
    ("RandomNormal", "mlx", MLX.normal(), (A, B), normal(1)),
    ("RandomNormal", "praxis", PRAXIS.Gaussian(), (A, B), normal(1)),
    ("RandomUniform", "keras", KERAS.RandomUniform(), (A, B), uniform(0.05)),
    ("RandomUniform", "jax", FLAX.uniform(), (A, B), unit(0, 0.01)),
    ("RandomUniform", "haiku", HAIKU.RandomUniform(), (A, B), unit(0, 1)),
    ("RandomUniform", "sonnet", SONNET.RandomUniform(), (A, B), unit(0, 1)),
    ("RandomUniform", "torch", TORCH.uniform(), (A, B), unit(0, 1)),
    ("RandomUniform", "mlx", MLX.uniform(), (A, B), unit(0, 1)),
    ("RandomUniform", "praxis", PRAXIS.Uniform(), (A, B), uniform(1)),
    ("RandomUniform", "lingvo", LINGVO.UniformPositive(), (A, B), unit(0, 1)),
    ("TruncatedNormal", "keras", KERAS.TruncatedNormal(), (A, B), cut(0.05)),
    ("TruncatedNormal", "jax", FLAX.truncated_normal(), (A, B), cut(0.01)),
    ("TruncatedNormal", "haiku", HAIKU.TruncatedNormal(2.0), (A, B), cut(2)),
    ("TruncatedNormal", "sonnet", SONNET.TruncatedNormal(1.0), (A, B), cut(1, 1)),
    ("TruncatedNormal", "torch", TORCH.trunc_normal(), (A, B), at(1, -2, 2)),
    (
        *("TruncatedNormal", "torch", TORCH.trunc_normal(std=0.02), (A, B)),
        at(0.02, -2, 2),
    ),
    (
        *("TruncatedNormal", "timm", TIMM.trunc_normal(0.5, 1.0, 0.0, 1.5), (A, B)),
        at(1, 0, 1.5, 0.5),
    ),
    ("TruncatedNormal", "timm", TIMM.trunc_normal_tf(1.0, 0.5), (A, B), cut(0.5, 1)),
    ("TruncatedNormal", "praxis", PRAXIS.TruncatedGaussian(2.0), (A, B), cut(2)),
    (
        *("TruncatedNormal", "objax", ij.TruncatedNormal(exact_stddev=True), (A, B)),
        corrected(0.05),
    ),
    (
        *("VarianceScaling", "keras", KERAS.VarianceScaling(2.0, "fan_avg", "normal")),
        *((A, B), corrected(math.sqrt(2 / 50))),
    ),
    (
        *("VarianceScaling", "jax", FLAX.variance_scaling(2.0, "fan_out", "normal")),
        *((A, B), normal(math.sqrt(2 / B))),
    ),
    (
        *("VarianceScaling", "haiku", HAIKU.VarianceScaling(2.0, "fan_avg", "normal")),
        *((A, B), normal(math.sqrt(2 / 50))),
    ),
    (
        *("VarianceScaling", "haiku", HAIKU.VarianceScaling(fan_in_axes=(0, 1))),
        *((4, 5, 60), corrected(math.sqrt(1 / 20))),
    ),
    (
        *("VarianceScaling", "sonnet", SONNET.VarianceScaling(), (A, B)),
        corrected(math.sqrt(1 / A)),
    ),
    (
        *("VarianceScaling", "timm", TIMM.variance_scaling(3.0), (A, B)),
        normal(math.sqrt(3 / A)),
    ),
    (
        *(
            "mode fan_geo_avg",
            "jax",
            FLAX.variance_scaling(1.0, "fan_geo_avg", "normal"),
        ),
        *((A, B), normal((A * B) ** -0.25)),
    ),
    (
        *("mode fan_geo_avg", "lingvo", LINGVO.GeoMeanXavier(2.0), (A, B)),
        uniform(2 * math.sqrt(3 / math.sqrt(A * B))),
    ),
    ("GlorotUniform", "keras", KERAS.GlorotUniform(), (A, B), uniform(0.06**0.5)),
    ("GlorotUniform", "torch", TORCH.xavier_uniform(2), (A, B), uniform(0.24**0.5)),
    ("GlorotUniform", "mlx", MLX.glorot_uniform(2), (A, B), uniform(0.24**0.5)),
    ("GlorotUniform", "praxis", PRAXIS.Xavier(0.5), (A, B), uniform(0.015**0.5)),
    ("GlorotNormal", "keras", KERAS.GlorotNormal(), (A, B), corrected(0.02**0.5)),
    ("GlorotNormal", "torch", TORCH.xavier_normal(), (A, B), normal(0.02**0.5)),
    ("GlorotNormal", "mlx", MLX.glorot_normal(), (A, B), normal(0.02**0.5)),
    ("GlorotNormal", "praxis", PRAXIS.GaussianSqrtFanAvg(), (A, B), normal(0.02**0.5)),
    ("HeUniform", "keras", KERAS.HeUniform(), (A, B), uniform(math.sqrt(6 / A))),
    ("HeUniform", "torch", TORCH.kaiming_uniform(), (A, B), uniform(math.sqrt(6 / A))),
    (
        *("HeUniform", "torch", TORCH.kaiming_uniform(mode="fan_out", a=2), CONV),
        uniform(math.sqrt(6 / 5 / 72)),
    ),
    (
        *("HeUniform", "torch", TORCH.kaiming_uniform(nonlinearity="tanh"), (A, B)),
        uniform(5 / 3 * math.sqrt(3 / A)),
    ),
    ("HeUniform", "mlx", MLX.he_uniform(), (A, B), uniform(math.sqrt(3 / A))),
    (
        *("HeUniform", "lingvo", LINGVO.KaimingUniformFanInRelu(), (A, B)),
        uniform(math.sqrt(6 / A)),
    ),
    ("HeNormal", "keras", KERAS.HeNormal(), CONV, corrected(math.sqrt(2 / 144))),
    ("HeNormal", "torch", TORCH.kaiming_normal(), CONV, normal(math.sqrt(2 / 144))),
    ("HeNormal", "mlx", MLX.he_normal("fan_out"), (A, B), normal(math.sqrt(1 / B))),
    ("LecunNormal", "keras", KERAS.LecunNormal(), (A, B), corrected(A**-0.5)),
    ("LecunNormal", "flax", FLAX.dense(), (A, B), corrected(A**-0.5)),
    ("LecunNormal", "timm", TIMM.lecun_normal(), (A, B), corrected(A**-0.5)),
    ("LecunNormal", "praxis", PRAXIS.GaussianSqrtFanIn(), CONV, normal(144**-0.5)),
    (
        *("LecunNormal", "praxis", PRAXIS.TruncatedGaussianSqrtFanIn(), CONV),
        cut(144**-0.5),
    ),
    ("LecunUniform", "keras", KERAS.LecunUniform(), (A, B), uniform(math.sqrt(3 / A))),
    (
        *("LecunUniform", "mmengine", TORCH.kaiming_uniform(a=1), (A, B)),
        uniform(math.sqrt(3 / A)),
    ),
    (
        "fan_out variants",
        "praxis",
        PRAXIS.GaussianSqrtFanOut(),
        (A, B),
        normal(B**-0.5),
    ),
    (
        *("fan_out variants", "praxis", PRAXIS.TruncatedGaussianSqrtFanOut(), (A, B)),
        cut(B**-0.5),
    ),
    ("SqrtDim", "praxis", PRAXIS.GaussianSqrtDim(2.0), (9, 4, 60), normal(2 / 3)),
    ("SqrtDim", "praxis", PRAXIS.UniformSqrtDim(), (9, 4, 60), uniform(1 / 3)),
    ("SqrtDim", "praxis", PRAXIS.TruncatedGaussianSqrtDim(), (9, 4, 60), cut(1 / 3)),
    (
        *("UniformScaling", "haiku", HAIKU.UniformScaling(2.0), (5, 6, 80)),
        uniform(2 * math.sqrt(3 / 30)),
    ),
    ("UniformScaling", "haiku", HAIKU.UniformScaling(), (2400,), uniform(3**0.5)),
    (
        *("UniformScaling", "praxis", PRAXIS.UniformUnitScaling(), (5, 6, 80)),
        uniform(math.sqrt(3 / 30)),
    ),
    (
        *("UniformScaling", "lingvo", LINGVO.UniformUnitScalingFanAvg(2.0), (A, B)),
        uniform(math.sqrt(6 / 50)),
    ),
    ("torch layer default", "torch", TORCH.linear(), (A, B), uniform(A**-0.5)),
    ("torch layer default", "torch", TORCH.conv(), CONV, uniform(1 / 12)),
    ("torch layer default", "torch", TORCH.bias(144), (2400,), uniform(1 / 12)),
    (
        *("torch layer default", "lingvo", LINGVO.KaimingUniformFanInLeakyRelu()),
        *((A, B), uniform(A**-0.5)),
    ),
    ("torch layer default", "mlx", MLX.linear(), (A, B), uniform(A**-0.5)),
    (
        *("torch layer default", "equinox", TORCH.linear(fan=Fan.layout("oi")), (A, B)),
        uniform(B**-0.5),
    ),
    (
        *("Xavier with Fixup", "praxis", PRAXIS.XavierWithFixupParams(1.0, 16, 2)),
        *((A, B), uniform(0.5 * 0.06**0.5)),
    ),
    (
        *("depth-scaled normal", "neox", ij.depth_scaled(ij.RandomNormal(0, 0.02), 8)),
        *((A, B), normal(0.005)),
    ),
    (
        *("depth-scaled normal", "timm", ij.depth_scaled(TORCH.linear(), 3), (A, B)),
        uniform((6 * A) ** -0.5),
    ),
    (
        *("depth-scaled normal", "torchscale", ij.deepnorm(TORCH.xavier_normal(), 12)),
        *((A, B), normal(0.02**0.5 * 96**-0.25)),
    ),
    (
        *("depth-scaled normal", "torchscale", ij.sub_ln(TORCH.xavier_normal(), 12)),
        *((A, B), normal(0.02**0.5 * math.log(24) ** 0.5)),
    ),
    ("small_init", "neox", ij.small_init(40), (A, B), normal(0.1)),
    ("wang_init", "neox", ij.wang_init(5, 64), (A, B), normal(0.05)),
    ("SIREN", "siren", ij.Siren(), (A, B), uniform(math.sqrt(6 / A) / 30)),
    ("SIREN", "siren", ij.Siren(first=True), (A, B), uniform(1 / A)),
    (
        *("grouped", "axlearn", ij.per_group(TORCH.xavier_normal(), 4), (A, B)),
        normal(math.sqrt(2 / 70)),
    ),
    (
        *("fused QKV", "timm", TIMM.qkv_moco(), (A, 3 * B)),
        uniform(0.06**0.5),
    ),
    (
        *("fused QKV", "fairseq", TORCH.xavier_uniform(2**-0.5), (A, B)),
        uniform(0.03**0.5),
    ),
    ("embedding", "torch", TORCH.embedding(), (A, B), normal(1)),
    ("embedding", "mlx", MLX.embedding(64), (A, B), normal(1 / 8)),
    ("embedding", "flax", FLAX.embed(), (A, B), normal(B**-0.5)),
    ("layer defaults", "haiku", HAIKU.Linear(), (A, B), cut(A**-0.5)),
    ("layer defaults", "flax", FLAX.lora_a(), (A, B), uniform(math.sqrt(6 / A))),
    ("layer defaults", "torch", TORCH.recurrent(64), (A, B), uniform(1 / 8)),
    (
        *("layer defaults", "keras-cv", ij.VarianceScaling(2.0, "fan_out"), CONV),
        corrected(math.sqrt(2 / 72)),
    ),
    (
        *(
            "layer defaults",
            "levanter",
            ij.TruncatedNormal(0, A**-0.5, lower=-3, upper=3),
        ),
        *((A, B), stats.truncnorm(-3, 3, 0, A**-0.5)),
    ),
]
each_formula = pytest.mark.parametrize(
    ("init", "shape", "theirs"),
    [pytest.param(*r[2:], id=f"{r[1]}-{r[0]}-{i}") for i, r in enumerate(FORMULAS)],
)


@each_formula
def test_the_law_is_the_peers(init, shape, theirs):
    """Mean, standard deviation, support, distribution; and draws of it."""
    law = init.law(shape)
    near = {"rtol": 1e-6, "atol": 1e-9}
    moments = (theirs.mean(), theirs.std())
    np.testing.assert_allclose((law.mean, law.std), moments, **near)
    np.testing.assert_allclose((law.low, law.high), theirs.support(), rtol=1e-6)
    points = theirs.ppf(np.linspace(0.01, 0.99, 9))
    np.testing.assert_allclose(law.cdf(points), theirs.cdf(points), **near)
    x = np.asarray(init(root(), shape), np.float64).ravel()
    assert stats.kstest(x, theirs.cdf).pvalue > 1e-4


# -- laws without chance, and of structure ---------------------------------------------


def kernel(size, channels, groups=1):
    """torch.nn.init.dirac_ of (channels, channels / groups, size), in JAX's layout."""
    w, part = np.zeros((size, channels // groups, channels)), channels // groups
    for g in range(groups):
        for d in range(part):
            w[size // 2, d, g * part + d] = 1
    return w


EXACT = [
    ("Zeros", "keras", KERAS.Zeros(), np.zeros((3, 4))),
    ("Zeros", "flax", FLAX.zeros_init(), np.zeros((3, 4))),
    ("Ones", "torch", TORCH.ones(), np.ones((3, 4))),
    ("Ones", "flax", FLAX.ones_init(), np.ones((3, 4))),
    ("Constant", "keras", KERAS.Constant(), np.zeros((3, 4))),
    ("Constant", "haiku", HAIKU.Constant([1.0, 2.0]), np.array([[1.0, 2.0]] * 3)),
    ("Constant", "praxis", PRAXIS.Constant(), np.ones((3, 4))),
    ("Constant", "torch", TORCH.constant(0.3), np.full((3, 4), 0.3)),
    ("Identity", "keras", KERAS.Identity(2.0), 2 * np.eye(4, 3)),
    ("Identity", "torch", TORCH.eye(), np.eye(4, 3)),
    ("Identity", "mlx", MLX.identity(), np.eye(4)),
    (
        *("Identity", "haiku", HAIKU.Identity(2.0, fan=Fan.stacked(0))),
        np.stack([2 * np.eye(4, 3)] * 2),
    ),
    ("Identity", "flux", ij.Identity(shift=1), np.roll(np.eye(4, 3), 1, 0)),
    ("Dirac", "torch", TORCH.dirac(), kernel(3, 4)),
    ("Dirac", "torch", TORCH.dirac(2), kernel(4, 6, 2)),
    (
        *("Bilinear", "mxnet", ij.Bilinear()),
        np.multiply.outer([0.25, 0.75, 0.75, 0.25], [0.25, 0.75, 0.75, 0.25])[
            ..., None, None
        ],
    ),
    ("LSTM forget-gate bias", "keras", KERAS.lstm_bias(), np.repeat([0, 1, 0, 0], 3)),
    ("LSTM forget-gate bias", "mxnet", ij.lstm_bias(2.0), np.repeat([0, 2, 0, 0], 3)),
    ("prior", "mmengine", ij.prior_bias(0.01), np.full(3, -math.log(99))),
    ("prior", "timm", TIMM.head_bias(1000), np.full(3, -math.log(1000))),
    ("prior", "timm", ij.prior_bias(1 / 1001), np.full(3, -math.log(1000))),
    ("from tensor", "keras", ij.get(np.eye(3) * 0.5), np.eye(3) * 0.5),
    ("from tensor", "lora", FLAX.lora_b(), np.zeros((3, 4))),
]


@pytest.mark.parametrize(
    ("init", "expected"),
    [pytest.param(*r[2:], id=f"{r[1]}-{r[0]}-{i}") for i, r in enumerate(EXACT)],
)
def test_the_array_is_the_peers(init, expected):
    x = np.asarray(init(None, expected.shape))
    np.testing.assert_allclose(x, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("init", "columns", "gain"),
    [
        (KERAS.Orthogonal(2.0), -1, 2),
        (HAIKU.Orthogonal(3.0, axis=0), 0, 3),
        (SONNET.Orthogonal(), -1, 1),
        (TORCH.orthogonal(0.5), -1, 0.5),
        (MLX.orthogonal(), -1, 1),
        (PRAXIS.ScaledDeltaOrthogonal(20, 6), -1, math.sqrt(20 / 6)),
        (PRAXIS.ScaledDeltaOrthogonal(6, 20), -1, 1),
        (ij.Orthogonal(math.sqrt(2)), -1, math.sqrt(2)),  # mxnet's scale=1.414
        (ij.Orthogonal(math.sqrt(2 / 8)), -1, 0.5),  # gpt-neox's scaled_orthogonal
    ],
    ids="keras haiku sonnet torch mlx praxis praxis_wide mxnet neox".split(),
)
def test_an_orthogonal_matrix_is_the_peers(init, columns, gain):
    """Rows are all axes but that of the columns; the shorter side is orthonormal."""
    x = np.moveaxis(np.asarray(init(root(), (4, 5, 6)), np.float64), columns, -1)
    x = x.reshape(-1, x.shape[-1])
    singular = np.linalg.svd(x, compute_uv=False)
    np.testing.assert_allclose(singular, gain, rtol=1e-5)


@pytest.mark.parametrize(
    ("init", "axis"), [(TORCH.sparse(0.3), 1), (MLX.sparse(0.3), 0)]
)
def test_a_sparse_matrix_is_the_peers(init, axis):
    """torch: of each input's weights; MLX: of each output's; both round up."""
    x = np.asarray(init(root(), (A, B)))
    zeros = math.ceil(0.3 * x.shape[axis])
    assert {*(x == 0).sum(axis)} == {zeros}
    std = 0.01 if axis else 1.0
    assert_moments(x[x != 0], 0, std)


def test_a_padding_row_is_zero():
    table = np.asarray(TORCH.embedding(padding_idx=2)(root(), (50, 64)))
    assert not table[2].any()
    assert_moments(np.delete(table, 2, 0), 0, 1)
    fairseq = ij.with_row(PRAXIS.GaussianSqrtFanOut(fan=Fan.embedding()), 0)
    assert fairseq.law((50, 64)).fans.fan_out == 64
    assert_moments(np.asarray(fairseq(root(), (50, 64)))[1:], 0, 1 / 8)


def test_categories_are_lingvos():
    x = np.asarray(LINGVO.Category(4)(root(), (A, B)))
    counts = np.bincount(x.astype(int).ravel(), minlength=4)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_convolution_aware_kernels_have_hes_variance():
    x = np.asarray(ij.ConvolutionAware()(root(), CONV))
    assert np.mean(x**2) == pytest.approx(2 / 144, rel=1e-5)


def test_stft_callables_and_files_are_kerass(tmp_path):
    """A function passes through `get`; an array from a file is a constant."""
    assert ij.get(jnp.ones) is jnp.ones
    assert isinstance(KERAS.STFT("imag", "hamming"), ij.STFT)
    np.save(tmp_path / "w.npy", np.arange(6.0).reshape(2, 3))
    loaded = ij.Constant(np.load(tmp_path / "w.npy"))
    assert np.asarray(loaded(None, (2, 3))).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_delta_orthogonal_kernels_are_jaxs_and_tf1s():
    """TensorFlow 1 multiplies by the root of its gain."""
    for init, gain in [
        (FLAX.delta_orthogonal(), 1),
        (ij.DeltaOrthogonal(2.0**0.5), 2**0.5),
    ]:
        centre = np.asarray(init(root(), (3, 3, 4, 8)))[1, 1]
        np.testing.assert_allclose(centre @ centre.T, gain**2 * np.eye(4), atol=1e-5)


WRONG = [
    (
        lambda: HAIKU.VarianceScaling(mode="fan_out", fan_in_axes=0),
        "presets.haiku.VarianceScaling(mode='fan_out'): fan_in_axes goes with "
        "'fan_in'; give fan=Fan(in_axes, out_axes).",
    ),
    (
        lambda: MLX.sparse(0.5, mean=1.0),
        "presets.mlx.sparse(mean=1.0): a sparse law is centred; give mean=0.",
    ),
    (
        lambda: TORCH.layers("hwio"),
        "presets.torch.layers: layout must be 'io' or 'oi', got 'hwio'.",
    ),
    (lambda: TORCH.recurrent(0), "hidden=0: needs whole numbers >= 1; count them."),
    (lambda: MLX.embedding(-4), "dims=-4: needs whole numbers >= 1; count them."),
    (lambda: TIMM.head_bias(0), "classes=0: needs whole numbers >= 1; count them."),
    (
        lambda: PRAXIS.XavierWithFixupParams(depth=0),
        "depth=0: needs whole numbers >= 1; count them.",
    ),
    (lambda: LINGVO.Category(0), "scale=0: needs whole numbers >= 1; count them."),
    (lambda: TORCH.xavier_normal(0), "gain=0: must be a finite number > 0."),
    (lambda: PRAXIS.Xavier(-1), "scale=-1: must be a finite number > 0."),
    (
        lambda: TORCH.kaiming_uniform(nonlinearity="relo"),
        re.compile(r"gain\('relo'\): .* did you mean 'relu'.*"),
    ),
    (
        lambda: TORCH.kaiming_uniform(mode="fan_avg2"),
        re.compile(r"VarianceScaling\(mode='fan_avg2'\): must be one of .*"),
    ),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_arguments_of_presets_are_value_errors(call, message):
    assert_refused(call, ValueError, message)


# -- the libraries themselves ----------------------------------------------------------


def follows(x, law, what=""):
    """A library's own draws are of our law."""
    x = np.asarray(x, np.float64).ravel()
    if law.std == 0:
        assert {*x} == {law.mean}, what
        return
    assert law.low * (1 + 1e-6) <= x.min(), what
    assert x.max() <= law.high * (1 + 1e-6), what
    assert_moments(x, law.mean, law.std, what)
    if x.size > 32:
        assert stats.kstest(x, law.cdf).pvalue > 1e-4, what


def turned(shape):
    """A shape of ours in torch's order: outputs, inputs, window."""
    return (*shape[:-3:-1], *shape[:-2]) if len(shape) > 1 else shape


IN_TORCH = [
    ("uniform_", {}, TORCH.uniform()),
    ("normal_", {}, TORCH.normal()),
    ("trunc_normal_", {}, TORCH.trunc_normal()),
    ("trunc_normal_", {"std": 0.02}, TORCH.trunc_normal(std=0.02)),
    ("trunc_normal_", {"mean": 0.5, "a": 0, "b": 1}, TORCH.trunc_normal(0.5, a=0, b=1)),
    ("constant_", {"val": 0.3}, TORCH.constant(np.float32(0.3))),
    ("ones_", {}, TORCH.ones()),
    ("zeros_", {}, TORCH.zeros()),
    ("xavier_uniform_", {"gain": 2}, TORCH.xavier_uniform(2)),
    ("xavier_normal_", {}, TORCH.xavier_normal()),
    ("kaiming_uniform_", {}, TORCH.kaiming_uniform()),
    ("kaiming_uniform_", {"a": 5**0.5}, TORCH.kaiming_uniform(5**0.5)),
    (
        *("kaiming_uniform_", {"mode": "fan_out", "nonlinearity": "selu"}),
        TORCH.kaiming_uniform(mode="fan_out", nonlinearity="selu"),
    ),
    ("kaiming_normal_", {"a": 0.5}, TORCH.kaiming_normal(0.5)),
    (
        *("kaiming_normal_", {"nonlinearity": "tanh"}),
        TORCH.kaiming_normal(nonlinearity="tanh"),
    ),
]


@pytest.fixture(scope="module")
def torch():
    """PyTorch with a seed of its own."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch


@pytest.mark.parametrize("shape", [(60, 70), CONV], ids=str)
@pytest.mark.parametrize(("name", "given", "init"), IN_TORCH, ids=lambda x: str(x)[:20])
def test_torch_draws_the_same_law(torch, name, given, init, shape):
    x = torch.empty(turned(shape))
    getattr(torch.nn.init, name)(x, **given)
    follows(x, init.law(shape))


@pytest.mark.parametrize("groups", [1, 2])
def test_torchs_structures_are_ours(torch, groups):
    x = torch.nn.init.dirac_(torch.empty(6, 6 // groups, 3, 4), groups)
    ours = TORCH.dirac(groups)(None, (3, 4, 6 // groups, 6))
    np.testing.assert_array_equal(ours, x.numpy().transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(
        TORCH.eye()(None, (3, 5)), torch.nn.init.eye_(torch.empty(3, 5))
    )
    x = torch.nn.init.sparse_(torch.empty(B, A), 0.3).numpy().T
    ours = np.asarray(TORCH.sparse(0.3)(root(), (A, B)))
    assert {*(x == 0).sum(1)} == {*(ours == 0).sum(1)}
    assert_moments(x[x != 0], 0, 0.01)
    x = torch.nn.init.orthogonal_(torch.empty(8, 6, 3, 3), 2.0).numpy()
    flat = x.reshape(8, -1)
    np.testing.assert_allclose(flat @ flat.T, 4 * np.eye(8), atol=1e-5)
    follows(x, TORCH.orthogonal(2.0).law((3, 3, 6, 8)))


def test_a_tree_of_torchs_layers_is_as_torch_begins_it(torch):
    """Every array of a state dict, whose names and shapes are PyTorch's own."""
    nn = torch.nn
    model = nn.ModuleDict(
        {
            "dense": nn.Linear(300, 200),
            "conv": nn.Conv2d(16, 32, 3),
            "grouped": nn.Conv1d(16, 32, 3, groups=4),
            "embedding": nn.Embedding(50, 40),
            "norm": nn.LayerNorm(64),
            "bn1": nn.BatchNorm2d(64, track_running_stats=False),
            "attention": nn.MultiheadAttention(64, 4),
            "rnn": nn.LSTM(30, 64, 2),
            "gru": nn.GRU(30, 50),
        }
    )
    state = {name: x.numpy() for name, x in model.state_dict().items()}
    plan = ij.plan(presets.torch.layers("oi"), state)
    assert {row.path for row in plan.rows} == {name.replace(".", "/") for name in state}
    for row in plan.rows:
        law = row.law.law(row.shape)
        follows(state[row.path.replace("/", ".")], law, row.path)


def test_a_flax_model_gets_torchs_layers(as_frameworks_expect):
    linen = pytest.importorskip("flax.linen")

    class Model(linen.Module):
        @linen.compact
        def __call__(self, x):
            x = linen.Conv(32, (3, 3))(x)
            x = linen.LayerNorm()(x).mean((1, 2))
            return linen.Dense(200)(x)

    shapes = jax.eval_shape(Model().init, root(), jnp.ones((1, 8, 8, 16)))
    params = ij.init_tree(presets.torch.layers(), shapes, root())["params"]
    follows(params["Conv_0"]["kernel"], TORCH.conv().law((3, 3, 16, 32)))
    follows(params["Conv_0"]["bias"], TORCH.bias(144).law((32,)))
    follows(params["Dense_0"]["bias"], TORCH.bias(32).law((200,)))
    assert (params["LayerNorm_0"]["scale"] == 1).all()


IN_HAIKU = [
    ("Constant", (0.5,), HAIKU.Constant(0.5)),
    ("RandomNormal", (), HAIKU.RandomNormal()),
    ("RandomNormal", (2.0, 1.0), HAIKU.RandomNormal(2.0, 1.0)),
    ("RandomUniform", (), HAIKU.RandomUniform()),
    ("TruncatedNormal", (), HAIKU.TruncatedNormal()),
    ("TruncatedNormal", (1.0, 0.5, -1.0, 3.0), HAIKU.TruncatedNormal(1.0, 0.5, -1, 3)),
    ("UniformScaling", (2.0,), HAIKU.UniformScaling(2.0)),
    ("VarianceScaling", (), HAIKU.VarianceScaling()),
    (
        "VarianceScaling",
        (2.0, "fan_avg", "normal"),
        HAIKU.VarianceScaling(2.0, "fan_avg", "normal"),
    ),
    (
        "VarianceScaling",
        (2.0, "fan_out", "uniform"),
        HAIKU.VarianceScaling(2.0, "fan_out", "uniform"),
    ),
    (
        *("VarianceScaling", (1.0, "fan_in", "normal", (0, 1))),
        HAIKU.VarianceScaling(1.0, "fan_in", "normal", (0, 1)),
    ),
    ("Orthogonal", (2.0,), HAIKU.Orthogonal(2.0)),
]


@pytest.mark.parametrize("shape", [(3000,), (5, 20, 50)], ids=str)
@pytest.mark.parametrize(("name", "given", "init"), IN_HAIKU, ids=lambda x: str(x)[:30])
def test_haiku_draws_the_same_law(name, given, init, shape, as_frameworks_expect):
    hk = pytest.importorskip("haiku")
    if len(shape) < 3 and len(given) > 3 and name == "VarianceScaling":
        pytest.skip("Haiku looks at fan_in_axes above rank 2 alone")
    if name == "Orthogonal" and len(shape) < 2:
        pytest.skip("no matrix")
    theirs = hk.transform(
        lambda: getattr(hk.initializers, name)(*given)(shape, "float32")
    )
    follows(theirs.apply({}, root()), init.law(shape))


def test_haikus_and_flaxs_layers_begin_so(as_frameworks_expect):
    hk, linen = pytest.importorskip("haiku"), pytest.importorskip("flax.linen")
    nnx = pytest.importorskip("flax.nnx")
    x = jnp.ones((1, 60))
    dense = hk.transform(lambda x: hk.Linear(70)(x)).init(root(), x)["linear"]
    follows(dense["w"], HAIKU.Linear().law((60, 70)))
    assert not dense["b"].any()
    params = linen.Dense(70).init(root(), x)["params"]
    follows(params["kernel"], FLAX.dense().law((60, 70)))
    table = linen.Embed(50, 64).init(root(), jnp.ones(1, int))["params"]["embedding"]
    follows(table, FLAX.embed().law((50, 64)))
    lora = nnx.LoRA(300, 8, 20, rngs=nnx.Rngs(0))
    follows(lora.lora_a[...], FLAX.lora_a().law((300, 8)))
    assert not lora.lora_b[...].any()
    bias = linen.initializers
    assert (
        FLAX.zeros_init()(None, (3,)).tolist()
        == bias.zeros_init()(root(), (3,)).tolist()
    )


def test_keras_begins_the_bias_of_an_lstm_so(as_frameworks_expect):
    keras = pytest.importorskip("keras")
    layer = keras.layers.LSTM(3)
    layer.build((1, 2, 5))
    bias = np.asarray(layer.cell.bias)
    np.testing.assert_array_equal(KERAS.lstm_bias()(None, bias.shape), bias)


IN_TIMM = [
    ("trunc_normal_", {"std": 0.5, "a": -0.3}, TIMM.trunc_normal(std=0.5, a=-0.3)),
    ("trunc_normal_tf_", {"mean": 1, "std": 0.5}, TIMM.trunc_normal_tf(1, 0.5)),
    ("variance_scaling_", {}, TIMM.variance_scaling()),
    (
        "variance_scaling_",
        {"distribution": "uniform"},
        TIMM.variance_scaling(distribution="uniform"),
    ),
    ("lecun_normal_", {}, TIMM.lecun_normal()),
]


@pytest.mark.parametrize(("name", "given", "init"), IN_TIMM, ids=lambda x: str(x)[:30])
def test_timm_draws_the_same_law(torch, name, given, init):
    layers = pytest.importorskip("timm.layers")
    x = torch.empty(turned((60, 70)))
    getattr(layers, name)(x, **given)
    follows(x, init.law((60, 70)))
