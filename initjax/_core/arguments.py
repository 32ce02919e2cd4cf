"""What a call accepts: shapes, dtypes, and numbers in the dtype of a sampler."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._errors import Refused, shown
from .values import held, numeric_dtype

MISSING: Any = ...  # stands for an argument that a call needs and did not get
Shape = tuple[int, ...]
F = TypeVar("F", bound=Callable[..., Any])


def needs(dtype: np.dtype[Any], *kinds: str) -> None:
    """Refuse dtypes that are of none of the kinds "float", "complex", "int", "bool"."""
    if dtype.name == "float8_e8m0fnu":
        raise Refused(
            "dtype float8_e8m0fnu has powers of two alone, no sign and no zero: only "
            "Ones and Constant fill it; give another dtype, such as bfloat16.",
            TypeError,
        )
    if not any(jnp.issubdtype(dtype, _KINDS[kind]) for kind in kinds):
        example = {"float": "float32", "complex": "complex64", "int": "int32"}[kinds[0]]
        raise Refused(
            f"draws {' or '.join(kinds)} arrays, got dtype {dtype.name}; "
            f"give a {' or '.join(kinds)} dtype, such as {example}.",
            TypeError,
        )


_KINDS = {
    "float": jnp.floating,
    "complex": jnp.complexfloating,
    "int": jnp.integer,
    "bool": jnp.bool_,
}


def as_number(name: str, value: Any, dtype: np.dtype[Any]) -> Any:
    """Return a hyper-parameter as a scalar of the dtype a sampler computes in."""
    if isinstance(value, jax.Array):
        return value.astype(dtype)
    try:
        return held(np.asarray(value), dtype)
    except Refused:
        raise Refused(
            f"{dtype.name} cannot hold {name}={value!r}; "
            f"give another {name}, or a dtype that holds it."
        ) from None


def in_trace() -> bool:
    """Tell whether the caller is inside a traced function, and compile nothing."""
    return isinstance(jax.device_put(np.float32(0)), Tracer)


def as_asked(x: Any, shape: Shape, dtype: Any, who: str) -> Any:
    """Return what a user's function made, or refuse another shape or dtype."""
    if not (hasattr(x, "shape") and hasattr(x, "dtype")):
        raise Refused(f"{who} returned {x!r}, not an array of {shape}.", TypeError)
    if (x.shape, x.dtype) != (shape, dtype):
        raise Refused(
            f"{who} returned shape {x.shape} and dtype {x.dtype}, not the asked "
            f"{shape} and {dtype}; return what was asked.",
            TypeError,
        )
    return x


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the dtype that comes out, or refuse what JAX would silently narrow."""
    wide = bool(jax.config.jax_enable_x64)  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time
    try:
        return _as_dtype(dtype, wide)
    except TypeError:  # it has no hash, so it is no dtype
        raise _not_numeric(dtype) from None


@functools.lru_cache(typed=True)
def _as_dtype(dtype: Any, wide: bool) -> np.dtype[Any]:
    kind = numeric_dtype(float if dtype is None else dtype)
    if kind is None:
        raise _not_numeric(dtype)
    if kind.name in _WIDE and not wide:
        raise Refused(
            f"dtype {kind.name} needs 64-bit mode; set "
            "jax.config.update('jax_enable_x64', True), or ask for "
            f"{_WIDE[kind.name]}."
        )
    return kind


def _not_numeric(dtype: Any) -> Refused:
    return Refused(
        f"dtype={shown(dtype)} is not a numeric dtype; give one, such as jnp.float32.",
        TypeError,
    )


_WIDE = {
    "float64": "float32",
    "int64": "int32",
    "uint64": "uint32",
    "complex128": "complex64",
}


def show_dtype(dtype: Any) -> str:
    """Return a dtype's name, or what was given in its place."""
    try:
        kind = numeric_dtype(dtype)
    except Refused:
        kind = None
    return shown(dtype) if kind is None else kind.name


def signed(call: F) -> F:
    """Return a function whose signature has what it takes: no `MISSING`, no others."""
    whole = inspect.signature(call)
    asked = [
        p.replace(default=p.empty) if p.default is MISSING else p
        for p in whole.parameters.values()
        if p.kind is not p.VAR_KEYWORD
    ]
    call.__signature__ = whole.replace(parameters=asked)  # type: ignore[attr-defined]
    return call


def place_of(called: str, shape: Any, dtype: Any) -> str:
    """Return where a call went wrong, as the user would write it."""
    where = called if shape is MISSING else f"{called}, shape={shown(shape)}"
    if dtype is not None:
        where += f", dtype={show_dtype(dtype)}"
    return f"{where.replace('(, ', '(')})"
