"""Rows, parts and sub-pixels of their own: what is theirs, and what stays the law's."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from tools import assert_refused, assert_same_bits, root

import initjax as ij
from initjax import Fan, Spec, icnr, per_part, with_row

# -- rows ------------------------------------------------------------------------------

ROWS = [
    # index, axis, the rows in order
    (0, 0, [0]),
    (-1, 0, [5]),
    ([4, 1, -1, 2], 1, [1, 2, 4, 5]),
    (slice(3), -2, [0, 1, 2]),
    ("-2:", -1, [2, 3]),
]
LAWS = [
    ij.RandomNormal(seed="x"),
    ij.HeNormal(fan=Fan.stacked(0)),
    ij.GlorotUniform(fan=Fan.fused([1, 3], axis=-1)),
    ij.Orthogonal(fan=Fan.experts(0)),
    ij.Ones(),
]
SHAPE = (6, 6, 4)


def split_rows(x, axis, rows):
    """The rows, and all other entries."""
    x = np.asarray(x)
    return np.take(x, rows, axis), np.delete(x, rows, axis)


@pytest.mark.parametrize(
    ("init", "index", "axis", "rows"),
    [(init, *ROWS[(i + j) % 5]) for i, init in enumerate(LAWS) for j in (0, 2)],
    ids=repr,
)
def test_rows_are_of_the_value_and_all_else_are_the_bits_of_the_law(
    init, index, axis, rows
):
    seed = () if getattr(init, "seed", None) is None else (init.seed,)
    one = (*SHAPE[: axis % 3], len(rows), *SHAPE[axis % 3 + 1 :])
    _, rest = split_rows(init(root(), SHAPE), axis, rows)
    uniform = ij.RandomUniform(seed=("u", *seed, "row"))
    for value, expected in [
        (0.5, jnp.full(one, 0.5)),
        (ij.RandomUniform(seed="u"), uniform(root(), one)),
    ]:
        law = with_row(init, index, value, axis)
        own, others = split_rows(law(root(), SHAPE), axis, rows)
        assert_same_bits(others, rest)
        assert_same_bits(own, expected)
        assert law.law(SHAPE).fans == init.law(SHAPE).fans


def test_rules_fans_and_ensembles_know_rows():
    rules = ij.Rules([("**", Spec(with_row("normal", 0), fan=Fan.embedding()))])
    rules = ij.Rules.from_config(json.loads(json.dumps(rules.get_config())))
    shapes = {"table": jax.ShapeDtypeStruct((8, 4), "float32")}
    tables = ij.init_ensemble(rules, shapes, root(), 3)["table"]
    assert not tables[:, 0].any()
    assert tables[:, 1:].all()
    assert "WithRow(RandomNormal(), 0)" in str(ij.plan(rules, shapes))


# -- parts -----------------------------------------------------------------------------

GATES = ("i", "f", "g", "o")
INITS = {"": ij.HeNormal(seed="x"), "f": ij.Ones(), "o": ij.Orthogonal(2.0, seed="y")}


@pytest.mark.parametrize("names", [GATES, dict(zip(GATES, (3, 5, 4, 4), strict=True))])
@pytest.mark.parametrize("stacked", [False, True])
def test_every_part_is_the_clone_of_its_law(names, stacked):
    shape, part = ((3, 6, 16), Fan.stacked(0)) if stacked else ((6, 16), None)
    fused = Fan.fused(names, axis=-1)
    init = per_part(INITS[""], {"f": "ones", "o": INITS["o"]})
    fan = Fan.stacked(0, of=fused) if stacked else fused
    x = ij.Spec(init, fan=fan).law(root(), shape)
    sizes = [*names.values()] if isinstance(names, dict) else [4] * 4
    parts = jnp.split(x, np.cumsum(sizes)[:-1], -1)
    laws = {
        "i": ij.HeNormal(seed=("x", "i"), fan=part),
        "f": ij.Ones(fan=part),
        "g": ij.HeNormal(seed=("x", "g"), fan=part),
        "o": ij.Orthogonal(2.0, seed=("y", "x", "o"), fan=part),
    }
    for (name, law), drawn in zip(laws.items(), parts, strict=True):
        assert_same_bits(drawn, law(root(), drawn.shape), name)


def test_an_lstm_forgets_with_a_bias_of_1_and_has_orthogonal_gates():
    """One fused kernel and bias, as many write it, cut into the cell that Flax has."""
    fused, cell = Fan.fused(GATES, axis=-1), linen.OptimizedLSTMCell(8)
    rules = ij.Rules(
        [
            ("recurrent", Spec("orthogonal", fan=fused)),
            ("kernel", Spec("glorot_uniform", fan=fused)),
            ("bias", Spec(per_part("zeros", {"f": "ones"}), fan=fused)),
        ]
    )
    shapes = {"recurrent": (8, 32), "kernel": (5, 32), "bias": (32,)}
    shapes = {name: jax.ShapeDtypeStruct(s, "float32") for name, s in shapes.items()}
    weights = ij.init_tree(rules, shapes, root())
    params = {}
    for i, gate in enumerate(GATES):
        recurrent, kernel, bias = (
            jnp.split(weights[name], 4, -1)[i] for name in shapes
        )
        params |= {f"h{gate}": {"kernel": recurrent, "bias": bias}}
        params |= {f"i{gate}": {"kernel": kernel}}
        matrix = np.asarray(recurrent)
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(8), atol=1e-5)
    carry = (jnp.ones((1, 8)), jnp.zeros((1, 8)))
    (memory, _), _ = cell.apply({"params": params}, carry, jnp.zeros((1, 5)))
    np.testing.assert_allclose(memory, 1 / (1 + math.exp(-1)), rtol=1e-6)


# -- sub-pixels ------------------------------------------------------------------------


def shuffle(x, r, order):
    """Pixels from channels (batch, *window, channels): PixelShuffle, depth_to_space."""
    window = x.ndim - 2
    pixels = (r,) * window
    whole = x.shape[-1] // r**window
    split = (whole, *pixels) if order == "torch" else (*pixels, whole)
    x = x.reshape(*x.shape[:-1], *split)
    first = x.ndim - window - (order == "tensorflow")
    axes = [0]
    for i in range(window):
        axes += [1 + i, first + i]
    axes.append(x.ndim - 1 if order == "tensorflow" else first - 1)
    x = x.transpose(axes)
    sizes = (x.shape[1 + 2 * i] * r for i in range(window))
    return x.reshape(x.shape[0], *sizes, whole)


@pytest.mark.parametrize("order", ["torch", "tensorflow"])
@pytest.mark.parametrize(
    ("layout", "shape"),
    [("WIO", (3, 2, 9)), ("HWIO", (3, 3, 2, 18)), ("OIHW", (18, 2, 3, 3))],
)
def test_a_convolution_and_a_shuffle_begin_as_an_upsampling(order, layout, shape):
    """Every block of the result is one number, that of the smaller kernel."""
    window = len(shape) - 2
    law = ij.GlorotNormal(fan=Fan.conv(layout=layout))
    x = jax.random.normal(root(1), (2, *[5] * window, 2))
    numbers = (f"N{'HW'[2 - window :]}C", layout, f"N{'HW'[2 - window :]}C")

    def conv(kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, [1] * window, "SAME", dimension_numbers=numbers
        )

    y = np.asarray(shuffle(conv(icnr(law, 3, order)(root(), shape)), 3, order))
    small = list(shape)
    small[layout.index("O")] //= 3**window
    expected = conv(law(root(), small))
    for axis in range(1, window + 1):
        expected = np.repeat(expected, 3, axis)
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)


def test_layers_and_parts_of_sub_pixel_kernels_are_repeated_apart():
    fan = Fan.stacked(0, of=Fan.fused([8, 4], axis=0, of=Fan.conv(layout="OIHW")))
    x = np.asarray(icnr(ij.HeNormal(fan=fan), 2)(root(), (2, 12, 3, 3, 3)))
    groups = x.reshape(2, 3, 4, -1)
    assert (groups == groups[:, :, :1]).all()
    assert len(np.unique(groups[:, :, 0])) == 2 * 3 * 27


# -- refusals --------------------------------------------------------------------------

RANGE = "is out of range, the axis has 4 rows; give rows in [-4, 4)."
# fmt: off
REFUSED = [
    (with_row("ones", 4), (4, 2), ValueError, f"index=4 {RANGE}"),
    (with_row("ones", [0, -5]), (4, 2), ValueError, f"index=(0, -5) {RANGE}"),
    (with_row("ones", "2:9"), (4, 2), ValueError, f"index='2:9' {RANGE}"),
    (with_row("ones", "3:-1"), (4, 2), ValueError,
     "the slice '3:-1' of 4 rows is empty; give rows."),
    (with_row("ones", [0, -4]), (4, 2), ValueError,
     "index=(0, -4) lists a row of 4 twice; list it once."),
    (with_row("ones", 0, axis=2), (4, 2), ValueError,
     "axis=2 is out of range for a shape of rank 2; give the axis of the rows."),
    (per_part("ones", {"f": "zeros"}), (4, 2), ValueError,
     "needs a declaration of parts, got fan=None; give one, such as "
     "fan=Fan.fused(('i', 'f', 'g', 'o'))."),
    (per_part(ij.Ones(fan=Fan.fused(("gate", "up"))), {"gates": "zeros"}), (4, 2),
     ValueError, "has no part 'gates', only ('gate', 'up'); did you mean 'gate'?"),
    (per_part(ij.Ones(fan=Fan.fused(2)), {"f": "zeros"}), (4, 2), ValueError,
     "has no part 'f', only (0, 1); name one of them."),
    (icnr("ones", 2), (4, 4), ValueError,
     "a shape (4, 4) has no window axes to upsample; give the kernel of a "
     "convolution."),
    (icnr("ones", 2), (3, 3, 2, 6), ValueError,
     "axis 3 has 6 outputs, which 4 equal ones of factor=2 do not divide; give a "
     "multiple of 4."),
    (icnr("ones", 2, axis=4), (3, 3, 2, 6), ValueError,
     "axis=4 is out of range for a shape of rank 4; give the axis of the outputs."),
]
MADE = [
    (lambda: with_row("ones", 1.5), TypeError,
     "WithRow(index=1.5): must be an int, got float."),
    (lambda: with_row("ones", "a"), ValueError,
     "WithRow(index='a'): a slice reads 'start:stop', such as '10:' or ':-2'."),
    (lambda: with_row("ones", slice(0, 4, 2)), ValueError,
     "WithRow(index=slice(0, 4, 2)): takes slices without a step; list the rows."),
    (lambda: with_row("ones", 0, ij.Ones(dtype="float16")), ValueError,
     "WithRow(value=Ones(dtype='float16')): an array has one dtype; give it to the "
     "whole law."),
    (lambda: per_part("ones", "zeros"), TypeError,
     "PerPart(parts='zeros'): must be a dict of part names and laws, got str."),
    (lambda: per_part("ones", ["fo"]), TypeError,
     "PerPart(parts=['fo']): must be pairs of a part and a law, got 'fo'."),
    (lambda: per_part("ones", {"f": ij.Ones(dtype="float16")}), ValueError,
     "PerPart(parts={'f': Ones(dtype='float16')}): an array has one dtype; give it to "
     "the whole law."),
    (lambda: icnr("ones", 0), ValueError,
     "ICNR(factor=0): must be a whole number >= 1; give that of the upsampling."),
]
# fmt: on


@pytest.mark.parametrize(("init", "shape", "kind", "message"), REFUSED)
def test_what_does_not_fit_is_refused_at_the_call_and_by_the_promise(
    init, shape, kind, message
):
    where = f"(key, shape={shape!r}): {message}"
    assert_refused(lambda: init(root(), shape), kind, f"{init!r}{where}")
    assert_refused(
        lambda: init.law(shape), kind, f"{init!r}.law(shape={shape!r}): {message}"
    )


@pytest.mark.parametrize(("make", "kind", "message"), MADE)
def test_what_is_no_row_part_or_factor_is_refused(make, kind, message):
    assert_refused(make, kind, message)
