"""How Linen's own layers use their parameters, learned while a model is traced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from flax import linen as nn
from flax import struct
from flax.core import meta

from .._fans.declaration import Declaration
from .._fans.fan import Fan
from .._fans.stacked import Stacked

Arguments = Sequence[Any]

_MARK = " of initjax"  # no layer calls a parameter so


class Note(struct.PyTreeNode, meta.AxisMetadata[Any]):
    """How a layer uses a parameter: a box with nothing in it, beside the parameter.

    Flax tells boxes where `nn.scan` and `nn.vmap` stack them.
    """

    fan: Declaration | None = struct.field(pytree_node=False)

    def unbox(self) -> Any:
        """Return what is inside."""
        return None

    def replace_boxed(self, val: Any) -> Any:
        """Return the box with something else inside."""
        del val
        return self

    def add_axis(self, index: int, params: dict[Any, Any]) -> Note:
        """Return the note of many layers, stacked."""
        del params
        return Note(Stacked(index, self.fan))

    def remove_axis(self, index: int, params: dict[Any, Any]) -> Note:
        """Return the note of one layer."""
        del index, params
        return Note(self.fan.of) if isinstance(self.fan, Stacked) else self


def note(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
    """Call a layer's method, then lay a note beside each parameter that it has made."""
    result = call(*args, **kwargs)
    layer = context.module
    if layer.scope is not None and layer.is_mutable_collection("params"):
        own = cast("Mapping[str, Any]", layer.variables.get("params", {}))
        for name, value in [*own.items()]:
            is_one = not isinstance(value, (Mapping, Note))
            if is_one and name + _MARK not in own:
                fan = _fan(layer, name, (*args, *kwargs.values()))
                layer.put_variable("params", name + _MARK, Note(fan))
    return result


def read_notes(variables: Any) -> tuple[Any, dict[str, Declaration | None]]:
    """Return variables without the notes, and what they say of which path."""
    fans: dict[str, Declaration | None] = {}

    def read(tree: Any, path: str) -> Any:
        if not isinstance(tree, Mapping):
            return tree
        kept: dict[str, Any] = {}
        for name, value in cast("Mapping[str, Any]", tree).items():
            where = f"{path}/{name}" if path else name
            if isinstance(value, Note):
                fans[where.removesuffix(_MARK)] = value.fan
            else:
                kept[name] = read(value, where)
        return kept

    return read(variables, ""), fans


def _fan(layer: Any, name: str, arguments: Arguments) -> Fan | None:
    """Return how a layer uses a parameter; None is Keras's rule, or not known."""
    for kind, kernel, fan in _LAYERS:
        if isinstance(layer, kind) and name == kernel:
            return fan(layer, arguments)
    return None


def _dense_general(layer: Any, arguments: Arguments) -> Fan:
    del arguments
    axes = layer.axis, layer.features, layer.batch_dims
    return Fan.dense_general(*(len(axis) if _is_many(axis) else 1 for axis in axes))


def _einsum(layer: Any, arguments: Arguments) -> Fan:
    given = (text for text in arguments if isinstance(text, str))
    return Fan.einsum(next(given, layer.einsum_str), kernel=1)


def _conv(layer: Any, arguments: Arguments) -> Fan:
    del arguments
    return Fan.conv(groups=layer.feature_group_count)


def _conv_local(layer: Any, arguments: Arguments) -> Fan:
    del arguments
    window = len(layer.kernel_size) if _is_many(layer.kernel_size) else 1
    return Fan.layout("b" * window + "io")


def _conv_transpose(layer: Any, arguments: Arguments) -> Fan:
    del arguments
    ins, outs = ((-1,), (-2,)) if layer.transpose_kernel else ((-2,), (-1,))
    return Fan(ins, outs, strides=layer.strides or 1)


def _embed(layer: Any, arguments: Arguments) -> Fan:
    del layer, arguments
    return Fan.embedding()


def _is_many(axes: Any) -> bool:
    return isinstance(axes, Sequence)


_LAYERS: tuple[tuple[Any, str, Callable[[Any, Arguments], Fan]], ...] = (
    (nn.DenseGeneral, "kernel", _dense_general),
    (nn.Einsum, "kernel", _einsum),
    (nn.Conv, "kernel", _conv),
    (nn.ConvLocal, "kernel", _conv_local),
    (nn.ConvTranspose, "kernel", _conv_transpose),
    (nn.Embed, "embedding", _embed),
)
