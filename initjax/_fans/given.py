"""The fans as numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self, cast

from .._errors import Refused
from .declaration import Declaration, Shape, kind
from .fans import Fans


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
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return cls(value)
        if isinstance(value, tuple) and len(cast("tuple[Any, ...]", value)) == 2:
            return cls(*value)
        return None

    def _clean(self) -> None:
        for name in ("fan_in", "fan_out"):
            value = getattr(self, name)
            if value is None and name == "fan_out":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                kind = type(value).__name__
                raise Refused(f"{name} must be a number, got {kind}.", TypeError)
            if not 0 < value < math.inf:
                raise Refused(f"{name} must be positive and finite.")
