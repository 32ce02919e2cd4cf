"""The base of laws without chance whose entries are computed from the shape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from .._core import samplers
from .._core.arguments import needs
from .._core.compile import Draw
from .._core.fields import Check, number
from .._core.initializer import Initializer
from .._core.promise import Law, point_law
from .._core.values import held
from .._errors import Refused

Shape = tuple[int, ...]
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, repr=False)
class Table(Initializer):
    """The base of laws without chance, computed by NumPy in double precision.

    A law says in `_values(shape)` what an array of the shape holds, or refuses it;
    `fan` may stack several.
    """

    def _values(self, shape: Shape) -> Array:
        """Return the entries of an array of this shape, or what broadcasts to it."""
        raise NotImplementedError  # every table says what; this base is none

    def _is_small(self) -> bool:
        return False  # no cache holds its arrays

    def _is_blockwise(self) -> bool:
        return True

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        values = self._values_in(shape, dtype)
        held(np.max(np.abs(values), initial=0), dtype)
        work = samplers.work_dtype(dtype)
        wide = np.result_type(work, np.complex64) if values.dtype.kind == "c" else work
        return Draw(samplers.fill, (values.astype(wide),), random=False)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        values = self._values_in(shape, dtype)
        return point_law(values + 0j if dtype.kind == "c" else values)  # of the modulus

    def _values_in(self, shape: Shape, dtype: np.dtype[Any]) -> Array:
        needs(dtype, "float", "complex")
        values = self._values(shape)
        if values.dtype.kind == "c":
            needs(dtype, "complex")
        return values


def known(*, least: float = -math.inf, above: float | None = None) -> Check:
    """Accept a finite number within bounds, and no traced one: NumPy computes."""
    check = number(least=least, above=above)

    def concrete(value: Any) -> Any:
        if isinstance(value := check(value), jax.Array):
            raise Refused(
                f"must be known before a call, got a traced {value.dtype}; give a "
                "number.",
                TypeError,
            )
        return value

    return concrete
