"""Laws that are added, clipped, cast, masked, moved, put side by side, copied."""

import json
import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from scipy import linalg, stats
from tools import assert_moments, assert_refused, assert_same_bits, public, root

import initjax as ij
from initjax import Fan, Spec

INF = math.inf
NORMAL, UNIFORM = ij.RandomNormal(0.5, 2.0, seed="n"), ij.RandomUniform(0.0, 1.0)
CUT = ij.TruncatedNormal(0.5, 1.0, low=-0.3, high=2)
HAAR = ij.Orthogonal(method="qr")
ARRAY = [[1.0], [-2.0]]
CONV = (3, 3, 4, 8)


def clone(law, *names):
    return ij.clone_initializer(law, names)


def drawn(law, shape, dtype="float32"):
    return np.asarray(law(root(), shape, dtype))


# -- operators -------------------------------------------------------------------------

HE, ONES = ij.HeNormal(seed="x", dtype="bfloat16"), ij.Ones()
OPERATORS = {
    "times": (2 * HE, ij.Scaled(HE, 2)),
    "times a number of NumPy": (np.float32(0.5) * HE * 2.0, 2.0 * (0.5 * HE)),
    "times a number of JAX": (jnp.float32(0.5) * HE, HE * 0.5),
    "over": (HE / 4, ij.Scaled(HE, 0.25)),
    "minus": (-HE, ij.Scaled(HE, -1.0)),
    "plus": (HE + ONES, ij.Sum([HE, ONES])),
    "plus a number": (1 + ONES + 2, ij.Sum([1, ONES, 2])),
    "plus an array": (np.ones(2) + ONES, ij.Sum([[1.0, 1.0], ONES])),
    "plus an array of JAX": (jnp.ones(2) + ONES, ij.Sum([[1.0, 1.0], ONES])),
    "less": (HE - ONES, ij.Sum([HE, ij.Scaled(ONES, -1.0)])),
    "less a number": (ONES - 1, ij.Sum([ONES, ij.Scaled(ij.Constant(1), -1.0)])),
    "from a number": (1 - ONES, ij.Sum([1, ij.Scaled(ONES, -1.0)])),
    "a sum of sums": (ONES + (ONES + HE) + 1, ij.Sum([ONES, ONES, HE, 1])),
    "a sum on a stream": (
        clone(ONES + 1, "a") + 1,
        ij.Sum([ij.Sum([ONES, 1], seed="a"), 1]),
    ),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_make_scaled_laws_and_sums(name):
    made, expected = OPERATORS[name]
    assert made == expected


SHORT = {
    "masked": (ij.masked(HE, "upper"), ij.Masked(HE, "upper")),
    "clipped": (ij.clipped(HE, -1, 2), ij.Clipped(HE, -1, 2)),
    "cast": (ij.cast(HE, "bfloat16"), ij.Cast(HE, "bfloat16")),
    "transposed": (ij.transposed(HE, (1, 0)), ij.Transposed(HE, (1, 0))),
    "block_diagonal": (ij.block_diagonal(HE, 2), ij.BlockDiagonal(HE, 2)),
}


@pytest.mark.parametrize("name", SHORT)
def test_combinators_have_short_names(name):
    made, expected = SHORT[name]
    assert made == expected


FACTOR = "the other factor of a law is a number; give one, or add laws by +."
OPERANDS = [
    (lambda: ONES * HE, f"Ones() * {HE!r}: {FACTOR}"),
    (lambda: ONES / ONES, f"Ones() / Ones(): {FACTOR}"),
    (lambda: ONES * "a", "can't multiply sequence by non-int of type 'Ones'"),
    (lambda: ONES + "a", "unsupported operand type(s) for +: 'Ones' and 'str'"),
    (lambda: None - ONES, "unsupported operand type(s) for -: 'NoneType' and 'Ones'"),
    (lambda: 1 / ONES, "unsupported operand type(s) for /: 'int' and 'Ones'"),
    (lambda: ONES * True, "Scaled(by=True): must be a finite number, got bool."),
    (lambda: ONES * 1j, "Scaled(by=1j): must be a finite number, got complex."),
]


@pytest.mark.parametrize(("call", "message"), OPERANDS, ids=range(len(OPERANDS)))
def test_other_operands_are_type_errors(call, message):
    assert_refused(call, TypeError, message)


# -- factors below 0 -------------------------------------------------------------------

MIRRORED = [
    (ij.RandomNormal(0.5, 2.0), "float32"),
    (UNIFORM, "bfloat16"),
    (CUT, "float8_e4m3fn"),
    (HAAR, "float32"),
    (ij.Constant([[1.0], [-2.0]]), "float16"),
    (ij.per_layer(UNIFORM, [1, 3]), "bfloat16"),
    (ij.LecunNormal(), "complex64"),
]


@pytest.mark.parametrize(("law", "dtype"), MIRRORED, ids=repr)
def test_a_negative_factor_changes_every_sign(law, dtype):
    """Of the entries that its absolute value gives, and of the promise."""
    positive, negative, shape = ij.scaled(law, 0.3), ij.scaled(law, -0.3), (2, 64)
    x = drawn(positive, shape, dtype)
    assert_same_bits(drawn(negative, shape, dtype), -x)
    one, other = positive.law(shape, dtype), negative.law(shape, dtype)
    assert (other.mean, other.std, other.fans) == (-one.mean, one.std, one.fans)
    of_modulus = dtype == "complex64"
    bounds = (one.low, one.high) if of_modulus else (-one.high, -one.low)
    assert (other.low, other.high) == bounds
    if one.cdf is not None and not of_modulus:
        at = np.linspace(-2, 2, 33) + 0.01
        np.testing.assert_allclose(other.cdf(at), 1 - one.cdf(-at), atol=1e-12)


def test_a_negative_factor_of_integers_is_refused():
    law = ij.scaled(ij.Ones(), -1)
    rule = "draws float or complex arrays, got dtype int32; give a float or complex "
    where = f"{law!r}(key, shape=(2,), dtype=int32)"
    message = f"{where}: {rule}dtype, such as float32."
    assert_refused(lambda: law(None, (2,), "int32"), TypeError, message)
    assert drawn(3 * ij.Constant(2), (1,), "int8") == 6


def test_a_step_is_mirrored_from_its_other_side():
    """P(-X <= x) counts an entry that is x; of integers seen as floats."""
    law = (-ij.Cast(ij.RandomUniform(0, 4), "int32")).law((3,))
    np.testing.assert_allclose(
        law.cdf([-3.5, -3, -2.5, -1, 0]), [0, 0.25, 0.25, 0.75, 1]
    )


# -- sums ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
def test_a_sum_adds_the_clones_of_its_terms(dtype):
    terms = [ij.HeNormal(seed="a"), ij.LecunNormal(), ij.HeNormal()]
    law = ij.Sum(terms, seed="s")
    wide = "complex64" if dtype == "complex64" else "float32"
    parts = [
        drawn(ij.HeNormal(seed=("a", "s", 0)), (64, 64), wide),
        drawn(ij.LecunNormal(seed=("s", 1)), (64, 64), wide),
        drawn(ij.HeNormal(seed=("s", 2)), (64, 64), wide),
    ]
    x, eps = drawn(law, (64, 64), dtype), float(jnp.finfo(dtype).eps)
    expected = np.sum(parts, 0, np.complex128)
    np.testing.assert_allclose(x.astype(np.complex128), expected, rtol=eps, atol=1e-6)
    off = np.abs(np.corrcoef([p.ravel() for p in parts]) - np.eye(3)).max()
    assert off * 64 < 5


SUMS = [
    (ij.Sum([NORMAL, ij.RandomNormal(-1.0, 1.5), 2]), stats.norm(1.5, 2.5)),
    (NORMAL - ij.RandomNormal(1.0, 1.5), stats.norm(-0.5, 2.5)),
    (UNIFORM + 1 - 0.25, stats.uniform(0.75, 1)),
    (2 - CUT, stats.truncnorm(-1.5, 0.8, 1.5, 1.0)),
]


@pytest.mark.parametrize(("law", "reference"), SUMS, ids=range(len(SUMS)))
def test_a_sum_of_normal_laws_or_with_numbers_has_a_cdf(law, reference):
    promise = law.law((100, 100))
    assert promise.mean == pytest.approx(reference.mean())
    assert promise.std == pytest.approx(reference.std())
    assert (promise.low, promise.high) == pytest.approx(reference.support())
    at = reference.ppf(np.linspace(0.01, 0.99, 9))
    np.testing.assert_allclose(promise.cdf(at), reference.cdf(at), rtol=1e-9)


def test_draws_of_a_difference_follow_its_law():
    law, reference = SUMS[1]
    assert stats.kstest(drawn(law, (100, 100)).ravel(), reference.cdf).pvalue > 1e-3


def test_what_a_sum_promises_adds_up():
    law = ij.Sum([UNIFORM, UNIFORM, ij.HeNormal()], fan=8).law((3, 3))
    assert law.mean == 1.0
    assert law.std == pytest.approx(math.sqrt(2 / 12 + 2 / 8))
    assert law.fans == (8, 8)
    assert law.cdf is None
    once = (UNIFORM + UNIFORM + 1).law((3, 3))
    assert (once.low, once.high) == (1.0, 3.0)


def test_two_terms_that_differ_from_entry_to_entry_are_promised_nothing():
    """Unless nothing is random: then the law is that of the very entries."""
    fixed = ij.Identity() + ij.Identity()
    promised, values = fixed.law((3, 3)), 2 * np.eye(3)
    assert (promised.mean, promised.std) == pytest.approx((values.mean(), values.std()))
    assert (np.asarray(ARRAY) + ij.HeNormal()).law((2, 3)).std ** 2 == pytest.approx(
        2.25 + 2 / 2
    )
    law = fixed + ij.HeNormal()
    message = (
        f"{law!r}.law(shape=(3, 3)): promises nothing: several terms differ from entry "
        "to entry, and their averages do not tell those of the sum; ask the terms."
    )
    assert_refused(lambda: law.law((3, 3)), TypeError, message)


def test_rounding_stays_inside_the_bounds_of_a_sum():
    x = drawn(ij.RandomUniform(0.0, 0.3) + UNIFORM, (400, 400), "bfloat16")
    law = (ij.RandomUniform(0.0, 0.3) + UNIFORM).law((400, 400))
    assert (law.low, law.high) == (0.0, 1.3)
    assert 1.2 < x.max().astype(float) <= law.high


# -- clipped ---------------------------------------------------------------------------


def rectified(law, low, high):
    """Mean and standard deviation of a clipped law, from those of its middle."""
    below, above = law.cdf(low), law.sf(high)
    inside = [law.expect(lambda x, k=k: x**k, lb=max(low, law.support()[0]),
                         ub=min(high, law.support()[1])) for k in (1, 2)]  # fmt: skip
    ends = [(low if below else 0.0, below), (high if above else 0.0, above)]
    mean, square = (inside[k - 1] + sum(p * e**k for e, p in ends) for k in (1, 2))
    return mean, math.sqrt(square - mean**2)


CLIPPED = [
    (NORMAL, stats.norm(0.5, 2.0), -0.5, 1.0),
    (NORMAL, stats.norm(0.5, 2.0), 0.0, INF),
    (NORMAL, stats.norm(0.5, 2.0), -INF, 4.5),
    (NORMAL, stats.norm(0.5, 2.0), -1e3, 1e3),
    (NORMAL, stats.norm(0.5, 2.0), 5.0, 6.0),
    (ij.RandomNormal(0.0, 1e-3), stats.norm(0.0, 1e-3), -1.0, 1e-3),
    (UNIFORM, stats.uniform(0, 1), 0.25, 2.0),
    (CUT, stats.truncnorm(-0.8, 1.5, 0.5, 1.0), 0.1, 0.7),
]


@pytest.mark.parametrize(
    ("law", "reference", "low", "high"), CLIPPED, ids=range(len(CLIPPED))
)
def test_a_clipped_law_has_the_moments_of_its_entries(law, reference, low, high):
    init = ij.Clipped(law, low, high)
    promise, expected = init.law((300, 300)), rectified(reference, low, high)
    np.testing.assert_allclose((promise.mean, promise.std), expected, rtol=1e-6)
    at = np.linspace(max(low, -9), min(high, 9), 9)[1:-1]
    np.testing.assert_allclose(promise.cdf(at), reference.cdf(at), atol=1e-12)
    assert promise.cdf(promise.high) == pytest.approx(1.0)


def test_a_clipped_law_is_the_draw_of_the_law_put_into_the_interval():
    law, _, low, high = CLIPPED[0]
    x = drawn(ij.Clipped(law, low, high), (300, 300))
    assert_same_bits(x, np.clip(drawn(law, (300, 300)), low, high))
    narrow = drawn(ij.Clipped(law, -0.3, 0.3), (30, 30), "bfloat16").astype(float)
    assert 0.29 < narrow.max() == -narrow.min() <= 0.3


def test_a_step_and_a_mixture_are_clipped_to_the_last_digits():
    rows = ij.with_row(ij.RandomUniform(0.0, 2.0), 0, 5.0)
    promise = ij.Clipped(rows, 1.0, 4.0).law((4, 3))
    mean = 0.75 * 1.25 + 0.25 * 4  # of max(U(0, 2), 1), and of the row
    square = 0.75 * (0.5 + 7 / 6) + 0.25 * 16
    assert promise.mean == pytest.approx(mean, rel=1e-10)
    assert promise.std == pytest.approx(math.sqrt(square - mean**2), rel=1e-10)
    array = ij.Clipped(ij.Constant(ARRAY), -1.0, 0.5).law((2, 2))
    assert (array.mean, array.std) == (-0.25, 0.75)


# -- cast ------------------------------------------------------------------------------


CASTS = [
    *(("bfloat16", "float32"), ("bfloat16", "float16"), ("float16", "float32")),
    *(("float8_e4m3fn", "float32"), ("int8", "float32")),
]


@pytest.mark.parametrize(("through", "dtype"), CASTS)
def test_a_cast_law_is_the_draw_of_the_other_dtype(through, dtype):
    law = ij.RandomUniform(-100, 100) if through == "int8" else ij.RandomNormal(0, 5e-3)
    narrow = drawn(law, (64, 64), through)
    x = drawn(ij.Cast(law, through), (64, 64), dtype)
    np.testing.assert_array_equal(x, narrow.astype(np.float32).astype(dtype))


# -- masked ----------------------------------------------------------------------------

MASKS = {
    "lower": np.tril(np.ones((4, 6), bool)),
    "strictly_lower": np.tril(np.ones((4, 6), bool), -1),
    "upper": np.triu(np.ones((4, 6), bool)),
    "strictly_upper": np.triu(np.ones((4, 6), bool), 1),
}


@pytest.mark.parametrize("mask", [*MASKS, [[1], [0], [0], [1]]], ids=str)
@pytest.mark.parametrize("law", [ij.HeNormal(fan=Fan.fused(2))], ids=repr)
def test_a_mask_keeps_the_bits_of_the_law(law, mask):
    kept = MASKS[mask] if isinstance(mask, str) else np.broadcast_to(mask, (4, 6))
    shape = (3, 4, 6)
    init = ij.Masked(law, mask)
    assert_same_bits(drawn(init, shape), np.where(kept, drawn(law, shape), 0))
    promise, whole, share = init.law(shape), law.law(shape), kept.mean()
    square = share * (whole.std**2 + whole.mean**2)
    assert promise.mean == pytest.approx(share * whole.mean)
    assert promise.std**2 + promise.mean**2 == pytest.approx(square)
    assert promise.fans == whole.fans
    assert promise.cdf(0.0) - promise.cdf(-1e-9) == pytest.approx(1 - share, abs=1e-6)


def test_a_mask_of_a_law_that_differs_from_entry_to_entry():
    fixed = ij.Masked(ij.Identity(), "lower").law((4, 4))
    assert fixed.mean == 0.25  # no entry of the diagonal is masked
    law = ij.Masked(ij.with_row(NORMAL, 0), "lower")
    message = (
        f"{law!r}.law(shape=(4, 4)): promises nothing: the law differs from entry to "
        "entry, and its average does not tell what the mask leaves; ask the law itself."
    )
    assert_refused(lambda: law.law((4, 4)), TypeError, message)
    assert np.isfinite(drawn(law, (4, 4), "bfloat16").astype(float)).all()


# -- moved -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axes", "shape", "stored"),
    [
        (None, (4, 9), (9, 4)),
        ((3, 2, 0, 1), (8, 4, 3, 3), CONV),
        ([-1, 0], (3, 5), (5, 3)),
    ],
)
def test_a_transposed_law_is_drawn_in_its_own_order(axes, shape, stored):
    for law in (ij.LecunNormal(seed="x"), *([HAAR] if axes is None else [])):
        init = ij.Transposed(law, axes)
        assert_same_bits(drawn(init, shape), drawn(law, stored).transpose(axes))
        assert init.law(shape) == law.law(stored)


OUT_IN = [
    (Fan.layout("oi"), (6, 4), Fan.layout("io"), None),
    (Fan.conv(layout="OIHW"), (8, 4, 3, 3), Fan.conv(layout="HWIO"), (3, 2, 0, 1)),
    (Fan.stacked(0, of=Fan.layout("oi")), (3, 6, 4), None, None),
    (Fan.fused(2, axis=0, of=Fan.layout("oi")), (6, 4), None, None),
    (7, (6, 4), 7, None),
]


@pytest.mark.parametrize(("fan", "shape", "own", "axes"), OUT_IN, ids=str)
def test_a_fan_of_a_transposed_law_is_in_the_order_of_the_array(fan, shape, own, axes):
    law = ij.HeNormal(fan=own)
    init = Spec(ij.Transposed(law, axes), fan=fan).law
    assert init.law(shape).fans == ij.HeNormal(fan=fan).law(shape).fans
    if own is not None:
        assert init.law(shape) == ij.Transposed(law, axes).law(shape)
    shapes = {"w": jax.ShapeDtypeStruct(shape, "float32")}
    rules = ij.Rules([("**", Spec(ij.Transposed("orthogonal", axes), fan=fan))])
    w = np.asarray(ij.init_tree(rules, shapes, root())["w"])
    assert ij.plan(rules, shapes).rows[0].std ** 2 == pytest.approx(np.square(w).mean())


@pytest.mark.parametrize("law", [ij.HeNormal(seed="x"), HAAR], ids=repr)
@pytest.mark.parametrize("fan", [None, Fan.stacked(0)])
def test_blocks_along_a_diagonal_are_clones(law, fan):
    init = ij.BlockDiagonal(law, 3)
    one = linalg.block_diag(*(drawn(clone(law, i), (2, 4)) for i in range(3)))
    if fan is None:
        assert_same_bits(drawn(init, (6, 12)), one)
        assert init.law((6, 12)).fans == law.law((2, 4)).fans
        return
    layers = drawn(Spec(init, fan=fan).law, (2, 6, 12))
    assert ((layers != 0) == (one != 0)).all()
    assert not np.isin(layers[0][one != 0], layers[1]).any()
    shapes = {"w": jax.ShapeDtypeStruct((2, 6, 12), "float32")}
    table = ij.plan(ij.Rules([("w", Spec(init, fan=fan))]), shapes)
    assert table.rows[0].fans == ((2, 4),) or law == HAAR
    assert f"BlockDiagonal({init.initializer!r}, 3)" in str(table)


# -- side by side ----------------------------------------------------------------------


def test_laws_lie_side_by_side_as_clones():
    parts = {"k": (ij.HeNormal(), 4), "b": ("ones", 1), "o": (HAAR, 4)}
    law = clone(ij.concatenated(parts, axis=0), "s")
    expected = [
        drawn(ij.HeNormal(seed=("s", "k")), (4, 6)),
        np.ones((1, 6), "float32"),
        drawn(clone(HAAR, "s", "o"), (4, 6)),
    ]
    assert_same_bits(drawn(law, (9, 6)), np.concatenate(expected))
    listed = ij.concatenated([("zeros", 2), (ij.HeNormal(fan=3), 5)])
    assert_same_bits(
        drawn(listed, (4, 7))[:, 2:], drawn(ij.HeNormal(fan=3, seed=1), (4, 5))
    )


def test_groups_have_fans_and_streams_of_their_own():
    law = ij.per_group(ij.LecunNormal(seed="x"), 2)
    groups = [drawn(ij.LecunNormal(seed=("x", i)), (3, 3, 1, 4)) for i in range(2)]
    assert_same_bits(drawn(law, (3, 3, 1, 8)), np.concatenate(groups, -1))
    out = ij.VarianceScaling(mode="fan_out", fan="conv")
    assert ij.per_group(out, 4).law((3, 3, 1, 8)).fans == (9, 18)


def test_stacked_layers_are_weights():
    x = drawn(ij.stacked("orthogonal", 1), (4, 3, 4))
    for layer in np.moveaxis(x, 1, 0):
        np.testing.assert_allclose(layer.T @ layer, np.eye(4), atol=1e-5)
    assert ij.stacked(ij.HeNormal(fan=Fan.layout("oi"))).law((5, 8, 2)).fans == (2, 8)


def test_rows_around_rows_are_independent():
    law = ij.with_row(ij.with_row("zeros", 0, "normal"), 1, "normal")
    first, second, third = drawn(law, (3, 4))
    assert not np.isin(first, second).any()
    assert not third.any()


# fmt: off
NOT_MADE = [
    (lambda: ij.Clipped("ones", math.nan, 0), ValueError,
     "Clipped(low=nan): must be a finite number, inf or -inf."),
    (lambda: ij.Masked("ones", "diagonal"), ValueError,
     "Masked(mask='diagonal'): must be an array or one of ('lower', 'strictly_lower', "
     "'upper', 'strictly_upper')."),
    (lambda: ij.Masked("ones", [0.5]), ValueError,
     "Masked(mask=[0.5]): must be an array of True and False, or of 1 and 0."),
    (lambda: ij.Masked("ones", ["a"]), TypeError,
     "Masked(mask=['a']): must be an array of True and False, got list."),
    (lambda: ij.Transposed("ones", (0, 2)), ValueError,
     "Transposed(axes=(0, 2)): must name each of 2 axes once, or be None."),
    (lambda: ij.BlockDiagonal("ones", 0), ValueError,
     "BlockDiagonal(blocks=0): must be a whole number >= 1; give that of the blocks."),
    (lambda: ij.Cast("ones", "complex64"), TypeError,
     "Cast(initializer=Ones(), through='complex64'): through='complex64' is no real "
     "dtype; give one, such as 'bfloat16'."),
    (lambda: ij.Sum([ij.Ones(dtype="float16"), HE]), ValueError,
     f"Sum(initializers=(Ones(dtype='float16'), {HE!r})): an array has one dtype, got "
     "bfloat16 and float16; give it to the whole law."),
]
# fmt: on


@pytest.mark.parametrize(("make", "kind", "message"), NOT_MADE)
def test_what_is_no_combination_is_refused(make, kind, message):
    assert_refused(make, kind, message)


# -- copies ----------------------------------------------------------------------------


def test_experts_begin_as_copies_and_noise_tells_them_apart(key):
    kernel = np.float32(np.random.default_rng(0).normal(size=(6, 8)))
    copies = drawn(ij.upcycled(kernel), (4, 6, 8))
    np.testing.assert_array_equal(copies, np.broadcast_to(kernel, (4, 6, 8)))
    noisy = ij.upcycled(kernel, noise=0.1)
    assert noisy == ij.noise_on(kernel, 0.1)
    x = drawn(noisy, (400, 6, 8))
    assert_moments(x - kernel, 0.0, 0.1)
    assert noisy.law((4, 6, 8)).std == pytest.approx(math.hypot(kernel.std(), 0.1))


def conv(x, kernel):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=numbers
    )


LAYERS = {  # kernels, what applies them, the shape of inputs
    "dense": ((5, 7), (7, 3), jnp.matmul, (4, 5)),
    "conv": ((3, 3, 2, 7), (3, 3, 7, 3), conv, (2, 5, 5, 2)),
}


@pytest.mark.parametrize(("name", "width"), [("dense", 9), ("conv", 8)])
def test_a_wider_layer_computes_what_the_narrow_one_did(name, width):
    one, other, apply, inputs = LAYERS[name]
    kernel, out, bias, x = (
        drawn(ij.RandomNormal(0, 1.0, seed=i), s)
        for i, s in enumerate([one, other, (7,), inputs])
    )
    widen = jax.jit(ij.net2wider, static_argnames=("width", "noise"))
    wider = widen(kernel, out, width, root(), bias=bias)
    assert [w.shape[-1] for w in wider] == [width, width, 3]

    def net(kernel, bias, out):
        hidden = apply(x, kernel)
        return apply(jax.nn.relu(hidden + jnp.broadcast_to(bias, hidden.shape)), out)

    np.testing.assert_allclose(
        net(*wider), net(kernel, bias, out), rtol=1e-4, atol=1e-5
    )
    noisy, nothing, same = widen(kernel, out, width, root(), noise=0.1)
    assert nothing is None
    np.testing.assert_array_equal(same, wider[2])
    moved = np.asarray(noisy - wider[0])
    assert not moved[..., :7].any()  # the first copies
    assert moved[..., 7:].all()


NO_COPIES = [
    (lambda x, y, key: ij.net2wider(x, x, 5, key), ValueError,
     "kernel_out of (2, 3), width=5): kernel_in has 3 outputs, so kernel_out has as "
     "many inputs, and a bias as many entries; give layers that follow each other."),
    (lambda x, y, key: ij.net2wider(x, y, 2, key), ValueError,
     "kernel_out of (3, 4), width=2): a layer of 3 units becomes none of 2; give "
     "more."),
    (lambda x, y, key: ij.net2wider(x, y, 5.0, key), TypeError,
     "kernel_out of (3, 4), width=5.0): width must be an int, got float."),
    (lambda x, y, key: ij.net2wider(x, y[0], 5, key), ValueError,
     "kernel_out of (4,), width=5): kernels have two axes and more, (..., in, out); "
     "give such."),
    (lambda x, y, key: ij.net2wider(x, y.astype(int), 5, key), TypeError,
     "kernel_out of (3, 4), width=5): kernels are arrays of floats; cast them."),
    (lambda x, y, key: ij.net2wider(x, y, 5, 3), TypeError,
     "kernel_out of (3, 4), width=5): needs a PRNG key, got key=3 of type int; give "
     "jax.random.key(3)."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), NO_COPIES)
def test_layers_that_do_not_follow_each_other_are_refused(call, kind, message, key):
    x, y = np.zeros((2, 3), "float32"), np.zeros((3, 4), "float32")
    where = f"net2wider(kernel_in of (2, 3), {message}"
    assert_refused(lambda: call(x, y, key), kind, where)


# -- everything with everything --------------------------------------------------------

COMBINE = {
    "scaled": lambda law: -0.5 * law,
    "sum": lambda law: ij.noise_on(law, 0.3),
    "clipped": lambda law: ij.Clipped(law, -0.25, 0.3),
    "cast": lambda law: ij.Cast(law, "bfloat16"),
    "masked": lambda law: ij.Masked(law, "lower"),
    "transposed": lambda law: ij.Transposed(law),
    "blocks": lambda law: ij.BlockDiagonal(law, 2),
    "row": lambda law: ij.with_row(law, 0, "normal"),
    "parts": lambda law: ij.concatenated([(law, 2), (ij.HeNormal(), 4)]),
}
OF = {
    "he": ij.HeNormal(seed="x"),
    "uniform": ij.RandomUniform(0.125, 0.5),
    "haar": HAAR,
    "constant": ij.Constant(0.5),
    "masked": ij.Masked(ij.RandomNormal(0.25, 1.0), "upper"),
}
LAWS = {f"{how} {of}": COMBINE[how](OF[of]) for how in COMBINE for of in OF}


@pytest.mark.parametrize("name", LAWS)
def test_a_composition_is_a_value(name):
    law = LAWS[name]
    for other in (
        eval(repr(law), public()),
        pickle.loads(pickle.dumps(law)),
        ij.deserialize(json.loads(json.dumps(ij.serialize(law)))),
    ):
        assert other == law
        assert hash(other) == hash(law)


UNKNOWN = {"masked masked", "row masked"}  # of what differs from entry to entry


@pytest.mark.parametrize("name", sorted(UNKNOWN))
def test_what_is_not_known_of_a_composition_is_refused(name):
    with pytest.raises(TypeError, match="promises nothing"):
        LAWS[name].law((6, 6))
    assert drawn(LAWS[name], (6, 6)).std() > 0


@pytest.mark.parametrize("of", OF)
def test_draws_of_a_composition_are_as_it_promises(of):
    known = [how for how in COMBINE if f"{how} {of}" not in UNKNOWN]
    laws = [LAWS[f"{how} {of}"] for how in known]

    def draw(key):
        return [law(jax.random.clone(key), (6, 6)) for law in laws]

    arrays = jax.jit(jax.vmap(draw))(jax.random.split(root(), 600))
    for how, law, x in zip(known, laws, arrays, strict=True):
        promise, twice = law.law((6, 6)), (2 * law).law((6, 6))
        z = np.asarray(x, np.float64).reshape(600, -1)
        assert promise.low - 1e-6 <= z.min(), how
        assert z.max() <= promise.high + 1e-6, how
        for statistic, expected in [
            (z.mean(1), promise.mean),
            (((z - promise.mean) ** 2).mean(1), promise.std**2),
        ]:
            error = abs(statistic.mean() - expected)
            spread = statistic.std() / math.sqrt(600)
            slack = 1e-6 + 4e-3 * abs(expected) * (how == "cast")
            assert error <= 5 * spread + slack, (how, promise)
        for name in ("mean", "std", "low", "high"):
            assert getattr(twice, name) == pytest.approx(2 * getattr(promise, name))


@pytest.mark.parametrize("how", [*COMBINE][:8])
def test_a_clone_of_a_composition_is_the_composition_of_clones(how):
    law = ij.RandomNormal(seed="x")
    made, of_clone = clone(COMBINE[how](law), "a"), COMBINE[how](clone(law, "a"))
    if how == "sum":  # whose terms all become clones
        of_clone = ij.Sum(COMBINE[how](law).initializers, seed="a")
    assert made == of_clone
    assert made != COMBINE[how](law)
