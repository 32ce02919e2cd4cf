"""Kernels that pass on what comes in, of any two sides: IDInit."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import samplers
from .._core.arguments import as_number, needs
from .._core.compile import Draw
from .._core.fields import Real, checked, number
from .._core.initializer import Initializer
from .._core.promise import Law
from .._registry import named
from .kernel import Kernel, kernel_of

Shape = tuple[int, ...]


@named()
@dataclass(frozen=True, slots=True, repr=False)
class IDInit(Initializer):
    """`gain` where row and column agree modulo the shorter side, 0 elsewhere.

    The identity, repeated along the longer side: with n the shorter one, mean gain / n
    and standard deviation gain sqrt(n - 1) / n. A convolution is read as the matrix
    (in * taps, out), the taps of an input next to one another, and becomes itself again
    (the paper's patch-maintain form).

    The paper's gain is 1, or sqrt(2) before a rectifier, and 1e-6 in the last weight of
    a residual branch, which begins near 0 without dead neurons (IDIZ).

    Rank 2 and more, the last axes (in, out), or as `fan` declares, groups too; float
    and complex dtypes; the key is ignored.

    Args:
        gain: Value of the entries that are not 0, finite.
        dtype: What `dtype=None` means in a call.
        fan: The axes of window, inputs and outputs, such as `Fan.layout("oihw")`.

    Raises:
        ValueError: At the call, a vector.
        TypeError: An integer or bool dtype.

    References:
        Pan et al., "IDInit: A universal and stable initialization method for neural
        network training", ICLR 2025, section 3.
    """

    gain: Real = checked(1.0, number())

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, gain=self.gain * by)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float", "complex")
        kernel = kernel_of(self.fan, shape)
        as_number("gain", self.gain, dtype)
        gain = as_number("gain", self.gain, samplers.work_dtype(dtype))
        return Draw(repeated_identity, (gain,), (("kernel", kernel),), random=False)

    def _is_blockwise(self) -> bool:
        return True

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float", "complex")
        gain = float(self.gain)
        share = 1 / max(_shorter(kernel_of(self.fan, shape), shape), 1)
        spread = abs(gain) * math.sqrt(share * (1 - share))
        if jnp.issubdtype(dtype, jnp.complexfloating):
            return Law(gain * share, spread, 0.0, abs(gain))
        return Law(gain * share, spread, min(gain, 0.0), max(gain, 0.0))


def _shorter(kernel: Kernel, shape: Shape) -> int:
    taps, inputs, outputs = kernel.sides(shape)
    return min(taps * inputs, outputs)


def repeated_identity(
    key: Any, shape: Shape, dtype: Any, gain: jax.Array, *, kernel: Kernel
) -> jax.Array:
    """The identity matrix of the shorter side, repeated along the longer."""
    del key  # nothing is random
    taps, _, _ = kernel.sides(shape)
    tap, row, column = kernel.indices(shape)
    row = row * jnp.uint32(max(taps, 1)) + tap
    order = jnp.uint32(max(_shorter(kernel, shape), 1))
    return jnp.where(row % order == column % order, gain, jnp.zeros_like(gain)).astype(
        dtype
    )
