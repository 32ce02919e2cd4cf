"""A law whose entries are clipped, rounded to a dtype, or masked."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.arguments import as_dtype, as_number, needs
from .._core.compile import Draw
from .._core.composed import sample
from .._core.derived import clipped_law
from .._core.fields import Real, default_dtype, needed, number
from .._core.initializer import Initializer
from .._core.promise import Law, is_alike, mixture_law
from .._core.rounding import narrowed, rounded, settle, work_dtype
from .._core.values import ArrayValue, held
from .._errors import Refused
from .._fans.fans import Fans
from .._registry import named
from .scaled import Scaled
from .wrapper import Wrapper, fixed_law

Shape = tuple[int, ...]


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Clipped(Wrapper):
    """A law whose entries are put into [low, high].

    Those beyond become the bound, with its probability, in float32 at least before the
    one rounding; `TruncatedNormal` draws none there. Mean and standard deviation are
    those of the clipped entries, by quadrature of the law's cdf.

    Any shape; float dtypes.

    Args:
        initializer: A law, or an identifier of one.
        low: Least value; may be -inf.
        high: Greatest value, >= low; may be inf.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up.

    Raises:
        ValueError: low > high.
        TypeError: No law; a complex, integer or bool dtype. `law(shape)` of a random
            law that has no cdf.
    """

    low: Real = needed(number(infinite=True))
    high: Real = needed(number(infinite=True))

    def _validate(self) -> None:
        Wrapper._validate(self)
        ends = (self.low, self.high)
        if not any(isinstance(end, jax.Array) for end in ends) and self.low > self.high:
            raise Refused(f"low={self.low} is above high={self.high}; swap them.")

    def _times(self, by: Any) -> Initializer:
        law = Scaled(self.initializer, by)
        ends = {"low": self.low * by, "high": self.high * by}
        return dataclasses.replace(self, initializer=law, **ends)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float")
        work = work_dtype(dtype)
        draw = self._inner()._make(shape, work)
        low, high = as_number("low", self.low, work), as_number("high", self.high, work)
        options = (("draw", draw._replace(numbers=())),)
        numbers = (low, high, *draw.numbers)
        return draw._replace(sampler=clipped, numbers=numbers, options=options)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float")
        law = self._inner()._promise(shape, dtype)
        try:
            return clipped_law(law, float(self.low), float(self.high))
        except Refused:
            if (fixed := fixed_law(self, shape, dtype)) is None:
                raise
            return dataclasses.replace(fixed, fans=law.fans)

    def _std_at(self, shape: Shape, dtype: np.dtype[Any], fans: Fans) -> float:
        raise Refused("is cut at numbers that do not grow; clip a law that is MuP.")


def clipped(
    key: Any,
    shape: Shape,
    dtype: Any,
    low: Any,
    high: Any,
    *numbers: Any,
    draw: Draw,
) -> jax.Array:
    """Draw in a wide dtype, and round once inside the bounds."""
    x = sample(draw, key, shape, work_dtype(dtype), numbers)
    return settle(x, dtype, low, high)


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Cast(Wrapper):
    """A law drawn in another dtype than the array has, such as bfloat16 for float32.

    The array holds what the narrower dtype can: master weights that equal their copies.
    Mean and standard deviation are those of the law, up to the rounding to `through`.
    A law of integers gives whole floats: `Cast(RandomUniform(0, 10), "int32")`.

    Any shape; float dtypes; `through` is any real dtype that the law fills.

    Args:
        initializer: A law, or an identifier of one.
        through: The dtype that the law is drawn in, and rounded to.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up.

    Raises:
        TypeError: No law, no dtype, a complex one; what the law says of `through`.
    """

    through: Any = needed(default_dtype)

    def _validate(self) -> None:
        Wrapper._validate(self)
        if self.through is None or np.dtype(self.through).kind == "c":
            raise Refused(
                f"through={self.through!r} is no real dtype; give one, such as "
                "'bfloat16'.",
                TypeError,
            )

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float")
        through = as_dtype(self.through)
        draw = self._inner()._make(shape, through)
        options = (("draw", draw._replace(numbers=())), ("through", through))
        return draw._replace(sampler=cast_through, options=options)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float")
        return self._inner()._promise(shape, as_dtype(self.through))


def cast_through(
    key: Any, shape: Shape, dtype: Any, *numbers: Any, draw: Draw, through: Any
) -> jax.Array:
    """Draw in a dtype and go from it to another, which saturates if it is narrower."""
    x = sample(draw, key, shape, through, numbers).astype(work_dtype(dtype))
    if jnp.issubdtype(through, jnp.floating) and jnp.finfo(through).bits < 32:
        x = narrowed(x, through)
    return rounded(x, dtype)


# the diagonal that ends a triangle, and whether it lies below
_TRIANGLES = {
    "lower": (0, True),
    "strictly_lower": (-1, True),
    "upper": (-1, False),
    "strictly_upper": (0, False),
}


def _mask(value: Any) -> Any:
    if isinstance(value, str):
        if value not in _TRIANGLES:
            raise Refused(f"must be an array or one of {tuple(_TRIANGLES)}.")
        return value
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError):
        raise Refused(
            f"must be an array of True and False, got {type(value).__name__}.",
            TypeError,
        ) from None
    if not np.isin(array, (0, 1)).all():
        raise Refused("must be an array of True and False, or of 1 and 0.")
    return ArrayValue.of(array.astype(bool))


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Masked(Wrapper):
    """A law where a mask is True, 0 elsewhere.

    Where it is True the entries are those of the law, bit for bit; the law's fans do
    not know of the mask. Mean and standard deviation are those of the mixture. The mask
    is that of the whole array, also where `fan` declares parts or layers. A triangle is
    one of the last two axes: "lower" and "upper" with the diagonal, "strictly_lower"
    and "strictly_upper" without.

    Any shape that the mask broadcasts to, of rank >= 2 for a triangle; dtypes are the
    law's.

    Args:
        initializer: A law, or an identifier of one.
        mask: A triangle, or an array of True and False, or 1 and 0.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up.

    Raises:
        ValueError: Another triangle or number; at the call, a shape that the mask does
            not fit.
        TypeError: No law, no mask. `law(shape)` of a random law whose entries differ in
            law, as what the mask leaves of them is not known.
    """

    mask: Any = needed(_mask)

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, initializer=Scaled(self.initializer, by))

    def _is_small(self) -> bool:
        return self.initializer._is_small() and isinstance(self.mask, str)

    def _is_whole(self) -> bool:
        return True

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        self._share(shape)
        held(np.zeros(()), dtype)  # float8_e8m0fnu has no 0
        draw = self._inner()._make(shape, dtype)
        bare = ("draw", draw._replace(numbers=()))
        if isinstance(self.mask, str):
            end, below = _TRIANGLES[self.mask]
            options = (bare, ("end", end), ("below", below))
            return draw._replace(sampler=triangle, options=options)
        numbers = (self.mask.array, *draw.numbers)
        return draw._replace(sampler=masked, numbers=numbers, options=(bare,))

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        share, law = self._share(shape), self._inner()._promise(shape, dtype)
        if is_alike(law) or share in (0, 1):
            known = mixture_law((law, Law(0.0, 0.0, 0.0, 0.0)), (share, 1 - share))
        elif (known := fixed_law(self, shape, dtype)) is None:
            raise Refused(
                "promises nothing: the law differs from entry to entry, and its "
                "average does not tell what the mask leaves; ask the law itself.",
                TypeError,
            )
        return dataclasses.replace(known, fans=law.fans)

    def _share(self, shape: Shape) -> float:
        """Return the share of entries that are kept, or refuse the shape."""
        if isinstance(self.mask, str):
            return self._share_of_triangle(shape)
        mask = self.mask.array
        try:
            fits = np.broadcast_shapes(mask.shape, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise Refused(
                f"a mask of shape {mask.shape} does not broadcast to the shape; give "
                f"one of shape {shape}, or another shape."
            )
        return float(mask.mean()) if mask.size else 1.0

    def _share_of_triangle(self, shape: Shape) -> float:
        if len(shape) < 2:
            raise Refused(
                f"a triangle needs a shape of rank >= 2, got rank {len(shape)}; give "
                "an array as the mask."
            )
        (rows, columns), (end, below) = shape[-2:], _TRIANGLES[self.mask]
        kept = np.clip(np.arange(rows) + 1 + end, 0, columns).sum()
        share = float(kept / (rows * columns or 1))
        return share if below else 1 - share


def triangle(
    key: Any, shape: Shape, dtype: Any, *numbers: Any, draw: Draw, end: int, below: bool
) -> jax.Array:
    """Draw, and keep one side of a diagonal of the last two axes."""
    x = sample(draw, key, shape, dtype, numbers)
    row, column = (
        lax.broadcasted_iota(jnp.int32, shape, len(shape) - 2 + i) for i in (0, 1)
    )
    return jnp.where((column <= row + end) == below, x, jnp.zeros_like(x))


def masked(
    key: Any, shape: Shape, dtype: Any, mask: Any, *numbers: Any, draw: Draw
) -> jax.Array:
    """Draw, and keep what a mask keeps."""
    x = sample(draw, key, shape, dtype, numbers)
    return jnp.where(jnp.broadcast_to(mask, shape), x, jnp.zeros_like(x))
