"""What a config's fields accept, and the plain Python values they keep.

A check takes what the user gave and returns what the config stores, or refuses. Laws
name a check per field: `stddev: Real = checked(0.05, number(least=0))`.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._errors import Refused
from .._fans.declaration import as_declaration
from .._fans.fans import index_of, items_of
from .streams import clean_seed, is_key
from .values import numeric_dtype

Check = Callable[[Any], Any]
Real = float | jax.Array
_LARGEST = sys.float_info.max
_REALS = (jnp.floating, jnp.integer)


def checked(default: Any, check: Check, *, kw_only: Any = dataclasses.MISSING) -> Any:
    """Return a dataclass field whose value goes through `check`."""
    return dataclasses.field(
        default=default, metadata={"check": check}, kw_only=kw_only
    )


def needed(check: Check) -> Any:
    """Return a dataclass field without a default whose value goes through `check`."""
    return dataclasses.field(metadata={"check": check})


def number(
    *, least: float = -math.inf, above: float | None = None, infinite: bool = False
) -> Check:
    """Accept a real number within bounds, finite unless told, or a tracer."""
    rule = "a finite number" if not infinite else "a finite number, inf or -inf"
    if least > -math.inf:
        rule += f" >= {least:g}"
    if above is not None:
        rule += f" > {above:g}"

    def check(value: Any) -> Any:
        value = as_scalar(value)
        if isinstance(value, jax.Array):
            if not any(jnp.issubdtype(value.dtype, kind) for kind in _REALS):
                raise Refused(f"must be {rule}, got a traced {value.dtype}.", TypeError)
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Refused(f"must be {rule}, got {type(value).__name__}.", TypeError)
        fits = least <= value and (above is None or value > above)
        infinite_here = infinite and value in (math.inf, -math.inf)
        if not fits or (abs(value) > _LARGEST and not infinite_here):
            raise Refused(f"must be {rule}.")
        return value + 0  # -0.0 equals 0.0, so it has to be the same number

    return check


def choice(*options: Any, notes: dict[str, str] | None = None) -> Check:
    """Accept one of the options, strings in any case."""

    def check(value: Any) -> Any:
        if isinstance(value, str):
            value = value.lower()
            if notes and value in notes:
                raise Refused(notes[value])
        elif value is not None:
            kind = type(value).__name__
            raise Refused(f"must be one of {options}, got {kind}.", TypeError)
        if value not in options:
            raise Refused(f"must be one of {options}.")
        return value

    return check


def flag(value: Any) -> bool:
    """Accept True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise Refused(f"must be True or False, got {type(value).__name__}.", TypeError)
    return bool(value)


def integer(value: Any) -> int:
    """Accept a Python or NumPy integer."""
    try:
        return index_of(value)
    except TypeError:
        raise Refused(
            f"must be an int, got {type(value).__name__}.", TypeError
        ) from None


def axes(value: Any) -> tuple[int, ...] | None:
    """Accept None, an axis, or a sequence of axes; keep a tuple."""
    if value is None:
        return None
    items = items_of(value)
    return tuple(map(integer, (value,) if items is None else items))


def batch_axes(value: Any) -> tuple[int, ...] | str:
    """Accept what `axes` does, and "rest" for all axes listed nowhere else."""
    if isinstance(value, str):
        if value != "rest":
            raise Refused("must be axes or 'rest'.")
        return value
    return axes(value) or ()


def stream(value: Any) -> Any:
    """Accept a stream tag: None, an int, a str, or a path of them."""
    return clean_seed(value)


def default_dtype(value: Any) -> str | None:
    """Accept None or a dtype; keep its name."""
    if value is None:
        return None
    dtype = numeric_dtype(value)
    if dtype is None:
        raise Refused("must be None or a numeric dtype, such as 'bfloat16'.", TypeError)
    return dtype.name


def declaration(value: Any) -> Any:
    """Accept a declaration of fans, None, "conv", a number, or a pair of numbers."""
    return as_declaration(value)


def as_scalar(value: Any) -> Any:
    """Return concrete NumPy and JAX scalars as Python numbers, all else unchanged."""
    if isinstance(value, Tracer):
        if value.ndim:
            raise Refused(
                f"must be a scalar, got a traced array of shape {value.shape}."
            )
        return value
    if is_key(value):
        raise Refused("must be a number, got a PRNG key.", TypeError)
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        if np.ndim(value):
            raise Refused(f"must be a scalar, got an array of shape {np.shape(value)}.")
        return np.asarray(value).item()
    return value
