"""Laws of networks with periodic activations."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core import samplers
from .._core.arguments import as_number, needs
from .._core.compile import Draw
from .._core.fields import Real, checked, flag, number, stream
from .._core.initializer import Initializer
from .._core.promise import Law, uniform_law
from .._core.streams import Seed
from .._fans.declaration import fans_of
from .._fans.fans import Fans
from .._registry import named

Shape = tuple[int, ...]


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Siren(Initializer):
    """Uniform on [-a, a), a = sqrt(6 / fan_in) / w0: mean 0, std a / sqrt(3).

    For layers sin(w0 (W x + b)) behind such layers: with inputs of variance 1/2, as
    sines of a wide law have, w0 W x is N(0, 1) for many of them. (Its variance settles
    at 0.80 from layer to layer.) The `first` layer of a network, whose inputs are
    coordinates in [-1, 1], has a = 1 / fan_in, whatever w0 is. Entries are independent.

    Any shape; float dtypes.

    Args:
        w0: Factor inside of the sine, finite, > 0.
        first: Whether it is the first layer.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up; None is Keras's rule.

    Raises:
        ValueError: `w0` out of range.
        TypeError: A complex, integer or bool dtype.

    References:
        Sitzmann et al., "Implicit neural representations with periodic activation
        functions", NeurIPS 2020, section 3.2 and its code, for the first layer.
    """

    w0: Real = checked(30.0, number(above=0))
    first: bool = checked(False, flag)
    seed: Seed = checked(None, stream)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float")
        work = samplers.work_dtype(dtype)
        limit = as_number("limit", self._limit(fans_of(self.fan, shape)), work)
        return Draw(samplers.symmetric_uniform, (limit,))

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float")
        limit = self._limit(fans := fans_of(self.fan, shape))
        return dataclasses.replace(uniform_law(-limit, limit), fans=fans)

    def _needs_fan(self, shape: Shape) -> bool:
        return len(shape) > 2 if self.fan is None else self.fan.guesses(shape)

    def _std_at(self, shape: Shape, dtype: np.dtype[Any], fans: Fans) -> float:
        return self._limit(fans) if self.first else 1 / math.sqrt(max(fans.fan_in, 1))

    def _limit(self, fans: Fans) -> Any:
        n = max(fans.fan_in, 1)
        return 1 / n if self.first else math.sqrt(6 / n) / self.w0
