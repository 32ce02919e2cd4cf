"""Kernels of zeros and ones: ZerO."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core import samplers
from .._core.arguments import needs
from .._core.compile import Draw
from .._core.initializer import Initializer
from .._core.promise import Law
from .._core.values import held
from .._registry import named
from .kernel import Kernel, kernel_of

Shape = tuple[int, ...]


@named()
@dataclass(frozen=True, slots=True, repr=False)
class ZerO(Initializer):
    """The identity, or part of it; c times part of a Hadamard matrix where it grows.

    A matrix (in, out) with out <= in has 1 on its diagonal and 0 elsewhere. With
    out > in its entry (i, j) is c (-1)^popcount(i & j): rows and columns of Sylvester's
    matrix of order 2^m, m = ceil(log2(out)), c = 2^(-(m - 1) / 2). A convolution has
    the matrix at its centre, tap n // 2 of a window axis of n, and 0 elsewhere. Mean
    and standard deviation are those of the entries; nothing is random.

    A square layer is y = x. Where out is a power of 2, a growing one doubles squared
    norms (the second moment that a rectifier halves); the authors' code has
    c = 2^(-m / 2), which keeps them: there take `Scaled(ZerO(), 2 ** -0.5)`.

    Rank 2 and more, the last axes (in, out), or as `fan` declares, groups too; float
    and complex dtypes; the key is ignored.

    Args:
        dtype: What `dtype=None` means in a call.
        fan: The axes of window, inputs and outputs, such as `Fan.layout("oihw")`.

    Raises:
        ValueError: At the call, a vector; a dtype in which c is 0.
        TypeError: An integer or bool dtype.

    References:
        Zhao et al., "ZerO initialization: Initializing neural networks with only zeros
        and ones", TMLR 2022, algorithm 1.
    """

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        kernel, scale = self._read(shape, dtype)
        held(np.asarray(scale), dtype)
        number = held(np.asarray(scale), samplers.work_dtype(dtype))
        return Draw(zeros_and_ones, (number,), (("kernel", kernel),), random=False)

    def _is_blockwise(self) -> bool:
        return True

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        kernel, c = self._read(shape, dtype)
        taps, rows, columns = kernel.sides(shape)
        entries = taps * rows * columns
        if entries == 0:
            return Law(0.0, 0.0, 0.0, 0.0)
        grows = columns > rows
        total = c * walsh_sum(rows, columns) if grows else columns
        square = c * c * rows * columns if grows else columns
        mean = total / entries
        std = math.sqrt(max(square / entries - mean * mean, 0.0))
        is_signed = (
            grows and rows > 1 and not jnp.issubdtype(dtype, jnp.complexfloating)
        )
        is_full = taps == 1 and (grows or rows * columns == 1)
        return Law(mean, std, -c if is_signed else c * is_full, c)

    def _read(self, shape: Shape, dtype: np.dtype[Any]) -> tuple[Kernel, float]:
        """Return how the shape reads as a kernel, and its largest entry."""
        needs(dtype, "float", "complex")
        kernel = kernel_of(self.fan, shape)
        _, rows, columns = kernel.sides(shape)
        m = (columns - 1).bit_length()
        return kernel, 2 ** (-(m - 1) / 2) if columns > rows else 1.0


def walsh_sum(rows: int, columns: int) -> int:
    """Return the sum of (-1)^popcount(i & j) over i < rows and j < columns.

    By the quarters of Sylvester's matrix, of which one is negative, and a whole one of
    order p sums to p.
    """
    few, many = sorted((rows, columns))
    if few == 0:
        return 0
    p = 1 << (many.bit_length() - 1)
    if few <= p:
        return p + walsh_sum(few, many - p)
    return 3 * p - walsh_sum(few - p, many - p)


def zeros_and_ones(
    key: Any, shape: Shape, dtype: Any, scale: jax.Array, *, kernel: Kernel
) -> jax.Array:
    """The matrix in the central tap of a kernel of zeros."""
    del key  # nothing is random
    _, rows, columns = kernel.sides(shape)
    _, row, column = kernel.indices(shape)
    zero = jnp.zeros_like(scale)
    if columns > rows:
        x = jnp.where(lax.population_count(row & column) & 1 == 0, scale, -scale)
    else:
        x = jnp.where(row == column, scale, zero)
    for axis in kernel.window:
        tap = lax.broadcasted_iota(jnp.int32, shape, axis)
        x = jnp.where(tap == shape[axis] // 2, x, zero)
    return x.astype(dtype)
