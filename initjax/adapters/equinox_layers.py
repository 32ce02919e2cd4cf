"""What Equinox's layers know of their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import GetAttrKey

from .._engine.placing import bound
from .._errors import Refused, shown
from .._fans import Fan
from .._fans.declaration import Declaration
from .._rules.paths import Weight
from .extras import needs

with needs("equinox", "equinox", "equinox"):
    import equinox as eqx
    from equinox import nn

_OI = Fan.layout("oi")
_LSTM = Fan.fused(("i", "f", "g", "o"), axis=0, of=_OI)
_GRU = Fan.fused(("r", "z", "n"), axis=0, of=_OI)


def _conv(layer: Any) -> Declaration:
    """Declare (outputs, inputs of a group, window), transposed or not."""
    strides = layer.stride if isinstance(layer, nn.ConvTranspose) else 1
    rank = 2 + layer.num_spatial_dims
    return Fan((1,), (0,), groups=layer.groups, strides=strides, rank=rank)


# the fans of the fields of a layer; MLP and MultiheadAttention are made of Linear
_FANS: dict[type, Callable[[Any], Mapping[str, Declaration]]] = {
    nn.Linear: lambda _: {"weight": _OI},
    nn.Conv: lambda layer: {"weight": _conv(layer)},
    nn.ConvTranspose: lambda layer: {"weight": _conv(layer)},
    nn.Embedding: lambda _: {"weight": Fan.embedding()},
    nn.LSTMCell: lambda _: {"weight_ih": _LSTM, "weight_hh": _LSTM},
    nn.GRUCell: lambda _: {"weight_ih": _GRU, "weight_hh": _GRU},
}
_LAYERS = tuple(_FANS)
_STATES = (nn.State, nn.StateIndex)  # what they hold is no weight


def _layers(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Yield the layers of a tree whose fans are known, those in layers too."""
    if isinstance(tree, _LAYERS):
        yield path, tree

    def is_inner(x: Any) -> bool:
        return x is not tree and isinstance(x, _LAYERS)

    for keys, x in jax.tree.leaves_with_path(tree, is_leaf=is_inner):
        if is_inner(x):
            yield from _layers(x, (*path, *keys))


def _known(tree: Any) -> dict[Any, tuple[int, Declaration]]:
    """Return the rank and the fans of the weights of known layers, by path."""
    return {
        (*path, GetAttrKey(name)): (2 + getattr(layer, "num_spatial_dims", 0), fan)
        for path, layer in _layers(tree)
        for kind, fans in _FANS.items()
        if isinstance(layer, kind)
        for name, fan in fans(layer).items()
    }


def weights_of(module: Any) -> Any:
    """Return a module with a `Weight` for each weight, and None for other arrays."""
    known = _known(module)

    def weight(path: Any, x: Any) -> Any:
        if isinstance(x, _STATES):
            return jax.tree.map(lambda _: None, x)
        if not is_array(x):
            return x
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            return None
        rank, fan = known.get(path, (0, None))
        for _ in range(len(x.shape) - rank if fan else 0):
            fan = Fan.stacked(0, of=fan)
        return Weight(x.shape, x.dtype, fan, sharding=bound(x))

    def is_leaf(x: Any) -> bool:
        return isinstance(x, _STATES)

    found = jax.tree_util.tree_map_with_path(weight, module, is_leaf=is_leaf)
    if not any(isinstance(x, Weight) for x in jax.tree.leaves(found)):
        raise Refused(
            f"{shown(module)} has no arrays of floats; give a module that has, or its "
            "constructor: lambda key: Model(..., key=key)."
        )
    return found


def is_array(x: Any) -> bool:
    """Tell an array, or the shape of one."""
    return eqx.is_array(x) or isinstance(x, jax.ShapeDtypeStruct)
