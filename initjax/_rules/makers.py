"""What makes a leaf: found by its identifier, and called with the leaf's key."""

from __future__ import annotations

import inspect
from typing import Any

from .._core.bound import Bound
from .._core.initializer import Initializer
from .._errors import Refused, shown
from .._registry import get


def maker_of(value: Any) -> Any:
    """Return what makes a leaf, or refuse what cannot be called with its key."""
    found = get(value)
    if found is None:
        raise Refused("needs an initializer, got None; give one.", TypeError)
    if isinstance(found, Bound):
        raise Refused(
            "a bound law has a key, and draws the same for every leaf; give the law "
            "itself.",
            TypeError,
        )
    if not isinstance(found, Initializer):
        _check_call(found)
    return found


def name_of(x: Any) -> str:
    """Return the name of a function, or how anything else is written."""
    if isinstance(x, Bound):
        return f"{x.initializer!r}.bind(key)"
    name = getattr(x, "__qualname__", None)
    return name if isinstance(name, str) else shown(x)


def _check_call(function: Any) -> None:
    """Refuse what is no function of (key, shape, dtype)."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some of C have none
        return
    if _fits(function):
        return
    name = getattr(function, "__name__", type(function).__name__)
    raise Refused(
        f"an initializer is called as (key, shape, dtype), and {name} takes "
        f"({', '.join(parameters)}); if it makes initializers, call it: {name}().",
        TypeError,
    )


def _fits(function: Any) -> bool:
    """Tell whether a function takes a key: what makes initializers has a default."""
    signature = inspect.signature(function)
    try:
        signature.bind(None, (), None)
    except TypeError:
        return False
    first = next(iter(signature.parameters.values()))
    return first.default in (inspect.Parameter.empty, None)
