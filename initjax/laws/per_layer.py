"""A law for stacked layers, each with a scale of its own."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from .._core.arguments import needs
from .._core.compile import Draw
from .._core.composed import stacked
from .._core.fields import Real, checked, integer, number
from .._core.initializer import Initializer
from .._core.promise import Law, mixture_law
from .._core.streams import is_key
from .._errors import Refused
from .._fans.fans import is_list
from .._registry import named
from .scaled import scaled_law, times
from .wrapper import Wrapper, axis_of

Shape = tuple[int, ...]


def _scales(value: Any) -> tuple[Real, ...]:
    if isinstance(value, Tracer) and value.ndim:
        value = [*value]
    elif isinstance(value, (np.ndarray, jax.Array)) and not isinstance(value, Tracer):
        value = None if is_key(value) else np.asarray(value).tolist()
    if not is_list(value) or not value:
        raise Refused("must be a sequence of numbers, one per layer.", TypeError)
    checked = map(number(least=0), value)
    return tuple(x if isinstance(x, jax.Array) else float(x) for x in checked)


@named()
@dataclass(frozen=True, slots=True, repr=False)
class PerLayer(Wrapper):
    """A law for stacked layers, entry l along `axis` times `scales[l]`.

    Mean and standard deviation are those of a mixture over the layers. The shape has
    as many layers as there are scales; float dtypes. Drawn in float32 at least,
    multiplied, and rounded once.

    Args:
        initializer: A law, or an identifier of one.
        scales: One finite number >= 0 per layer, traced ones too.
        axis: The axis that counts the layers.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up, such as `Fan.stacked(0)`.

    Raises:
        ValueError: A scale out of range; at the call, another number of layers.
        TypeError: No law, no sequence of numbers.
    """

    scales: Any = checked((1.0,), _scales)
    axis: int = checked(0, integer)

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, scales=[s * by for s in self.scales])

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float", "complex")
        axis = self._axis(shape)
        by = stacked(self.scales).reshape(
            [-1 if i == axis else 1 for i in range(len(shape))]
        )
        return times(self._inner(), by, shape, dtype)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        self._axis(shape)
        law = self._inner()._promise(shape, dtype)
        layers = [scaled_law(law, by) for by in self.scales]
        return mixture_law(layers, [1.0] * len(layers))

    def _axis(self, shape: Shape) -> int:
        axis = axis_of(self.axis, shape, "layers")
        if shape[axis] != len(self.scales):
            raise Refused(
                f"has {len(self.scales)} scales, the shape {shape[axis]} layers along "
                f"axis {axis}; give one scale per layer."
            )
        return axis


def per_layer(initializer: Any, scales: Any, axis: int = 0) -> PerLayer:
    """Return a law for stacked layers, each with a scale; see `PerLayer`.

    Args:
        initializer: A law, or an identifier of one.
        scales: One finite number >= 0 per layer.
        axis: The axis that counts the layers.
    """
    return PerLayer(initializer, scales, axis)
