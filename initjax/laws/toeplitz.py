"""Laws of matrices with constant diagonals: Toeplitz, Circulant."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.compile import Draw
from .._core.composed import sample
from .._core.initializer import Initializer
from .._core.promise import Law
from .._errors import Refused
from .._fans.given import Given
from .._registry import named
from .scaled import Scaled
from .wrapper import Wrapper

Shape = tuple[int, ...]


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Toeplitz(Wrapper):
    """A matrix whose diagonals are constant, one number of a law each.

    Entry (i, j) of an (m, n) matrix is number i - j + n - 1 of the m + n - 1 that the
    law draws as a vector, at the fans of the matrix: a layer keeps the variance that
    the law is made for. Mean and standard deviation are those of the law.

    Rank 2, one matrix a layer where `fan` stacks them; dtypes are those of the law,
    which fills a vector.

    Args:
        initializer: A law, or an identifier of one.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up, such as `Fan.layout("oi")`.

    Raises:
        ValueError: At the call, another rank; a law that fills no vector.
        TypeError: No law; for its promise, a law without chance whose numbers differ.

    References:
        Gray, "Toeplitz and circulant matrices: A review", 2006, section 1;
        `scipy.linalg.toeplitz`.
    """

    _is_cyclic: ClassVar[bool] = False

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, initializer=Scaled(self.initializer, by))

    def _is_blockwise(self) -> bool:
        return True

    def _is_whole(self) -> bool:
        return False

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        length = self._length(shape)
        draw = self._numbers(shape)._make((length,), dtype)
        options = (
            *(("draw", draw._replace(numbers=())), ("length", length)),
            ("cyclic", self._is_cyclic),
        )
        return draw._replace(sampler=diagonals, options=options)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        vector, length = self._numbers(shape), self._length(shape)
        law = vector._promise((length,), dtype)
        alike = self._is_cyclic or law.std == 0
        if not alike and not vector._make((length,), dtype).random:
            raise Refused(
                "promises nothing for numbers without chance that differ: how often "
                "one is there depends on its diagonal; give a random law.",
                TypeError,
            )
        return law

    def _numbers(self, shape: Shape) -> Initializer:
        """Return the law of the numbers, at the fans of the matrix."""
        law = self._inner()
        fans = (n or 1 for n in law._declared_fans(shape))  # of an empty one: any
        given: dict[str, Any] = {"fan": Given(*fans)}
        if getattr(law, "in_axis", None) is not None:
            given |= {"in_axis": None, "out_axis": None, "batch_axis": ()}
        return dataclasses.replace(law, **given)

    def _length(self, shape: Shape) -> int:
        """Return how many numbers a matrix has."""
        if len(shape) != 2:
            raise Refused(
                f"a matrix has rank 2, got {shape}; give (rows, columns), or "
                "fan=Fan.stacked() for several."
            )
        if sum(shape) > 2**31:
            raise Refused(f"diagonals are counted in 32 bits, got {shape}; give fewer.")
        return max(sum(shape) - 1, 0)


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Circulant(Toeplitz):
    """A square matrix whose diagonals are constant and go round, one number each.

    Entry (i, j) is number (i - j) mod n of the n that the law draws as a vector, at the
    fans of the matrix: the matrix times x is the cyclic convolution of the numbers and
    x. Mean and standard deviation are those of the law.

    Arguments, dtypes and errors are those of `Toeplitz`; shapes are square.

    References:
        Davis, "Circulant matrices", 1979; `scipy.linalg.circulant`.
    """

    _is_cyclic: ClassVar[bool] = True

    def _length(self, shape: Shape) -> int:
        Toeplitz._length(self, shape)
        if shape[0] != shape[1]:
            raise Refused(
                f"a circulant matrix is square, got {shape}; give (n, n), or use "
                "Toeplitz."
            )
        return shape[0]


def diagonals(
    key: Any,
    shape: Shape,
    dtype: Any,
    *numbers: Any,
    draw: Draw,
    length: int,
    cyclic: bool,
) -> jax.Array:
    """Draw the numbers, and take that of every entry's diagonal."""
    x = sample(draw, key, (length,), dtype, numbers)
    if 0 in shape:
        return jnp.zeros(shape, dtype)
    row, column = (lax.broadcasted_iota(jnp.int32, shape, axis) for axis in (0, 1))
    lag = row - column
    index = jnp.where(lag < 0, lag + length, lag) if cyclic else lag + (shape[1] - 1)
    # one index an element fuses with the draw; rows taken or rolled would not
    return x.at[index].get(mode="promise_in_bounds")
