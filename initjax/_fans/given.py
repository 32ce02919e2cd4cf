"""The fans as numbers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Self

from .._errors import Refused
from .declaration import Declaration, Shape, kind
from .fans import Fans, is_list


@kind
@dataclass(frozen=True, slots=True, repr=False)
class Given(Declaration):
    """The fans as numbers, whatever the shape: a bias from its kernel's.

    Args:
        fan_in: A positive number.
        fan_out: A positive number; None is fan_in.
    """

    fan_in: float
    fan_out: float | None = None

    def _fans(self, shape: Shape) -> Fans:
        del shape
        return Fans(self.fan_in, self.fan_in if self.fan_out is None else self.fan_out)

    @classmethod
    def read(cls, value: Any) -> Self | None:
        """Read a number, or a pair of them."""
        if _is_number(value):
            return cls(value)
        return cls(*value) if is_list(value) and len(value) == 2 else None

    def _clean(self) -> None:
        self._keep(fan_in=_fan("fan_in", self.fan_in))
        if self.fan_out is not None:
            self._keep(fan_out=_fan("fan_out", self.fan_out))


def _fan(name: str, value: Any) -> float:
    if not _is_number(value):
        kind = type(value).__name__
        raise Refused(f"{name} must be a number, got {kind}.", TypeError)
    number = int(value) if isinstance(value, Integral) else float(value)
    if not 0 < number <= sys.float_info.max:
        raise Refused(f"{name} must be positive and finite.")
    return number


def _is_number(value: Any) -> bool:
    """Tell whether a value is a real number, of NumPy too; a bool is none."""
    return not isinstance(value, bool) and isinstance(value, Real)
