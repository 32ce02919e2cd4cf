"""What Keras's layers make of their weights, and what they initialize them with."""

from __future__ import annotations

from typing import Any

from .._core.initializer import Initializer
from .._fans import Fan
from .._fans.declaration import Declaration
from ..laws import Ones, PerPart

Axes = tuple[int, ...]

_LSTM = Fan.fused(("i", "f", "c", "o"), axis=-1)
_GRU = Fan.fused(("z", "r", "h"), axis=-1)
_CONV_LSTM = Fan.fused(("i", "f", "c", "o"), axis=-1, of="conv")
_CHANNELS = Fan((), -1, -2)  # (window..., channel, multiplier), each on its own

# by a layer's class, or one that it derives from, and the weight's name; what is not
# here is (inputs, outputs), or a vector
_FANS: dict[tuple[str, str], Any] = {
    ("EinsumDense", "kernel"): lambda layer: Fan.einsum(layer.equation),
    ("BaseConv", "kernel"): lambda layer: Fan.conv(layer.groups),
    ("BaseConvTranspose", "kernel"): lambda layer: Fan(-1, -2, strides=layer.strides),
    ("BaseDepthwiseConv", "kernel"): _CHANNELS,
    ("BaseSeparableConv", "depthwise_kernel"): _CHANNELS,
    ("BaseSeparableConv", "pointwise_kernel"): Fan.conv(),
    ("Embedding", "embeddings"): Fan.embedding(),
    ("PositionEmbedding", "embeddings"): Fan.embedding(),
    ("LSTMCell", "kernel"): _LSTM,
    ("LSTMCell", "recurrent_kernel"): _LSTM,
    ("GRUCell", "kernel"): _GRU,
    ("GRUCell", "recurrent_kernel"): _GRU,
    ("ConvLSTMCell", "kernel"): _CONV_LSTM,
    ("ConvLSTMCell", "recurrent_kernel"): _CONV_LSTM,
}

# the attributes that keep an initializer under another name than its weight's
_KEPT = {
    ("BaseDepthwiseConv", "kernel"): "depthwise_initializer",
    ("PositionEmbedding", "embeddings"): "initializer",
    ("ReversibleEmbedding", "reverse_embeddings"): "embeddings_initializer",
}


def fan_of(layer: Any, name: str) -> Declaration | None:
    """Return how a layer uses its weight of this name; None is Keras's rule."""
    fan: Any = _row(_FANS, layer, name)
    return fan if fan is None or isinstance(fan, Declaration) else fan(layer)


def initializer_of(layer: Any, name: str) -> Any:
    """Return the initializer that a layer keeps for its weight of this name."""
    usual = f"{name.removesuffix('_kernel')}_initializer"
    return getattr(layer, _row(_KEPT, layer, name) or usual, None)


def axes_of(layer: Any, name: str) -> tuple[Axes, Axes] | None:
    """Return the axes of inputs and outputs that a layer tells its initializer."""
    if not (_is(layer, "EinsumDense") and name == "kernel"):
        return None
    left, _, out = layer.equation.partition("->")
    kernel = left.partition(",")[2]
    ins = tuple(i for i, label in enumerate(kernel) if label not in out)
    return ins, tuple(i for i in range(len(kernel)) if i not in ins)


def with_gates(law: Initializer, layer: Any, name: str) -> Initializer:
    """Return a bias' law with the ones of a forget gate, if its layer adds them."""
    if name != "bias" or not getattr(layer, "unit_forget_bias", False):
        return law
    units: int = layer.filters if _is(layer, "ConvLSTMCell") else layer.units
    parts = {"i": units, "f": units, "co": 2 * units}
    return PerPart(law, {"f": Ones()}, fan=Fan.fused(parts, axis=-1))


def _row(table: dict[tuple[str, str], Any], layer: Any, name: str) -> Any:
    """Return what a table says of a weight of a layer, or None."""
    kinds = type(layer).__mro__
    rows = (table.get((kind.__name__, name)) for kind in kinds if _is_keras(kind))
    return next((row for row in rows if row is not None), None)


def _is(layer: Any, kind: str) -> bool:
    return any(c.__name__ == kind and _is_keras(c) for c in type(layer).__mro__)


def _is_keras(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("keras", "keras_hub")
