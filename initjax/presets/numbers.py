"""What the presets' own arguments accept."""

from __future__ import annotations

from typing import Any

from .._core.fields import number
from .._errors import Refused, shown
from ..laws.depth import whole

_positive = number(above=0)


def squared(**given: Any) -> Any:
    """Return the square of a factor, which is that of a variance, or refuse it."""
    ((name, value),) = given.items()
    try:
        factor = _positive(value)
    except Refused as refused:
        raise refused.at(f"{name}={shown(value)}") from None
    return factor * factor


def counted(**given: Any) -> int:
    """Return a whole number >= 1, or refuse it."""
    ((name, value),) = given.items()
    return whole(f"{name}={shown(value)}", value, hint="count them")
