"""A law times a number."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import samplers
from .._core.arguments import as_number, needs
from .._core.compile import Draw
from .._core.composed import sample
from .._core.derived import mirrored_law
from .._core.fields import Real, checked, number
from .._core.initializer import Initializer
from .._core.names import is_built_in
from .._core.own import is_traced
from .._core.promise import Cdf, Law
from .._core.rounding import rounded
from .._errors import Refused
from .._registry import named
from .wrapper import Wrapper

Shape = tuple[int, ...]


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Scaled(Wrapper):
    """`by` times a law.

    Mean and standard deviation are those of the law times `by`; so are bounds. Shapes,
    dtypes and errors are those of the law. Laws of initjax are scaled by their own
    parameters, so `by=1` gives their bits, and the scaled law shares their program;
    other laws are drawn in float32 and multiplied before the one rounding. A negative
    `by` gives the entries of its absolute value with the other sign, in float and
    complex dtypes. A traced `by` meets the law's numbers in float32, so the last bits
    may differ from those of the number itself. `by * law` is the same.

    Args:
        initializer: A law, or an identifier of one.
        by: Finite; a traced one >= 0.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up.

    Raises:
        ValueError: `by` out of range.
        TypeError: No law.
    """

    by: Real = checked(1.0, number())

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, by=self.by * by)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        inner = self._inner()
        if self._is_negative():
            needs(dtype, "float", "complex")
            draw = self._mirror()._draw(shape, dtype)
            options = (("draw", draw._replace(numbers=())),)
            return draw._replace(sampler=mirrored, options=options)
        if not isinstance(self.by, jax.Array) and self.by == 1:
            return inner._make(shape, dtype)
        is_exact = not jnp.issubdtype(dtype, jnp.inexact)
        if is_exact and inner._make(shape, dtype).random:
            needs(dtype, "float", "complex")  # integers would be another law
        if law := _multiple(inner, self.by):
            return law._make(shape, dtype)
        return times(inner, self.by, shape, dtype)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        inner = self._inner()
        if self._is_negative():
            needs(dtype, "float", "complex")
            return mirrored_law(self._mirror()._law(shape, dtype), dtype.kind == "c")
        if law := _multiple(inner, self.by):
            return law._promise(shape, dtype)
        return scaled_law(inner._promise(shape, dtype), float(self.by))

    def _is_negative(self) -> bool:
        return not isinstance(self.by, jax.Array) and self.by < 0

    def _mirror(self) -> Scaled:
        return dataclasses.replace(self, by=-self.by)


def _multiple(law: Initializer, by: Any) -> Initializer | None:
    """Return a law with its own parameters multiplied, or None if it has none."""
    if not is_built_in(type(law)) or (not isinstance(by, jax.Array) and by == 0):
        return None
    return law._times(by)


def times(inner: Initializer, by: Any, shape: Shape, dtype: np.dtype[Any]) -> Draw:
    """Return the draw of a law whose entries are multiplied before they are rounded."""
    work = samplers.work_dtype(dtype)
    wide = np.result_type(dtype, np.complex64) if dtype.kind == "c" else work
    draw = inner._make(shape, wide)
    factor = as_number("by", by, work)
    bounds = () if wide == dtype else _bounds(inner, draw, shape, wide)
    kept = tuple(as_number("by", bound * by, work) for bound in bounds)
    options = (("draw", draw._replace(numbers=())), ("bounded", bool(bounds)))
    return draw._replace(
        sampler=multiplied, numbers=(factor, *kept, *draw.numbers), options=options
    )


def _bounds(
    law: Initializer, draw: Draw, shape: Shape, dtype: np.dtype[Any]
) -> tuple[Any, ...]:
    """Return the bounds that rounding must keep, if the law promises any."""
    if is_traced(law):  # a promise is of numbers
        ends = _ENDS.get(draw.sampler)
        return ends(*draw.numbers, **dict(draw.options)) if ends else ()
    try:
        promise = law._promise(shape, dtype)
    except Refused:  # a user's law need not promise anything
        return ()
    return (promise.low, promise.high) if math.isfinite(promise.low) else ()


def _cut_ends(
    sigma: Any, mean: Any = 0.0, *ends: Any, lower: float, upper: float
) -> tuple[Any, ...]:
    if ends or math.isinf(lower):
        return ends
    return mean + sigma * lower, mean + sigma * upper


_ENDS: dict[Any, Callable[..., tuple[Any, ...]]] = {
    samplers.uniform: lambda low, high: (low, high),
    samplers.symmetric_uniform: lambda limit: (-limit, limit),
    samplers.truncated_normal: _cut_ends,
}


def multiplied(
    key: Any,
    shape: Shape,
    dtype: Any,
    by: Any,
    *numbers: Any,
    draw: Draw,
    bounded: bool,
) -> jax.Array:
    """Draw in a wide dtype, multiply, round once inside the bounds."""
    wide = by.dtype if np.dtype(dtype).kind != "c" else dtype
    low, high = numbers[:2] if bounded else (None, None)
    numbers = numbers[2:] if bounded else numbers
    x = draw.sampler(key, shape, wide, *numbers, **dict(draw.options))
    return rounded(x * by.astype(x.dtype), dtype, low, high)


def mirrored(
    key: Any, shape: Shape, dtype: Any, *numbers: Any, draw: Draw
) -> jax.Array:
    """Draw, and change every sign."""
    return -sample(draw, key, shape, dtype, numbers)


def scaled_law(law: Law, by: float) -> Law:
    """Return the law of an entry that is multiplied."""
    if by == 0:
        return Law(0.0, 0.0, 0.0, 0.0, law.fans)
    cdf = law.cdf
    return Law(
        law.mean * by,
        law.std * by,
        law.low * by,
        law.high * by,
        law.fans,
        None if cdf is None else partial(_scaled_cdf, cdf, by),
        law.alike,
    )


def _scaled_cdf(cdf: Cdf, by: float, x: Any) -> Any:
    return cdf(np.asarray(x, np.float64) / by)


def scaled(initializer: Any, by: Any) -> Scaled:
    """Return `by` times a law; see `Scaled`.

    Args:
        initializer: A law, or an identifier of one.
        by: Finite.
    """
    return Scaled(initializer, by)
