"""Laws of matrices: orthogonal convolutions, spectral norms, pairs, low rank."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from tools import assert_refused, assert_same_bits, root

import initjax as ij
from initjax import Fan
from initjax.laws.mimetic import mean_of_largest


def many(init, shape, count, dtype="float32"):
    """Independent draws, in double precision."""
    draw = jax.jit(jax.vmap(functools.partial(init, shape=shape, dtype=dtype)))
    x = np.asarray(draw(jax.random.split(root(), count)))
    return x.astype(np.complex128 if np.iscomplexobj(x) else np.float64)


def singular_values(x):
    return np.linalg.svd(x.reshape(-1, x.shape[-1]), compute_uv=False)


# -- orthogonal convolutions -----------------------------------------------------------


def circular(x, kernel):
    """The convolution of a signal (*window, in) that goes round."""
    axes = tuple(range(x.ndim - 1))
    taps = np.ndindex(*kernel.shape[:-2])
    return sum(np.roll(x, tap, axes) @ kernel[tap] for tap in taps)


CONVOLUTIONS = [  # an array, its dtype and declaration, its kernels (*window, in, out)
    ((4, 5, 8), "complex64", None, lambda x: [x]),
    ((6, 5, 3, 2), "float32", Fan.conv(layout="OIHW"), lambda x: [x.transpose()]),
    ((2, 3, 1, 4, 7), "float32", None, lambda x: [x]),
    ((2, 3, 12), "float32", Fan.fused(2, axis=-1), lambda x: np.split(x, 2, -1)),
]


@pytest.mark.parametrize(("shape", "dtype", "fan", "kernels"), CONVOLUTIONS)
def test_a_circular_convolution_keeps_norms(shape, dtype, fan, kernels):
    init = ij.BlockOrthogonal(2.0, fan=fan)
    rng = np.random.default_rng(0)
    for kernel in kernels(np.asarray(init(root(), shape, dtype), np.complex128)):
        signal = rng.normal(size=(*(7, 6, 5)[: len(shape) - 2], kernel.shape[-2]))
        norms = np.linalg.norm(circular(signal, kernel)), np.linalg.norm(signal)
        assert norms[0] == pytest.approx(2 * norms[1], rel=1e-5)
        assert np.abs(kernel).min() > 1e-4  # every tap is in use


def test_any_direction_falls_on_a_tap_by_a_fair_coin():
    """Of two taps: the rank of a projection is binomial."""
    kernels = many(ij.BlockOrthogonal(), (2, 4, 4), 400)
    ranks = np.linalg.matrix_rank(kernels[:, 0], tol=1e-4)
    expected = 400 * stats.binom.pmf(range(5), 4, 0.5)
    assert stats.chisquare(np.bincount(ranks, minlength=5), expected).pvalue > 1e-3


# -- orthogonal matrices ---------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 12), (12, 40)], ids=str)
def test_all_singular_values_are_the_gain(shape):
    x = ij.Orthogonal(3.0)(root(), shape)
    np.testing.assert_allclose(singular_values(np.float64(x)), 3, rtol=1e-5)


def test_the_phases_of_a_haar_matrix_are_uniform_and_repel():
    """The law of a phase, and of the gap of two: density (1 - cos g) / (2 pi)."""
    q = many(ij.Orthogonal(), (2, 2), 3000, "complex64")
    phases = np.angle(np.linalg.eigvals(q))
    pick = np.random.default_rng(0).integers(2, size=3000)
    phase = phases[np.arange(3000), pick]
    assert stats.kstest(phase, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3
    gap = (phases[:, 0] - phases[:, 1]) % (2 * np.pi)
    assert stats.kstest(gap, lambda g: (g - np.sin(g)) / (2 * np.pi)).pvalue > 1e-3


# -- spectral norms --------------------------------------------------------------------

NORMS = [  # an array, what it declares, its matrices with (in, out) as rows, columns
    ((60, 24), None, lambda x: [x]),
    ((3, 3, 4, 50), "conv", lambda x: [x.reshape(36, 50)]),
    ((30, 20), Fan.layout("oi"), lambda x: [x.T]),
    ((3, 20, 8), Fan.stacked(0), lambda x: list(x)),
    ((5, 16), Fan.embedding(), lambda x: [row[None] for row in x]),
]


@pytest.mark.parametrize(("shape", "fan", "matrices"), NORMS)
def test_every_singular_value_is_the_root_of_out_over_in(shape, fan, matrices):
    x = np.asarray(ij.Spectral(2.0, fan=fan)(root(), shape), np.float64)
    for matrix in matrices(x):
        n_in, n_out = matrix.shape
        r = 2 * math.sqrt(n_out / n_in)
        np.testing.assert_allclose(singular_values(matrix), r, rtol=1e-5)


def test_fans_given_as_numbers_are_the_sides():
    x = ij.Spectral(fan=(100, 25))(root(), (8, 4))
    np.testing.assert_allclose(singular_values(np.float64(x)), 0.5, rtol=1e-5)
    normal = ij.Spectral(distribution="normal", fan=(100, 25))
    assert normal.law((8, 4)).std == pytest.approx(0.5 / (10 + 5))


@pytest.mark.parametrize("shape", [(192, 384), (384, 192)], ids=str)
def test_the_norm_of_normal_entries_is_expected(shape):
    """Norms fluctuate by about half of n^(-2/3), as Tracy and Widom's law does."""
    x = many(ij.Spectral(3.0, "normal"), shape, 8)
    x = x if shape[0] < shape[1] else x.transpose(0, 2, 1)
    largest = np.linalg.eigvalsh(x @ x.transpose(0, 2, 1))[:, -1]
    ratios = np.sqrt(largest) / (3 * math.sqrt(shape[1] / shape[0]))
    assert abs(ratios.mean() - 1) < 0.02
    assert np.abs(ratios - 1).max() < 2 * 192 ** (-2 / 3)


@pytest.mark.parametrize(("shape", "fan", "matrices"), NORMS[1::2])
def test_normal_entries_have_the_std_of_their_sides(shape, fan, matrices):
    init = ij.Spectral(2.0, "normal", fan=fan)
    for x in zip(*(matrices(x) for x in many(init, shape, 40)), strict=True):
        n_in, n_out = x[0].shape
        std = 2 * math.sqrt(n_out / n_in) / (math.sqrt(n_in) + math.sqrt(n_out))
        assert stats.kstest(np.ravel(x), stats.norm(0, std).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("n_in", "n_out"), [(12, 20), (20, 12)])
def test_scaled_laws_of_peers_are_said_by_orthogonal_ones(n_in, n_out):
    """DKS's factor is max(sqrt(out / in), 1), praxis's max(sqrt(in / out), 1)."""
    dks = ij.Spectral() if n_in <= n_out else ij.Orthogonal()
    praxis = ij.Orthogonal(max(math.sqrt(n_in / n_out), 1))
    for init, ratio in [(dks, n_out / n_in), (praxis, n_in / n_out)]:
        values = singular_values(np.float64(init(root(), (n_in, n_out))))
        np.testing.assert_allclose(values, max(math.sqrt(ratio), 1), rtol=1e-5)


# -- attention weights in pairs --------------------------------------------------------


def pair(one, other, shape, other_shape=None, **options):
    """Both weights of a pair, of one key."""
    shapes = (one, shape), (other, other_shape or shape)
    weights = [ij.Mimetic(part, **options)(root(), s) for part, s in shapes]
    return [np.asarray(w, np.float64) for w in weights]


def test_query_and_key_multiply_to_the_best_approximation():
    """The whole product is alpha Z + beta I; a head has its largest singular values."""
    d, alpha, beta = 32, 0.5, 0.8
    q, k = pair("query", "key", (d, d), alpha=alpha, beta=beta)
    z = (q @ k.T - beta * np.eye(d)) / alpha
    assert stats.kstest(z.ravel(), stats.norm(0, d**-0.5).cdf).pvalue > 1e-3
    q, k = pair("query", "key", (d, 8), alpha=alpha, beta=beta)
    u, s, vt = np.linalg.svd(alpha * z + beta * np.eye(d))
    best = u[:, :8] * s[:8] @ vt[:8]
    np.testing.assert_allclose(q @ k.T, best, atol=1e-4)
    for weight in (q, k):  # the roots of the singular values on either side
        np.testing.assert_allclose(weight.T @ weight, np.diag(s[:8]), atol=1e-4)


def test_a_pair_times_a_number_is_that_of_its_square():
    x = ij.scaled(ij.Mimetic("query"), 2.0)(root(), (32, 8))
    np.testing.assert_allclose(x, 2 * ij.Mimetic("query")(root(), (32, 8)), rtol=1e-4)


def test_value_and_output_multiply_to_minus_the_identity_over_all_heads():
    d = 32
    v, o = pair("value", "output", (d, 4, 8), (4, 8, d), alpha=0.4, beta=0.6)
    product = v.reshape(d, d) @ o.reshape(d, d)
    z = (product + 0.6 * np.eye(d)) / 0.4
    assert stats.kstest(z.ravel(), stats.norm(0, d**-0.5).cdf).pvalue > 1e-3
    assert (np.diag(product) < 0).mean() > 0.9


HEADS = {  # how heads are laid out, and the way to (heads, d, k)
    "axis": ((24, 3, 6), None, lambda w: w.transpose(1, 0, 2)),
    "torch": (
        (18, 24),
        Fan.fused(3, axis=0, of=Fan.layout("oi")),
        lambda w: np.stack(np.split(w.T, 3, 1)),
    ),
}


@pytest.mark.parametrize("layout", HEADS)
def test_every_head_has_a_product_of_its_own(layout):
    """Symmetric parts are positive; the noise of two heads is unrelated."""
    shape, fan, heads = HEADS[layout]
    q, k = (heads(w) for w in pair("query", "key", shape, fan=fan))
    products = q @ k.transpose(0, 2, 1)
    assert (np.linalg.matrix_rank(products, tol=1e-4) == 6).all()
    traces = np.trace(products, axis1=1, axis2=2) / 24
    assert (traces > 0.2).all()  # six of 24 directions, of singular values above 0.7
    noise = [(p - np.diag(np.diag(p))).ravel() for p in products]
    assert np.abs(np.corrcoef(noise)[np.triu_indices(3, 1)]).max() < 0.3


def test_weights_of_two_keys_make_no_identity():
    q = np.asarray(ij.Mimetic("query")(root(1), (32, 8)), np.float64)
    k = np.asarray(ij.Mimetic("key")(root(2), (32, 8)), np.float64)
    assert abs(np.trace(q @ k.T)) < 0.3 * np.trace(q @ q.T)


@pytest.mark.parametrize(("alpha", "beta"), [(0.7, 0.7), (0.7, 0.2), (0.1, 0.7)])
def test_the_promised_std_is_that_of_large_weights(alpha, beta):
    d, z = 200, np.random.default_rng(0).normal(size=(200, 200)) / math.sqrt(200)
    s = np.linalg.svd(alpha * z + beta * np.eye(d), compute_uv=False)
    for part, shape, k in [("query", (d, 3, 50), 50), ("output", (4, 50, d), 200)]:
        law = ij.Mimetic(part, alpha, beta).law(shape)
        assert law.std == pytest.approx(math.sqrt(s[:k].mean() / d), rel=3e-3)


def test_the_mean_singular_value_has_its_closed_forms():
    assert mean_of_largest(0.4, 0.7, 1.0) == pytest.approx(0.7 + 0.16 / 2.8, rel=1e-6)
    assert mean_of_largest(0.4, 0.0, 1.0) == pytest.approx(3.2 / 3 / math.pi, rel=1e-6)
    assert mean_of_largest(0.0, 0.7, 0.5) == 0.7
    assert mean_of_largest(0.4, 0.7, 1e-4) == pytest.approx(
        mean_of_largest(4.0, 7.0, 1e-4) / 10
    )


def test_rules_give_both_weights_of_a_pair_one_stream():
    """By name, layer by layer; the bits are those of the stream."""
    leaf = jax.ShapeDtypeStruct((24, 3, 6), "float32")
    shapes = {f"layer_{i}": {"query": leaf, "key": leaf} for i in range(2)}
    rules = [("*/query", ij.Mimetic("query"))]
    for layer in shapes:
        spec = ij.Spec(ij.Mimetic("key"), stream=f"{layer}/query")
        rules.append((f"{layer}/key", spec))
    tree = ij.init_tree(ij.Rules(rules), shapes, root())
    products = []
    for layer, weights in tree.items():
        key = ij.fold_in_path(root(), layer, "query")
        assert_same_bits(weights["key"], ij.Mimetic("key")(key, (24, 3, 6)))
        product = np.einsum("dhk,ehk->hde", weights["query"], weights["key"])
        assert (np.trace(product, axis1=1, axis2=2) > 24 * 0.2).all()
        products.append(np.ravel(product * (1 - np.eye(24))))
    assert abs(np.corrcoef(products)[0, 1]) < 0.3  # each layer has its own


@pytest.mark.parametrize(
    "law",
    [ij.Mimetic("query"), ij.Mimetic("key", 0.5), ij.Mimetic("value"), "he_normal"],
)
def test_no_other_leaf_joins_the_stream_of_a_weight(law):
    leaves = {name: jax.ShapeDtypeStruct((16, 4), "float32") for name in "qk"}
    rules = ij.Rules([("q", ij.Mimetic("query")), ("k", ij.Spec(law, stream="q"))])
    message = "init_tree: 'k' and 'q' would share the stream 'q'; give each its own."
    assert_refused(lambda: ij.init_tree(rules, leaves, root()), ValueError, message)


# -- low rank --------------------------------------------------------------------------


def test_lora_begins_at_zero_and_uniform():
    """Kaiming's uniform law with the slope sqrt(5) is uniform on +-1 / sqrt(fan_in)."""
    a, b = ij.lora_a()(root(), (400, 16)), ij.lora_b()(None, (16, 30))
    limit = math.sqrt(2 / (1 + math.sqrt(5) ** 2)) * math.sqrt(3 / 400)
    uniform = stats.uniform(-limit, 2 * limit)
    assert stats.kstest(np.ravel(a), uniform.cdf).pvalue > 1e-3
    assert limit == pytest.approx(1 / math.sqrt(400))
    assert not (a @ b).any()


@pytest.mark.parametrize("dtype", ["bfloat16", "complex64"])
def test_pissa_takes_the_largest_singular_values_out(dtype):
    weight = ij.RandomNormal(stddev=1.0)(root(), (2, 9, 6), dtype)
    a, b, rest = jax.jit(ij.pissa, static_argnums=1)(weight, 2)
    assert (a.shape, b.shape, rest.shape) == ((2, 9, 2), (2, 2, 6), (2, 9, 6))
    assert {x.dtype for x in (a, b, rest)} == {weight.dtype}
    w, a, b, rest = (np.asarray(x).astype(np.complex128) for x in (weight, a, b, rest))
    tolerance = 0.01 if dtype == "bfloat16" else 1e-5
    np.testing.assert_allclose(a @ b + rest, w, atol=tolerance)
    s = np.linalg.svd(w, compute_uv=False)
    kept = np.linalg.svd(a @ b, compute_uv=False)[:, :2]
    left = np.linalg.svd(rest, compute_uv=False)[:, :4]
    np.testing.assert_allclose(kept, s[:, :2], rtol=2 * tolerance)
    np.testing.assert_allclose(left, s[:, 2:], rtol=2 * tolerance)
    for i in range(2):  # balanced: both factors have the roots
        gram = b[i] @ b[i].conj().T
        np.testing.assert_allclose(a[i].conj().T @ a[i], gram, atol=5 * tolerance)


PISSA = [
    (jnp.ones((4, 3)), 4, ValueError, "needs 1 <= rank <= 3, the shorter side"),
    (jnp.ones((4, 3)), 0, ValueError, "needs 1 <= rank <= 3, the shorter side"),
    (jnp.ones((4, 3)), 1.0, TypeError, "rank must be an int, got float."),
    (jnp.ones(4), 1, ValueError, "needs a weight of rank >= 2"),
    (jnp.ones((4, 3), int), 1, TypeError, "needs a float or complex weight, got int32"),
]


@pytest.mark.parametrize(("weight", "rank", "kind", "rule"), PISSA)
def test_pissa_refuses_what_has_no_such_rank(weight, rank, kind, rule):
    with pytest.raises(kind) as caught:
        ij.pissa(weight, rank)
    where = f"pissa(weight of {weight.shape}, rank={rank}): "
    assert str(caught.value).startswith(where + rule)
