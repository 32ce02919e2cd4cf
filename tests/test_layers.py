"""What a declaration says of a layer's weight is what the layer does with it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from tools import assert_moments, root

import initjax as ij
from initjax import Fan, Given

COPIES = 5000  # of every layer


@dataclass(frozen=True)
class Layer:
    """A kind of layer: its weight as declared, and the layer applied to an input."""

    name: str
    shape: tuple[int, ...]
    fan: Any
    fans: Any  # counted by hand; a list where the parts of the weight differ
    x: tuple[int, ...]  # the shape of the input
    apply: Callable[[Any, Any], Any]
    forward: float = 1.0  # the variance of the outputs of standard normal inputs
    backward: float | None = 1.0  # and of the inputs' gradients; None: there are none

    def __str__(self):
        """Give the name, which pytest shows."""
        return self.name


def einsum(subscripts):
    return lambda x, w: jnp.einsum(subscripts, x, w)


def window_axes(layout):
    """The layout of the input, and which of its axes the window slides over."""
    x_layout = "N" + layout.replace("O", "").replace("I", "C")
    return x_layout, [i for i, axis in enumerate(x_layout) if axis in "DHW"]


def wrap(x, w, layout):
    """The input going round, so that no window is at an edge."""
    x_layout, axes = window_axes(layout)
    before = [(0, 0)] * x.ndim
    for i in axes:
        before[i] = (w.shape[layout.index(x_layout[i])] - 1, 0)
    return jnp.pad(x, before, mode="wrap")


def conv(layout="HWIO", groups=1):
    x_layout, axes = window_axes(layout)

    def apply(x, w):
        return jax.lax.conv_general_dilated(
            wrap(x, w, layout), w, [1] * len(axes), "VALID",
            dimension_numbers=(x_layout, layout, x_layout), feature_group_count=groups,
        )  # fmt: skip

    return apply


def conv_transpose(layout="HWIO", strides=1, kernel_of_conv=False):
    """I and O are this layer's; JAX names those of the convolution it transposes."""
    x_layout, axes = window_axes(layout)
    swap = str.maketrans("IO", "OI") if kernel_of_conv else {}
    numbers = (x_layout, layout.translate(swap), x_layout)

    def apply(x, w):
        y = jax.lax.conv_transpose(
            wrap(x, w, layout), w, [strides] * len(axes), "VALID",
            dimension_numbers=numbers, transpose_kernel=kernel_of_conv,
        )  # fmt: skip
        for i in axes:
            start = strides * (w.shape[layout.index(x_layout[i])] - 1)
            y = jax.lax.slice_in_dim(y, start, start + strides * x.shape[i], axis=i)
        return y

    return apply


def torch_conv_transpose(groups, strides=1):
    """(in, out of a group, h, w): the groups lie along the inputs."""
    one = conv_transpose("IOHW", strides)

    def apply(x, w):
        x = x.reshape(x.shape[0], groups, -1, *x.shape[2:])
        w = w.reshape(groups, -1, *w.shape[1:])
        y = jax.vmap(one, (1, 0), 1)(x, w)
        return y.reshape(y.shape[0], -1, *y.shape[3:])

    return apply


def keras_depthwise(x, w):
    h, v, channels, multiplier = w.shape
    w = w.reshape(h, v, 1, channels * multiplier)
    return conv(groups=channels)(x, w)


def scan(x, w):
    return jax.lax.scan(lambda x, w: (x @ w, None), x, w)[0]


def split(sizes, axis, subscripts):
    """Every part of the weight applied to the input, as a layer of its own."""
    ends = np.cumsum(sizes)[:-1].tolist()

    def apply(x, w):
        parts = jnp.split(w, ends, axis)
        return jnp.concatenate([jnp.einsum(subscripts, x, w) for w in parts], -1)

    return apply


def lookup(x, table):
    """The input's largest feature is the token."""
    return table[x.argmax(-1)]


def tied(x, table):
    """Logits, and the lookups that a model multiplies by the root of its features."""
    rows = lookup(x, table) * math.sqrt(table.shape[-1])
    return jnp.concatenate([x @ table.T, rows], -1)


IO, OI = Fan.layout("io"), Fan.layout("oi")
THREE = ("query", "key", "value")
GROUPED = {"query": 12, "key": 6, "value": 4}

# fmt: off
LAYERS = [
    # dense kernels
    Layer("dense (in, out)", (12, 20), IO, (12, 20), (6, 12), jnp.matmul),
    Layer("dense (out, in)", (20, 12), OI, (12, 20), (6, 12), einsum("bi,oi->bo")),
    Layer("dense of nothing", (0, 20), IO, (0, 20), (6, 0), jnp.matmul, 0.0, None),
    Layer("router", (16, 5), Fan.einsum("btd,de->bte"), (16, 5), (1, 6, 16),
          einsum("btd,de->bte")),
    Layer("LoRA A", (20, 4), IO, (20, 4), (6, 20), jnp.matmul),
    Layer("LoRA B", (4, 20), Fan.dense_general(), (4, 20), (6, 4), jnp.matmul),
    Layer("LoRA A of PyTorch (rank, in)", (4, 20), OI, (20, 4), (6, 20),
          einsum("bi,ri->br")),
    Layer("bilinear", (5, 5, 8), Fan.einsum("bi,bj,ijo->bo", kernel=2), (25, 8),
          (16, 2, 5), lambda x, w: jnp.einsum("bi,bj,ijo->bo", x[:, 0], x[:, 1], w),
          backward=5.0),
    Layer("bias", (20,), Given(12), (12, 12), (), lambda x, b: b, 1 / 12, None),
    Layer("bias of both fans", (20,), (12, 20), (12, 20), (), lambda x, b: b,
          1 / 12, None),
    # attention
    Layer("query (d, h, k)", (12, 4, 3), Fan.einsum("btd,dhk->bthk"), (12, 12),
          (1, 6, 12), einsum("btd,dhk->bthk")),
    Layer("key (d, h, k)", (12, 4, 5), Fan.dense_general(1, 2), (12, 20),
          (1, 6, 12), einsum("btd,dhk->bthk")),
    Layer("value (h, d, k)", (4, 12, 5), Fan.layout("oio"), (12, 20),
          (1, 6, 12), einsum("btd,hdk->bthk")),
    Layer("output (h, k, d)", (4, 3, 20), Fan.einsum("bthk,hkd->btd"), (12, 20),
          (1, 6, 4, 3), einsum("bthk,hkd->btd")),
    Layer("output, dense_general", (4, 3, 20), Fan.dense_general(2, 1), (12, 20),
          (1, 6, 4, 3), einsum("bthk,hkd->btd")),
    Layer("grouped query (d, kv, g, k)", (12, 2, 3, 4), Fan.einsum("btd,dngk->btngk"),
          (12, 24), (1, 6, 12), einsum("btd,dngk->btngk")),
    Layer("grouped key (d, kv, k)", (12, 2, 4), Fan.einsum("...d,dnk->...nk"),
          (12, 8), (1, 6, 12), einsum("...d,dnk->...nk")),
    Layer("multi-query key (d, k)", (16, 6), Fan.einsum("btd,dk->btk"), (16, 6),
          (1, 6, 16), einsum("btd,dk->btk")),
    Layer("dense_general over a batch axis", (3, 8, 10), Fan.dense_general(1, 1, 1),
          (8, 10), (3, 6, 8), einsum("nbi,nio->nbo")),
    # weights side by side: the input's gradient is the sum of theirs
    Layer("query, key, value", (12, 24), Fan.fused(3), (12, 8), (6, 12),
          split((8, 8, 8), -1, "bi,io->bo"), backward=3.0),
    Layer("query, key, value (d, 3, h, k)", (12, 3, 2, 4),
          Fan.fused(THREE, axis=1, of=Fan.layout("iboo")), (12, 8), (6, 12),
          split((1, 1, 1), 1, "bi,ipno->bpno"), backward=3.0),
    Layer("query, key, value (3 out, in)", (24, 12), Fan.fused(THREE, 0, OI), (12, 8),
          (6, 12), split((8, 8, 8), 0, "bi,oi->bo"), backward=3.0),
    Layer("grouped query, key, value", (12, 22), Fan.fused(GROUPED, of=IO),
          [(12, 12), (12, 6), (12, 4)], (6, 12),
          split((12, 6, 4), -1, "bi,io->bo"), backward=3.0),
    Layer("grouped query, key, value (out, in)", (22, 12), Fan.fused(GROUPED, 0, OI),
          [(12, 12), (12, 6), (12, 4)], (6, 12),
          split((12, 6, 4), 0, "bi,oi->bo"), backward=3.0),
    Layer("gate and up", (12, 16), Fan.fused(("gate", "up"), of=IO), (12, 8), (6, 12),
          split((8, 8), -1, "bi,io->bo"), backward=2.0),
    Layer("gate and up (out, in)", (16, 12), Fan.fused((8, 8), 0, OI), (12, 8),
          (6, 12), split((8, 8), 0, "bi,oi->bo"), backward=2.0),
    Layer("gates of an LSTM", (10, 24), Fan.fused(("i", "f", "g", "o")), (10, 6),
          (6, 10), split((6, 6, 6, 6), -1, "bi,io->bo"), backward=4.0),
    # weights of their own along an axis
    Layer("experts (e, i, o)", (3, 10, 8), Fan.experts(0, IO), (10, 8), (3, 6, 10),
          einsum("ebi,eio->ebo")),
    Layer("experts, einsum", (3, 10, 8), Fan.einsum("ebi,eio->ebo"), (10, 8),
          (3, 6, 10), einsum("ebi,eio->ebo")),
    Layer("experts' gate and up (e, 2f, d)", (3, 16, 10),
          Fan.experts(0, Fan.fused(("gate", "up"), 0, OI)), (10, 8), (3, 6, 10),
          split((8, 8), 1, "ebd,efd->ebf"), backward=2.0),
    Layer("dense layers of a scan", (3, 12, 12), Fan.stacked(0, IO), (12, 12),
          (8, 12), scan),
    Layer("dense layers on axis 1", (10, 3, 8), Fan.stacked(1), (10, 8), (6, 3, 10),
          einsum("bli,ilo->blo")),
    Layer("experts of stacked layers", (2, 3, 8, 10), Fan.stacked(0, Fan.experts(0)),
          (8, 10), (2, 3, 6, 8), einsum("lebi,leio->lebo")),
    Layer("convs of a vmap", (2, 3, 3, 2, 4), Fan.stacked(0, Fan.conv()), (18, 36),
          (2, 1, 4, 4, 2), jax.vmap(conv())),
    # convolutions
    Layer("conv 1D", (5, 3, 4), Fan.conv(), (15, 20), (2, 8, 3), conv("HIO")),
    Layer("conv 2D", (3, 3, 3, 4), "conv", (27, 36), (1, 4, 4, 3), conv()),
    Layer("conv 3D", (2, 3, 2, 2, 3), Fan.conv(), (24, 36), (1, 3, 3, 3, 2),
          conv("DHWIO")),
    Layer("conv OIHW", (4, 3, 3, 3), Fan.conv(layout="OIHW"), (27, 36), (1, 3, 4, 4),
          conv("OIHW")),
    Layer("conv of MLX (out, h, w, in)", (4, 3, 3, 2), Fan.layout("ohwi"), (18, 36),
          (1, 4, 4, 2), conv("OHWI")),
    Layer("patches", (3, 3, 3, 5), Fan.einsum("bhwi,hwio->bo"), (27, 5),
          (6, 3, 3, 3), einsum("bhwi,hwio->bo")),
    Layer("pointwise conv", (1, 1, 9, 8), Fan.conv(), (9, 8), (1, 3, 3, 9), conv()),
    Layer("grouped conv", (3, 3, 2, 9), Fan.conv(groups=3), (18, 27), (1, 4, 4, 6),
          conv(groups=3)),
    Layer("grouped conv OIHW", (9, 2, 3, 3), Fan.conv(3, layout="OIHW"), (18, 27),
          (1, 6, 4, 4), conv("OIHW", 3)),
    Layer("depthwise conv (h, w, 1, c)", (3, 3, 1, 8), Fan.conv(groups=8), (9, 9),
          (1, 4, 4, 8), conv(groups=8)),
    Layer("depthwise conv (h, w, 1, 2c)", (3, 3, 1, 8), Fan.conv(groups=4), (9, 18),
          (1, 4, 4, 4), conv(groups=4)),
    Layer("depthwise conv of Keras (h, w, c, 2)", (3, 3, 4, 2), Fan.layout("hwbo"),
          (9, 18), (1, 4, 4, 4), keras_depthwise),
    # transposed convolutions: strides thin out what an output sees
    Layer("transposed HWIO", (3, 3, 2, 4), Fan.conv(transpose=True), (18, 36),
          (1, 4, 4, 2), conv_transpose()),
    Layer("transposed HWOI", (3, 3, 4, 2), Fan.conv(transpose=True, layout="HWOI"),
          (18, 36), (1, 4, 4, 2), conv_transpose("HWOI", kernel_of_conv=True)),
    Layer("transposed IOHW", (2, 4, 3, 3), Fan.conv(transpose=True, layout="IOHW"),
          (18, 36), (1, 2, 4, 4), conv_transpose("IOHW")),
    Layer("transposed, strides 2 of 4", (4, 4, 4, 2),
          Fan.conv(transpose=True, strides=2), (16, 32), (1, 3, 3, 4),
          conv_transpose(strides=2)),
    Layer("transposed, strides 2 of 3", (3, 3, 5, 2),
          Fan.conv(transpose=True, strides=(2, 2)), (11.25, 18), (1, 3, 3, 5),
          conv_transpose(strides=2)),
    Layer("transposed HWOI, strides 2", (3, 3, 2, 4),
          Fan.conv(transpose=True, layout="HWOI", strides=2), (9, 18), (1, 3, 3, 4),
          conv_transpose("HWOI", 2, kernel_of_conv=True)),
    Layer("transposed of PyTorch in groups", (6, 2, 3, 3),
          Fan.conv(2, transpose=True, layout="IOHW", per_group="o"), (27, 18),
          (1, 6, 4, 4), torch_conv_transpose(2)),
    Layer("transposed of PyTorch in groups, strides 2", (8, 2, 3, 3),
          Fan.conv(2, transpose=True, layout="IOHW", strides=2, per_group="o"),
          (9, 18), (1, 8, 3, 3), torch_conv_transpose(2, 2)),
    # embeddings
    Layer("embedding", (9, 12), Fan.embedding(), (1, 12), (9, 9), lookup,
          backward=None),
    Layer("embedding as logits", (20, 12), Fan.embedding("readout"), (12, 20), (6, 12),
          einsum("bd,vd->bv")),
    Layer("embedding as logits (d, v)", (12, 20), Fan.embedding("readout", 0), (12, 20),
          (6, 12), jnp.matmul),
    Layer("tied embedding", (20, 12), Fan.embedding("readout"), (12, 20), (6, 12),
          tied),
]
# fmt: on

every_layer = pytest.mark.parametrize("layer", LAYERS, ids=str)


@every_layer
def test_fans_are_those_counted_by_hand(layer):
    """Of the weight, or of each part where the parts differ."""
    init = ij.LecunNormal(fan=layer.fan)
    if not isinstance(layer.fans, list):
        assert init.fan.fans(layer.shape) == layer.fans
        assert init.law(layer.shape).fans == layer.fans
        return
    axis, _, sizes, of = init.fan.parts(layer.shape)
    before, after = layer.shape[:axis], layer.shape[axis + 1 :]
    assert [of.fans((*before, size, *after)) for size in sizes] == layer.fans
    with pytest.raises(ValueError, match="have different fans"):
        init.fan.fans(layer.shape)
    assert init.law(layer.shape).fans is None


def weights(init, shape):
    keys = jax.random.split(root(), COPIES)
    return jax.vmap(lambda key: init(key, shape))(keys)


def normals(seed, shape):
    return np.random.default_rng(seed).standard_normal((COPIES, *shape), np.float32)


def assert_variance(x, expected):
    """Within 3 %, and known to 3 % at five standard errors, the copies independent."""
    squares = np.square(x, dtype=np.float64).reshape(COPIES, -1).mean(axis=1)
    assert 5 * squares.std() / math.sqrt(COPIES) <= 0.03 * expected
    assert squares.mean() == pytest.approx(expected, rel=0.03)


@every_layer
def test_a_weight_scaled_by_fan_in_keeps_the_variance(layer):
    w = weights(ij.LecunNormal(fan=layer.fan), layer.shape)
    y = jax.jit(jax.vmap(layer.apply))(normals(1, layer.x), w)
    assert_variance(y, layer.forward)


@pytest.mark.parametrize(
    "layer", [layer for layer in LAYERS if layer.backward is not None][::2], ids=str
)
def test_a_weight_scaled_by_fan_out_keeps_the_variance_of_gradients(layer):
    def gradient(x, w, dy):
        return jax.vjp(lambda x: layer.apply(x, w), x)[1](dy)[0]

    x = normals(1, layer.x)
    w = weights(ij.VarianceScaling(1.0, "fan_out", fan=layer.fan), layer.shape)
    dy = normals(2, jax.eval_shape(layer.apply, x[0], w[0]).shape)
    assert_variance(jax.jit(jax.vmap(gradient))(x, w, dy), layer.backward)


def flax_einsum():
    layer = nnx.Einsum("btd,dhk->bthk", (64, 8, 16), rngs=nnx.Rngs(0))
    return layer.kernel[...]


def flax_dense_general():
    layer = linen.DenseGeneral(64, batch_dims=(0,))
    return layer.init(root(), jnp.ones((9, 1, 64)))["params"]["kernel"]


@pytest.mark.parametrize(
    ("flax_kernel", "fan", "shape", "forgotten"),
    [
        (flax_einsum, Fan.einsum("btd,dhk->bthk"), (64, 8, 16), 8),
        (flax_dense_general, Fan.dense_general(1, 1, batch=1), (9, 64, 64), 9),
    ],
    ids=["heads of nnx.Einsum", "batch of linen.DenseGeneral"],
)
def test_declared_fans_are_right_where_flax_takes_other_axes_for_inputs(
    flax_kernel, fan, shape, forgotten, key
):
    """64 inputs make 1/8; Flax divides by the heads, or by the batch, as well."""
    theirs = flax_kernel()
    assert theirs.shape == shape
    assert_moments(theirs, 0, 1 / math.sqrt(64 * forgotten), "Flax's")
    assert_moments(ij.LecunNormal(fan=fan)(key, shape), 0, 1 / 8, "ours")
