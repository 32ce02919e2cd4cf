"""Fans: which layer's weight has how many inputs and outputs, and what that is for."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools import root

import initjax as ij


def fans(shape, in_axis=None, out_axis=None, batch_axis=()):
    init = ij.VarianceScaling(in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)
    return init.law(shape).fans


# a kind of layer, its weight, (in_axis, out_axis, batch_axis), (fan_in, fan_out)
# fmt: off
TABLE = [
    # no axes: Keras's rule, and Haiku's, and lingvo's
    ("scalar", (), (), (1, 1)),
    ("bias", (7,), (), (7, 7)),
    ("dense", (784, 128), (), (784, 128)),
    ("embedding (vocabulary, model)", (1000, 64), (), (1000, 64)),
    ("conv1d", (5, 16, 32), (), (80, 160)),
    ("conv2d", (3, 3, 16, 32), (), (144, 288)),
    ("conv3d", (3, 3, 3, 4, 8), (), (108, 216)),
    ("pointwise conv", (1, 1, 64, 128), (), (64, 128)),
    ("depthwise conv, read as a dense one", (3, 3, 1, 32), (), (9, 288)),
    ("attention, read as a conv", (512, 8, 64), (), (4096, 32768)),
    ("haiku's conv", (1, 2, 3, 4), (), (6, 8)),
    ("praxis' rank 3", (64, 1024, 8192), (), (65536, 524288)),
    # sizes of 0
    ("dense without inputs", (0, 4), (), (0, 4)),
    ("dense without outputs", (4, 0), (), (4, 0)),
    ("bias of nothing", (0,), (), (0, 0)),
    ("conv without taps", (0, 3, 4), (), (0, 0)),
    ("attention without heads", (512, 0, 64), (0, (1, 2)), (512, 0)),
    ("no experts", (0, 512, 2048), (1, 2, 0), (512, 2048)),
    # axes: JAX's rule, unlisted axes are receptive field
    ("scalar, axes said", (), ((), ()), (1, 1)),
    ("elementwise scale", (7,), (0, ()), (7, 1)),
    ("bias of heads", (8, 64), ((), (0, 1)), (1, 512)),
    ("dense, axes said", (784, 128), (-2, -1), (784, 128)),
    ("torch linear (out, in)", (128, 784), (1, 0), (784, 128)),
    ("torch conv2d (out, in, h, w)", (32, 16, 3, 3), (1, 0), (144, 288)),
    ("mlx conv2d (out, h, w, in)", (32, 3, 3, 16), (-1, 0), (144, 288)),
    ("bilinear (out, left, right)", (10, 20, 30), ((1, 2), 0), (600, 10)),
    ("embedding, one-hot lookup", (1000, 64), ((), 1, 0), (1, 64)),
    ("embedding as logits", (1000, 64), (1, 0), (64, 1000)),
    ("attention query (model, head, k)", (512, 8, 64), (0, (1, 2)), (512, 512)),
    ("attention key of 2 heads", (512, 2, 64), (0, (-2, -1)), (512, 128)),
    ("attention output (head, k, model)", (8, 64, 512), ((0, 1), 2), (512, 512)),
    ("keras 3.16: ([0, 1], [2])", (512, 8, 64), ([0, 1], [2]), (4096, 64)),
    ("fused q, k, v", (512, 3, 8, 64), (0, (2, 3), 1), (512, 512)),
    ("haiku: fan_in_axes [0]", (3, 5, 9), (0, (1, 2)), (3, 45)),
    ("haiku: fan_in_axes [0, 1]", (3, 5, 7, 4), ((0, 1), (2, 3)), (15, 28)),
    ("depthwise conv (h, w, 1, channel)", (3, 3, 1, 32), (2, (), 3), (9, 9)),
    ("keras depthwise (h, w, channel, 1)", (3, 3, 32, 1), ((), 3, 2), (9, 9)),
    ("experts", (8, 512, 2048), (1, 2, 0), (512, 2048)),
    ("experts, forgotten", (8, 512, 2048), (1, 2), (4096, 16384)),
    ("stacked by scan", (12, 512, 2048), (-2, -1, 0), (512, 2048)),
    ("stacked by scan on axis 1", (512, 12, 2048), (0, -1, 1), (512, 2048)),
    ("stacked attention", (12, 512, 8, 64), (1, (2, 3), 0), (512, 512)),
    ("stacked conv", (12, 3, 3, 16, 32), (-2, -1, 0), (144, 288)),
    ("stacked experts", (12, 8, 512, 2048), (2, 3, (0, 1)), (512, 2048)),
    # "rest": unlisted axes count for neither, as in Keras 3.16 and praxis
    ("keras 3.16: ([0], [1, 2])", (512, 8, 64), ([0], [1, 2], "rest"), (512, 512)),
    ("experts, the rest", (8, 512, 2048), (1, 2, "rest"), (512, 2048)),
    ("conv, the rest", (3, 3, 16, 32), (2, 3, "rest"), (16, 32)),
    ("praxis' axes", (3, 1024, 32, 128), (-3, (-2, -1), "rest"), (1024, 4096)),
]
# fmt: on


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [pytest.param(*row[1:], id=row[0]) for row in TABLE],
)
def test_fans_of_a_layer(shape, axes, expected):
    got = fans(shape, *axes)
    assert got == expected
    assert {*map(type, got)} == {int}


ROLES = ("in", "out", "batch", "window")


@st.composite
def weights(draw):
    """A shape, and a role for each of its axes."""
    shape = tuple(draw(st.lists(st.integers(1, 6), max_size=5)))
    roles = draw(st.tuples(*[st.sampled_from(ROLES)] * len(shape)))
    return shape, roles


def axes_of(role, roles, draw=None):
    """The axes of a role, with data in any order and counted from either end."""
    axes = [i for i, r in enumerate(roles) if r == role]
    if draw:
        axes = draw(st.permutations(axes))
        axes = [i - len(roles) if draw(st.booleans()) else i for i in axes]
    return tuple(axes)


@settings(max_examples=200, deadline=None)
@given(weights(), st.data())
def test_fans_count_the_weights_of_one_output_and_of_one_input(weight, data):
    """fan_in: the entries that share an output and a batch index; fan_out likewise."""
    shape, roles = weight
    entries = np.ones(shape)

    def count(fixed):
        return entries[tuple(0 if r in fixed else slice(None) for r in roles)].size

    axes = [axes_of(role, roles, data.draw) for role in ROLES[:3]]
    assert fans(shape, *axes) == (count(("out", "batch")), count(("in", "batch")))


@settings(max_examples=100, deadline=None)
@given(weights())
def test_rest_is_every_axis_listed_nowhere(weight):
    shape, roles = weight
    ends = axes_of("in", roles), axes_of("out", roles)
    others = tuple(i for i, role in enumerate(roles) if role in ("batch", "window"))
    assert fans(shape, *ends, "rest") == fans(shape, *ends, others)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=5))
def test_kernels_without_axes_have_their_inputs_and_outputs_last(shape):
    assert fans(shape) == fans(shape, -2, -1)


# -- what fans are for: a layer that keeps the variance of what it is given --------


def conv(x, w, groups=1):
    return jax.lax.conv_general_dilated(
        x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )  # fmt: skip


HE = (ij.HeNormal, jax.nn.relu)  # a law, and the activation that it is made for
LECUN = (ij.LecunNormal, lambda x: x)
# layer -> its function, shapes of input and weight, axes, law
LAYERS = {
    "dense": (jnp.matmul, (4, 40), (40, 30), (), HE),
    "torch linear": (lambda x, w: x @ w.T, (4, 40), (30, 40), (1, 0), LECUN),
    "conv": (conv, (1, 4, 4, 6), (3, 3, 6, 8), (), HE),
    "depthwise conv": (
        lambda x, w: conv(x, w, 16),
        (1, 4, 4, 16), (3, 3, 1, 16), (2, (), 3), LECUN,
    ),
    "attention query": (
        lambda x, w: jnp.einsum("td,dhk->thk", x, w),
        (4, 24), (24, 4, 6), (0, (1, 2)), LECUN,
    ),
    "attention output": (
        lambda x, w: jnp.einsum("thk,hkd->td", x, w),
        (4, 4, 6), (4, 6, 24), ((0, 1), 2), HE,
    ),
    "experts": (
        lambda x, w: jnp.einsum("ed,edf->ef", x, w),
        (4, 24), (4, 24, 8), (1, 2, 0), HE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_a_layer_keeps_the_variance(layer):
    """Var(y) = Var(x) = 1 within 5 standard errors, over 4000 layers."""
    apply, x_shape, w_shape, axes, (law, activation) = layer
    init = law(**dict(zip(("in_axis", "out_axis", "batch_axis"), axes, strict=False)))

    @jax.jit
    @jax.vmap
    def mean_square(key):
        x_key, w_key = jax.random.split(key)
        x = ij.RandomNormal(stddev=1.0)(x_key, x_shape)
        return jnp.mean(apply(activation(x), init(w_key, w_shape)) ** 2)

    y = np.asarray(mean_square(jax.random.split(root(), 4000)), np.float64)
    error = y.std() / math.sqrt(y.size)
    assert error < 0.01  # sharp enough to tell a wrong fan
    assert abs(y.mean() - 1) < 5 * error
