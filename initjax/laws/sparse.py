"""Normal matrices with as many zeros in every line."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import samplers
from .._core.arguments import as_number, needs
from .._core.bits import random_bits, split_in_two
from .._core.compile import Draw
from .._core.fields import Real, checked, integer, needed, number, stream
from .._core.initializer import Initializer
from .._core.promise import Law, mixture_law, normal_law
from .._core.streams import Seed
from .._errors import Refused
from .._registry import named
from .wrapper import axis_of

Shape = tuple[int, ...]


def _fraction(value: Any) -> Any:
    value = number()(value)
    if isinstance(value, jax.Array):
        raise Refused("must be a number, got a traced one; it is a count.", TypeError)
    if not 0 <= value <= 1:
        raise Refused("must be in [0, 1]; give the fraction of zeros.")
    return value


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Sparse(Initializer):
    """Normal law with exactly z zeros in every line along an axis.

    A line of n entries has z = ceil(sparsity n) zeros, at random places; all else is
    N(0, stddev^2), independent. Mean 0 and standard deviation
    stddev sqrt(1 - z / n).

    Any shape with the axis; float dtypes. The array is made on one device and then
    placed.

    Args:
        sparsity: Fraction of zeros, in [0, 1]. (Lasagne's is the fraction of the
            others.)
        stddev: That of the entries that are not 0, finite, >= 0.
        seed: Stream tag: None, an int, a str, or a path of them.
        axis: The axis that the lines lie along. The last, of outputs, is PyTorch's: as
            many zeros from every input. -2 is MLX's: as many to every output.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: An argument out of range; at the call, an axis that the shape does
            not have.
        TypeError: A traced sparsity; a complex, integer or bool dtype.

    References:
        Martens, "Deep learning via Hessian-free optimization", ICML 2010;
        `torch.nn.init.sparse_`.
    """

    sparsity: float = needed(_fraction)
    stddev: Real = checked(0.01, number(least=0))
    seed: Seed = checked(None, stream)
    _: KW_ONLY
    axis: int = checked(-1, integer)

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, stddev=self.stddev * by)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        axis, zeros = self._zeros(shape, dtype)
        stddev = as_number("stddev", self.stddev, samplers.work_dtype(dtype))
        options = (("axis", axis), ("zeros", zeros))
        return Draw(sparse_normal, (stddev,), options, elementwise=False)

    def _is_blockwise(self) -> bool:
        return True

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        axis, zeros = self._zeros(shape, dtype)
        laws = normal_law(0.0, float(self.stddev)), normal_law(0.0, 0.0)
        return mixture_law(laws, (shape[axis] - zeros, zeros))

    def _zeros(self, shape: Shape, dtype: np.dtype[Any]) -> tuple[int, int]:
        """Return the axis and the zeros along it."""
        needs(dtype, "float")
        axis = axis_of(self.axis, shape, "lines")
        return axis, math.ceil(self.sparsity * shape[axis])


def sparse_normal(
    key: jax.Array,
    shape: Shape,
    dtype: Any,
    stddev: jax.Array,
    *,
    axis: int,
    zeros: int,
) -> jax.Array:
    """Normal, but 0 where a random permutation of the line is below `zeros`."""
    first, second = split_in_two(key)
    x = samplers.normal(first, shape, dtype, stddev)
    place = jnp.argsort(random_bits(second, shape, 32), axis=axis)
    return jnp.where(place < zeros, jnp.zeros_like(x), x)
