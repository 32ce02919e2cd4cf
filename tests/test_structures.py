"""What defines each structured law: filters, tables, state matrices, diagonals."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy
from tools import assert_moments, assert_same_bits, root

import initjax as ij
from initjax import Fan
from initjax.laws.hadamard import walsh_sum


def made(init, *shape, dtype=None):
    """An array of a law without chance, in double precision."""
    x = np.asarray(init(None, shape, dtype))
    return x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)


def convolved(x, kernel):
    """A signal (*window, in) through a kernel (*window, in, out), of the same size."""
    rank = kernel.ndim - 2
    axes = "XYZ"[:rank]
    layouts = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
    args = (jnp.asarray(v, "float32") for v in (x[None], kernel))
    y = jax.lax.conv_general_dilated(*args, (1,) * rank, "SAME", None, None, layouts)
    return np.asarray(y[0], np.float64)


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape)


# -- ZerO and IDInit: kernels that pass on ------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (6, 3), (1, 4), (3, 5), (4, 8)])
def test_zero_is_the_papers_algorithm(shape):
    rows, columns = shape
    expected = np.eye(rows, columns)
    if columns > rows:
        m = math.ceil(math.log2(columns))
        order = 2**m
        sylvester = scipy.linalg.hadamard(order)
        part = np.eye(rows, order) @ sylvester @ np.eye(order, columns)
        expected = 2 ** (-(m - 1) / 2) * part
    np.testing.assert_allclose(made(ij.ZerO(), *shape), expected, rtol=1e-7)


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
def test_zero_loses_nothing_while_it_grows_and_shrinks(width):
    """The product of the two layers can be undone; a power of 2 doubles squares."""
    grow, shrink = made(ij.ZerO(), width, 16), made(ij.ZerO(), 16, width)
    assert abs(np.linalg.det(grow @ shrink)) > 1e-9
    np.testing.assert_allclose(grow @ grow.T, 2 * np.eye(width), atol=1e-6)


def test_zero_convolutions_are_the_matrix_at_the_centre():
    x = normal(6, 5, 3)
    same = made(ij.ZerO(), 3, 5, 3, 3)
    np.testing.assert_allclose(convolved(x, same), x, atol=1e-6)
    wider = convolved(x, made(ij.ZerO(), 3, 3, 3, 7))
    np.testing.assert_allclose(wider, x @ made(ij.ZerO(), 3, 7), atol=1e-5)


def test_the_promise_of_zero_sums_sylvesters_corner():
    signs = scipy.linalg.hadamard(32)
    for rows, columns in itertools.product(range(33), repeat=2):
        assert walsh_sum(rows, columns) == signs[:rows, :columns].sum()
    for columns in range(2, 40):  # all alike, whatever rounds
        assert ij.ZerO().law((1, columns)).std == pytest.approx(0, abs=1e-7)
    assert ij.ZerO().law((2**20, 2**30)).std == pytest.approx(2**-14.5)


@pytest.mark.parametrize("shape", [(4, 4), (3, 8), (7, 2), (3, 2, 5), (2, 2, 3, 20)])
def test_padded_identities_repeat_along_the_longer_side(shape):
    *window, inputs, outputs = shape
    x = made(ij.IDInit(2.0), *shape)
    taps = math.prod(window)
    matrix = np.moveaxis(x, -2, 0).reshape(inputs * taps, outputs)
    short, long = sorted(matrix.shape)
    expected = 2 * np.tile(np.eye(short), (1, -(-long // short)))[:, :long]
    wide = matrix if matrix.shape[0] == short else matrix.T
    np.testing.assert_array_equal(wide, expected)


def test_no_unit_of_a_padded_identity_is_dead():
    """Where the partial identity leaves units without weights."""
    for shape in [(3, 8), (8, 3)]:
        x, partial = made(ij.IDInit(), *shape), made(ij.Identity(), *shape)
        assert all(x.any(axis).all() for axis in (0, 1))
        assert not all(partial.any(axis).all() for axis in (0, 1))
    x = normal(6)
    np.testing.assert_array_equal(x @ made(ij.IDInit(), 6, 6), x)


@pytest.mark.parametrize("law", [ij.ZerO(), ij.IDInit(), ij.Gabor()], ids=repr)
def test_declared_axes_and_groups_are_followed(law):
    """PyTorch's order of axes; of groups each has the kernel of its own channels."""
    plain = made(law, 3, 3, 2, 6)
    torch = law.from_config(law.get_config() | {"fan": Fan.layout("oihw")})
    assert_same_bits(made(torch, 6, 2, 3, 3), plain.transpose(3, 2, 0, 1))
    grouped = law.from_config({"fan": Fan.conv(groups=2)})
    assert_same_bits(made(grouped, 3, 3, 2, 12), np.tile(plain, 2))
    stacked = law.from_config({"fan": Fan.stacked(0)})
    assert_same_bits(made(stacked, 4, 3, 3, 2, 6), np.stack([plain] * 4))


# -- HiPPO, S4D: state matrices -----------------------------------------------------


def polynomials(size, x):
    """Shifted Legendre polynomials, orthonormal on [0, 1], one a row."""
    n = np.arange(size)[:, None]
    return np.sqrt(2 * n + 1) * scipy.special.eval_legendre(n, 2 * x - 1)


def test_legs_keeps_the_projection_of_all_of_the_past():
    """Exactly for monomials: c(t) = t^d c(1), and t c' = A c + B f."""
    size = 6
    a, b = made(ij.HiPPO(), size, size), made(ij.HiPPO(part="B"), size)
    x, weights = np.polynomial.legendre.leggauss(12)
    x, weights = (x + 1) / 2, weights / 2
    for degree in range(9):
        c = polynomials(size, x) @ (weights * x**degree)
        np.testing.assert_allclose(degree * c, a @ c + b, atol=1e-5)


def test_legs_is_normal_but_for_a_rank_and_has_whole_eigenvalues():
    a = made(ij.HiPPO(), 16, 16)
    rates = np.sort(np.linalg.eigvals(a).real)[::-1]
    np.testing.assert_array_equal(rates, -np.arange(1, 17))
    p = np.sqrt(np.arange(16) + 0.5)
    skew = a + np.outer(p, p) + np.eye(16) / 2
    np.testing.assert_allclose(skew, -skew.T, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_legt_delays_as_well_as_a_rational_function_can(size):
    """What it reads at the window's end is Pade's approximant of exp(-s).

    Of degrees size - 1 over size, so its series agrees in the first 2 size terms.
    """
    a, b = made(ij.HiPPO("legt"), size, size), made(ij.HiPPO("legt", "B"), size)
    state, end = b, polynomials(size, np.zeros(1))[:, 0]
    for k in range(2 * size):  # of -end (a - s)^-1 b
        state = np.linalg.solve(a, state)
        expected = (-1) ** k / math.factorial(k)
        np.testing.assert_allclose(-end @ state, expected, rtol=1e-4, atol=1e-6)


def test_s4d_is_near_the_spectrum_of_hippo():
    """Of which it has one of each conjugate pair."""
    size = 64
    p = np.sqrt(np.arange(size) + 0.5)
    normal_part = made(ij.HiPPO(), size, size) + np.outer(p, p)
    spectrum = np.sort(np.linalg.eigvals(normal_part).imag)[::-1][: size // 2]
    x = made(ij.S4D("inv"), 3, size // 2, dtype="complex64")
    np.testing.assert_allclose(x.imag[0], spectrum, rtol=0.3)
    np.testing.assert_allclose(x.imag[0, 0], spectrum[0], rtol=0.02)
    n = np.arange(size // 2)
    np.testing.assert_allclose(x.imag[2], size / np.pi * (size / (2 * n + 1) - 1), 1e-6)
    line = made(ij.S4D(), size // 2, dtype="complex64")
    np.testing.assert_allclose(line.imag, np.pi * n, rtol=1e-6)
    assert {*x.real.ravel(), *line.real} == {-0.5}


def test_mambas_states_decay_at_hippos_rates():
    x = made(ij.MambaALog(), 3, 16)
    rates = np.sort(np.linalg.eigvals(made(ij.HiPPO(), 16, 16)).real)[::-1]
    np.testing.assert_allclose(-np.exp(x), np.tile(rates, (3, 1)), rtol=1e-5)


# -- filters ------------------------------------------------------------------------


def test_gabor_filters_are_daugmans():
    law = ij.Gabor(3, wavelength=3.0, step=1.5, bandwidth=1.5, aspect=0.7, phase=0.4)
    bank = made(law, 7, 6, 2, 7)
    for o in range(7):
        t, w = math.pi * (o % 3) / 3, 3.0 * 1.5 ** (o // 3)
        sigma = w / math.pi * math.sqrt(math.log(2) / 2) * (2**1.5 + 1) / (2**1.5 - 1)
        y, x = np.meshgrid(np.arange(7) - 3.0, np.arange(6) - 2.5, indexing="ij")
        a, b = x * np.cos(t) + y * np.sin(t), -x * np.sin(t) + y * np.cos(t)
        wave = np.cos(2 * np.pi * a / w + 0.4)
        wave = wave * np.exp(-(a**2 + (0.7 * b) ** 2) / (2 * sigma**2))
        for i in range(2):
            expected = wave / np.linalg.norm(wave) / math.sqrt(2)
            np.testing.assert_allclose(bank[:, :, i, o], expected, atol=1e-6)


@pytest.mark.parametrize("orientation", range(4))
def test_gabor_filters_answer_to_their_wave(orientation):
    """The peak of the spectrum, and half of it at the ends of the bandwidth."""
    law, t = ij.Gabor(4, wavelength=8.0), math.pi * orientation / 4
    kernel = made(law, 65, 65, 1, 4)[:, :, 0, orientation]
    y, x = np.meshgrid(*[np.arange(65) - 32.0] * 2, indexing="ij")
    along = x * math.cos(t) + y * math.sin(t)
    ends = [2 / 3, 4 / 3]  # an octave apart, around 1 / 8
    answers = {
        ratio: abs(np.sum(kernel * np.exp(-2j * np.pi * along * ratio / 8)))
        for ratio in (0.9, 1.0, 1.1, *ends)
    }
    assert max(answers, key=answers.get) == 1.0
    for end in ends:
        assert answers[end] / answers[1.0] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("window", [(8,), (4, 6), (2, 3, 4)])
def test_dct_is_scipys_on_every_block(window):
    taps = math.prod(window)
    kernel = made(ij.DCT(), *window, 1, taps).reshape(taps, taps)
    block = normal(*window)
    expected = scipy.fft.dctn(block, norm="ortho").ravel()
    np.testing.assert_allclose(block.ravel() @ kernel, expected, atol=1e-5)


BASES = [(ij.DCT(), (3, 4, 2, 12)), (ij.HaarWavelet(), (4, 2, 3, 8))]
BASES += [(ij.DCT(), (5, 1, 5)), (ij.HaarWavelet(), (16, 1, 16))]


@pytest.mark.parametrize(("law", "shape"), BASES, ids=repr)
def test_filters_of_a_basis_are_orthonormal(law, shape):
    filters = made(law, *shape).reshape(-1, shape[-1])
    np.testing.assert_allclose(filters.T @ filters, np.eye(shape[-1]), atol=1e-6)


def test_haar_wavelets_average_and_differ():
    pair = made(ij.HaarWavelet(), 2, 1, 2)[:, 0]
    np.testing.assert_allclose(pair, np.array([[1, 1], [1, -1]]) / math.sqrt(2), 1e-6)
    four = made(ij.HaarWavelet(), 2, 2, 1, 4)
    low, wide, high, both = np.moveaxis(four[:, :, 0], 2, 0)
    np.testing.assert_allclose(2 * low, [[1, 1], [1, 1]], 1e-6)
    np.testing.assert_allclose(2 * wide, [[1, -1], [1, -1]], 1e-6)
    np.testing.assert_allclose(2 * high, wide.T * 2, 1e-6)
    np.testing.assert_allclose(2 * both, [[1, -1], [-1, 1]], 1e-6)
    waves = made(ij.HaarWavelet(), 8, 1, 8)[:, 0].T
    lengths = [np.count_nonzero(wave) for wave in waves]
    assert lengths == [8, 8, 4, 4, 2, 2, 2, 2]
    np.testing.assert_allclose(waves[1:].sum(1), 0, atol=1e-6)


# -- positions ----------------------------------------------------------------------


def test_sinusoids_are_the_papers():
    x = made(ij.Sinusoidal(), 50, 6)
    for p, i in itertools.product((0, 1, 49), range(3)):
        angle = p / 10000 ** (2 * i / 6)
        np.testing.assert_allclose(x[p, 2 * i], math.sin(angle), atol=1e-7)
        np.testing.assert_allclose(x[p, 2 * i + 1], math.cos(angle), atol=1e-7)
    halves = made(ij.Sinusoidal(layout="halves"), 50, 6)
    np.testing.assert_array_equal(halves, x[:, [0, 2, 4, 1, 3, 5]])


def test_a_table_takes_no_traced_number():
    """NumPy computes it."""
    with pytest.raises(TypeError, match="must be known before a call, got a traced"):
        jax.jit(lambda base: ij.Rotary(base=base)(None, (3, 4)))(2.0)


@pytest.mark.parametrize("layout", ["interleaved", "halves"])
def test_a_shift_turns_sinusoids(layout):
    """The table of p + 7 is that of p times rotary's matrix of position 7."""
    x = made(ij.Sinusoidal(500.0, layout), 30, 8)
    turned = rotated(x[:23], 7, layout, base=500.0)
    np.testing.assert_allclose(turned, x[7:], atol=1e-5)


def rotated(x, position, layout, base):
    """(sin, cos) pairs turned forward by the angles of a position."""
    cos, sin = (
        made(ij.Rotary(part, base, layout), position + 1, x.shape[-1])[position]
        for part in ("cos", "sin")
    )
    if layout == "halves":
        first, second = np.split(x, 2, axis=-1)
        other = np.concatenate([second, -first], axis=-1)
    else:
        other = np.stack([x[..., 1::2], -x[..., ::2]], -1).reshape(x.shape)
    return x * cos + other * sin


@pytest.mark.parametrize("layout", ["interleaved", "halves"])
def test_rotary_products_depend_on_distance_alone(layout):
    query, key = normal(2, 6)
    products = [
        rotated(query, p + 3, layout, 100.0) @ rotated(key, p, layout, 100.0)
        for p in (0, 1, 20)
    ]
    np.testing.assert_allclose(products, products[0], rtol=1e-5)
    np.testing.assert_allclose(
        np.linalg.norm(rotated(query, 9, layout, 100.0)), np.linalg.norm(query), 1e-6
    )


def test_positions_far_out_are_exact():
    """Angles in float32 would be off by 0.03 here."""
    far = made(ij.Rotary("sin"), 2**19, 2)[-1]
    np.testing.assert_allclose(far, math.sin(2**19 - 1), atol=1e-7)


SLOPES = {
    1: [8], 2: [4, 8], 4: [2, 4, 6, 8], 8: [1, 2, 3, 4, 5, 6, 7, 8],
    3: [4, 8, 2], 6: [2, 4, 6, 8, 1, 3], 12: [*range(1, 9), 0.5, 1.5, 2.5, 3.5],
}  # fmt: skip


@pytest.mark.parametrize("heads", SLOPES)
def test_slopes_are_those_of_the_published_code(heads):
    np.testing.assert_allclose(
        made(ij.ALiBi(), heads), 2.0 ** -np.array(SLOPES[heads]), rtol=1e-6
    )


# -- constant diagonals -------------------------------------------------------------

NUMBERS = ij.RandomNormal(stddev=1.0, seed="x")


@pytest.mark.parametrize("shape", [(4, 7), (5, 1)])
def test_toeplitz_is_scipys(shape):
    m, n = shape
    numbers = NUMBERS(root(), (m + n - 1,))
    expected = scipy.linalg.toeplitz(numbers[n - 1 :], numbers[n - 1 :: -1])
    assert_same_bits(ij.Toeplitz(NUMBERS)(root(), shape), expected)


@pytest.mark.parametrize("size", [1, 8])
def test_circulant_is_scipys_and_the_fft_diagonalizes_it(size):
    x = np.asarray(ij.Circulant(NUMBERS)(root(), (size, size)), np.float64)
    numbers = NUMBERS(root(), (size,))
    assert_same_bits(x, np.float64(scipy.linalg.circulant(numbers)))
    waves = scipy.linalg.dft(size)
    spectrum = waves @ x @ np.linalg.inv(waves)
    np.testing.assert_allclose(spectrum, np.diag(np.fft.fft(x[:, 0])), atol=1e-5)


FANS = [
    (ij.Toeplitz(ij.HeNormal()), (64, 16), 2 / 64),
    (ij.Toeplitz(ij.HeNormal(fan=Fan.layout("oi"))), (16, 64), 2 / 64),
    (ij.Toeplitz(ij.HeNormal(in_axis=1, out_axis=0)), (16, 64), 2 / 64),
    (ij.Toeplitz(ij.GlorotUniform()), (64, 16), 2 / 80),
    (ij.Circulant(ij.LecunNormal()), (32, 32), 1 / 32),
]


@pytest.mark.parametrize(("init", "shape", "variance"), FANS, ids=repr)
def test_constant_diagonals_keep_the_variance_of_a_layer(init, shape, variance):
    """A vector of as many numbers would have another fan, and another variance."""
    law = init.law(shape)
    assert law.std**2 == pytest.approx(variance)
    keys = jax.random.split(root(), 2000)
    w = np.asarray(jax.vmap(lambda key: init(key, shape))(keys), np.float64)
    inputs = 1 if init.fan or getattr(init.initializer, "in_axis", None) else 0
    x = normal(shape[inputs])
    y = np.tensordot(w, x, (1 + inputs, 0))[:, 3]  # one output of every layer
    assert_moments(y, 0.0, math.sqrt(variance * (x @ x)))


def test_stacked_and_fused_matrices_have_diagonals_of_their_own():
    init = ij.Toeplitz("he_normal", fan=Fan.stacked(0, of=Fan.fused(2, axis=1)))
    x = np.asarray(init(root(), (3, 4, 10)))
    blocks = [b for layer in x for b in np.split(layer, 2, axis=1)]
    for block in blocks:
        assert_same_bits(block[1:, 1:], block[:-1, :-1])
    assert len({block.tobytes() for block in blocks}) == 6


def test_numbers_without_chance_promise_nothing_unless_alike():
    row = ij.Constant([1.0, 2.0, 4.0])
    with pytest.raises(TypeError, match="give a random law"):
        ij.Toeplitz(row).law((2, 2))
    assert ij.Toeplitz(ij.Ones()).law((2, 2)).mean == 1
    x = made(ij.Circulant(row), 3, 3)
    assert ij.Circulant(row).law((3, 3)).std == pytest.approx(x.std())


def test_a_scaled_matrix_is_that_of_the_scaled_law():
    init = ij.Toeplitz(ij.HeNormal())
    half = ij.scaled(init, 0.5)
    np.testing.assert_array_equal(
        half(root(), (6, 5)), 0.5 * np.asarray(init(root(), (6, 5)))
    )
    assert half.law((6, 5)).std == init.law((6, 5)).std / 2


def test_a_traced_gain_draws_what_a_number_does():
    def draw(gain):
        return ij.IDInit(gain)(None, (3, 8)), ij.Toeplitz(ij.RandomNormal(stddev=gain))(
            root(), (3, 8)
        )

    for a, b in zip(jax.jit(draw)(0.3), draw(0.3), strict=True):
        assert_same_bits(a, b)
