"""Convolution kernels that pass channels through."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.arguments import needs
from .._core.compile import Draw
from .._core.fields import Real, checked, integer, number
from .._core.initializer import Initializer
from .._core.promise import Law
from .._errors import Refused
from .._registry import named
from .structured import held_gain, sparse_law

Shape = tuple[int, ...]


def _groups(value: Any) -> int:
    if (groups := integer(value)) < 1:
        raise Refused("must be a whole number >= 1; give that of the convolution.")
    return groups


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Dirac(Initializer):
    """A convolution kernel with `gain` from input d to output d of a group, else 0.

    At the centre of the window, k // 2 on every axis, input d of a group goes to the
    group's output d, for d < min(in, out / groups): channels pass through. (For even k
    `DeltaOrthogonal` has its centre one before.) Over the kernel mean gain p and
    standard deviation gain sqrt(p (1 - p)), with p = groups min(in, out / groups) over
    the number of entries.

    Shapes (window..., in, out) of rank 3, 4 or 5, or as `fan` declares, `in` that of
    one group; any numeric dtype; the key is ignored.

    Args:
        groups: Those of the convolution (`feature_group_count`), >= 1.
        gain: Value at the centre, finite.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: `groups` out of range; at the call, another rank, outputs that they
            do not divide, a fractional gain with an integer dtype.

    References:
        Zagoruyko and Komodakis, "DiracNets", 2017; `torch.nn.init.dirac_`.
    """

    groups: int = checked(1, _groups)
    gain: Real = checked(1.0, number())

    def _validate(self) -> None:
        declared = getattr(self.fan, "groups", 1)
        if declared not in (1, self.groups):
            raise Refused(
                f"has groups={self.groups}, its fan {declared}; give both alike."
            )

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, gain=self.gain * by)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        outputs = self._outputs(shape, dtype)
        gain = held_gain(self.gain, dtype)
        return Draw(dirac, (gain,), (("outputs", outputs),), random=False)

    def _reads_kernel(self) -> bool:
        return True

    def _is_blockwise(self) -> bool:
        return True

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        outputs, size = self._outputs(shape, dtype), math.prod(shape)
        share = self.groups * min(shape[-2], outputs) / size if size else 0.0
        return sparse_law(float(self.gain), share)

    def _outputs(self, shape: Shape, dtype: np.dtype[Any]) -> int:
        """Return how many outputs a group has."""
        needs(dtype, "float", "complex", "int", "bool")
        if len(shape) not in (3, 4, 5):
            raise Refused(
                f"needs a convolution kernel of rank 3, 4 or 5, got rank {len(shape)}; "
                "for a matrix use Identity()."
            )
        if shape[-1] % self.groups:
            raise Refused(
                f"groups={self.groups} do not divide {shape[-1]} outputs; "
                "give a shape (window..., in, out) with outputs that they do."
            )
        return shape[-1] // self.groups


def dirac(
    key: Any, shape: Shape, dtype: Any, gain: jax.Array, *, outputs: int
) -> jax.Array:
    """`gain` where input and output of a group are equal, at the centre."""
    del key  # nothing is random
    *window, row, column = (
        lax.broadcasted_iota(jnp.int32, shape, axis) for axis in range(len(shape))
    )
    passes = row == column % max(outputs, 1)
    for index, taps in zip(window, shape, strict=False):
        passes &= index == taps // 2
    return jnp.where(passes, gain, jnp.zeros_like(gain)).astype(dtype)
