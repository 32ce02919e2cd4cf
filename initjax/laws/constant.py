"""Laws without chance: Zeros, Ones, Constant."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._core.compile import Draw
from .._core.fields import checked
from .._core.initializer import Initializer
from .._core.promise import Law, point_law
from .._core.samplers import fill
from .._core.values import ArrayValue, held
from .._errors import Refused
from .._registry import named


@named("zero", keras=2)
@dataclass(frozen=True, slots=True, repr=False)
class Zeros(Initializer):
    """All entries 0: mean 0, standard deviation 0.

    Any shape, any numeric or bool dtype; the key is ignored.

    Args:
        dtype: What `dtype=None` means in a call.

    References:
        Keras, `keras.initializers.Zeros`.
    """

    def _times(self, by: Any) -> Initializer:
        return self

    def _draw(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Draw:
        return _fill(0, shape, dtype)

    def _law(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Law:
        return Law(0.0, 0.0, 0.0, 0.0)


@named("one", keras=2)
@dataclass(frozen=True, slots=True, repr=False)
class Ones(Initializer):
    """All entries 1: mean 1, standard deviation 0.

    Any shape, any numeric or bool dtype; the key is ignored.

    Args:
        dtype: What `dtype=None` means in a call.

    References:
        Keras, `keras.initializers.Ones`.
    """

    def _times(self, by: Any) -> Initializer:
        return Constant(by, dtype=self.dtype, fan=self.fan)

    def _draw(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Draw:
        return _fill(1, shape, dtype)

    def _law(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Law:
        return Law(1.0, 0.0, 1.0, 1.0)


def _constant_value(value: Any) -> Any:
    if isinstance(value, (ArrayValue, Tracer)):
        return value
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise Refused("must fit 64 bits; give a float.")
    try:
        array = np.asarray(value)
        kinds = (np.bool_, jnp.number)
        known = any(jnp.issubdtype(array.dtype, kind) for kind in kinds)
        if not known or array.dtype.kind == "m":  # a time is an integer to NumPy
            raise TypeError
    except (TypeError, ValueError):
        raise Refused(
            "must be a number, or an array or nested list of numbers, "
            f"got {type(value).__name__}.",
            TypeError,
        ) from None
    with np.errstate(over="ignore"):
        kept = ArrayValue.of(array)
    if np.any(np.isinf(kept.array) != np.isinf(array)):  # of a long double
        raise Refused("must fit 64 bits; give a smaller number.")
    plain = kept.tolist()
    if array.ndim == 0 and (isinstance(plain, int) or _is_plain(plain)):
        return plain
    return kept


def _is_plain(x: complex) -> bool:
    """Tell whether == sees all of a number; not of NaN and -0.0, which stay bytes."""
    return x == x and ArrayValue.of(x) == ArrayValue.of(x + 0)


@named(keras=2)
@dataclass(frozen=True, slots=True, repr=False)
class Constant(Initializer):
    """Every entry the given value, or an array that broadcasts to the shape.

    Mean and standard deviation are those of the value's entries. Any shape that the
    value broadcasts to, any dtype that holds it; the key is ignored. An array is kept
    as an immutable value, so the config stays hashable and JSON-able.

    Args:
        value: A number, an array, or a nested list of numbers.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: At the call, if the value does not broadcast to the shape, or is
            complex or fractional and the dtype is not.

    References:
        Keras, `keras.initializers.Constant`; `jax.nn.initializers.constant`.
    """

    value: Any = checked(0.0, _constant_value)

    def _times(self, by: Any) -> Initializer | None:
        if isinstance(by, jax.Array):
            return None  # which multiplies in the dtype of the entries
        value = self.value
        product = (value.array if isinstance(value, ArrayValue) else value) * by
        return dataclasses.replace(self, value=product)

    def _is_small(self) -> bool:
        return not isinstance(self.value, ArrayValue)

    def _draw(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Draw:
        return _fill(self.value, shape, dtype)

    def _law(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Law:
        return point_law(self.value)


def _fill(value: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Draw:
    if not isinstance(value, jax.Array):
        value = held(np.asarray(value), dtype)
    try:
        fits = np.broadcast_shapes(value.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise Refused(
            f"a value of shape {value.shape} does not broadcast to the shape; "
            f"give a scalar, an array of shape {shape}, or another shape."
        )
    return Draw(fill, (value,), random=False)
