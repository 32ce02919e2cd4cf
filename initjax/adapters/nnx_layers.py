"""How NNX's own layers use their weights, so that fans are right undeclared."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable
from typing import Any

from flax import nnx

from .._fans import Fan
from .._fans.declaration import Declaration

Shape = tuple[int, ...]
Path = tuple[Any, ...]


def fans_of(model: Any) -> dict[Path, Declaration]:
    """Return the declarations of the weights of NNX's own layers, by path."""
    layers = [x for x in nnx.iter_graph(model) if isinstance(x[1], nnx.Module)]
    fans: dict[Path, Declaration] = {}
    for kind, name, use in _USES:
        for path, layer in layers:
            if not isinstance(layer, kind):
                continue
            names = name.split(".")
            with contextlib.suppress(AttributeError):  # of a subclass, made otherwise
                shape = operator.attrgetter(name)(layer).shape
                one, fan = use(layer, shape)
                if (found := _stacked(fan, tuple(one), shape)) is not None:
                    fans[(*path, *names)] = found
    return fans


def _stacked(fan: Declaration | None, one: Shape, shape: Shape) -> Declaration | None:
    """Return the declaration of layers along leading axes; None where it is unknown."""
    more = len(shape) - len(one)
    if more < 0 or shape[more:] != one:
        return None
    for _ in range(more):
        fan = Fan.stacked(0, fan)
    return fan


Use = tuple[Shape, Declaration | None]  # the shape in one layer, and its fans


def _general(layer: Any, shape: Shape) -> Use:
    del shape
    axes = (tuple(layer.batch_axis.values()), layer.in_features, layer.out_features)
    batch, inputs, outputs = map(len, axes)
    return sum(axes, ()), Fan.dense_general(inputs, outputs, batch)


def _einsum(layer: Any, shape: Shape) -> Use:
    del shape
    try:
        return layer.kernel_shape, Fan.einsum(layer.einsum_str)
    except ValueError:  # an ellipsis among the kernel's axes
        return layer.kernel_shape, None


def _conv(layer: Any, shape: Shape) -> Use:
    del shape
    return layer.kernel_shape, Fan.conv(groups=layer.feature_group_count)


def _conv_transpose(layer: Any, shape: Shape) -> Use:
    del shape
    axes = (-1, -2) if layer.transpose_kernel else (-2, -1)
    return layer.kernel_shape, Fan(*axes, strides=layer.strides or 1)


def _embed(layer: Any, shape: Shape) -> Use:
    del shape
    return (layer.num_embeddings, layer.features), Fan.embedding()


def _gates(names: str) -> Callable[[Any, Shape], Use]:
    def use(cell: Any, shape: Shape) -> Use:
        del cell
        return shape[-2:], Fan.fused(tuple(names), axis=1)

    return use


# later rows know more
_USES: tuple[tuple[type[nnx.Module], str, Callable[[Any, Shape], Use]], ...] = (
    (nnx.Linear, "kernel", lambda m, _: ((m.in_features, m.out_features), None)),
    (nnx.LinearGeneral, "kernel", _general),
    (nnx.Einsum, "kernel", _einsum),
    (nnx.Conv, "kernel", _conv),
    (nnx.ConvTranspose, "kernel", _conv_transpose),
    (nnx.Embed, "embedding", _embed),
    (nnx.LoRA, "lora_a", lambda m, shape: ((m.in_features, shape[-1]), None)),
    (nnx.LoRA, "lora_b", lambda m, shape: ((shape[-2], m.out_features), None)),
    (nnx.OptimizedLSTMCell, "dense_i.kernel", _gates("ifgo")),
    (nnx.OptimizedLSTMCell, "dense_h.kernel", _gates("ifgo")),
    (nnx.GRUCell, "dense_i.kernel", _gates("rzn")),
    (nnx.GRUCell, "dense_h.kernel", _gates("rzn")),
)
