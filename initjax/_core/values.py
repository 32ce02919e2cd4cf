"""An array as a value: immutable, hashable, equal by content."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import Any, cast

import jax.numpy as jnp
import numpy as np

from .._errors import Refused


@dataclass(frozen=True, slots=True)
class ArrayValue:
    """The numbers of an array, kept as the bytes of its widest dtype of the kind.

    `np.asarray(value)` gives a read-only view, `value.tolist()` nested lists.
    """

    shape: tuple[int, ...]
    dtype: str
    data: bytes

    @classmethod
    def of(cls, array: Any) -> ArrayValue:
        """Keep a numeric array: bool, int64 or uint64, float64, complex128."""
        x = np.asarray(array)
        if x.dtype.kind not in "biufc":
            x = x.astype(np.float64)  # bfloat16 and its like
        wide = {"b": np.bool_, "i": np.int64, "u": np.uint64, "f": np.float64}
        x = x.astype(wide.get(x.dtype.kind, np.complex128))
        if x.dtype == np.uint64 and (x.size == 0 or x.max() < 2**63):
            x = x.astype(np.int64)
        return cls(x.shape, x.dtype.str, x.tobytes())

    @property
    def array(self) -> np.ndarray[Any, np.dtype[Any]]:
        """A read-only view of the numbers."""
        return np.frombuffer(self.data, self.dtype).reshape(self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Give NumPy the numbers."""
        del copy  # the bytes are immutable: a view never lets them change
        return self.array if dtype is None else self.array.astype(dtype)

    def tolist(self) -> Any:
        """Return nested lists of Python numbers."""
        return self.array.tolist()

    def __repr__(self) -> str:
        """Show nested lists, which build an equal value again."""
        return literal(self.tolist())


def held(value: np.ndarray[Any, Any], dtype: Any) -> np.ndarray[Any, Any]:
    """Return an array in `dtype`, or refuse numbers that it does not hold.

    An integer dtype holds whole numbers in its range; a float dtype holds those in its
    range at its precision, and rounds none but 0 to 0.
    """
    is_complex = jnp.issubdtype(dtype, jnp.complexfloating)
    part, wide = (value, np.complex128) if is_complex else (value.real, np.float64)
    with np.errstate(all="ignore"):  # what does not fit is refused below
        cast = part.astype(dtype)
    want, got = part.astype(wide), cast.astype(wide)
    if jnp.issubdtype(dtype, jnp.inexact):
        fits = (np.isnan(got) == np.isnan(want)) & (np.isinf(got) == np.isinf(want))
        fits &= (got == 0) == (want == 0)
        if not is_complex:  # float4 has no infinity that would tell
            fits &= ~np.isfinite(want) | (np.abs(want) < _overflow(dtype))
    else:
        fits = got == want
    if not np.all(fits) or (not is_complex and np.any(value.imag)):
        raise Refused(
            f"dtype {np.dtype(dtype).name} cannot hold the value; "
            "give a dtype that can, or another value."
        )
    return cast[()]  # a scalar passes into a jitted call faster than an array


def _overflow(dtype: Any) -> float:
    """Return the least number that rounds above the largest of a float dtype."""
    info = jnp.finfo(dtype)
    largest = float(info.max)
    half = float(info.eps) * 2.0 ** (math.frexp(largest)[1] - 2)
    return largest + half  # inf in float64


def literal(value: Any) -> str:
    """Return a Python expression of a value; `repr` has none for inf and NaN."""
    if isinstance(value, list):
        return f"[{', '.join(map(literal, cast('list[Any]', value)))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if isinstance(value, complex) and not _adds_up(value):
        return f"complex({literal(value.real)}, {literal(value.imag)})"
    return repr(value)


def _adds_up(value: complex) -> bool:
    """Tell whether `1+2j`, a sum, gives the number: not with -0.0, inf or NaN."""
    parts = f"{value.real:g} {value.imag:g}".split()
    return cmath.isfinite(value) and "-0" not in parts


# dtypes of numbers that JAX makes arrays of: NumPy also has long and big-endian ones,
# and the float6 and one-bit integers of ml_dtypes stop XLA's CPU compiler
_JAX_HAS = frozenset(
    "bool int2 int4 int8 int16 int32 int64 uint2 uint4 uint8 uint16 uint32 uint64 "
    "float4_e2m1fn float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn "
    "float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu "
    "bfloat16 float16 float32 float64 complex64 complex128".split()
)


def numeric_dtype(value: Any) -> np.dtype[Any] | None:
    """Return a numeric or bool dtype, JAX's default for a Python type, else None.

    A number or an array has a dtype and is none. A dtype of numbers that JAX has no
    arrays of is refused.
    """
    if isinstance(value, type) and value in (bool, int, float, complex):
        return jnp.result_type(value)
    if not isinstance(value, (str, type, np.dtype)):
        return None
    try:
        dtype = jnp.dtype(value)
    except (TypeError, ValueError, SyntaxError):  # NumPy reads text by a grammar
        return None
    if dtype.name in _JAX_HAS and dtype.isnative:
        return dtype
    if dtype.kind != "m" and jnp.issubdtype(dtype, jnp.number):  # no time differences
        shown = dtype.name if dtype.isnative else dtype.str
        raise Refused(
            f"JAX has no arrays of dtype {shown}; give one that it has, "
            "such as float32.",
            TypeError,
        )
    return None
