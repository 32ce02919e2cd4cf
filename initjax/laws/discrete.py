"""Laws on a few values: Rademacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core.arguments import needs
from .._core.bits import random_bits
from .._core.compile import Draw
from .._core.fields import checked, stream
from .._core.initializer import Initializer
from .._core.promise import Law
from .._core.streams import Seed
from .._registry import named

Shape = tuple[int, ...]


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Rademacher(Initializer):
    """-1 or 1, each with probability 1/2: mean 0, standard deviation 1.

    Entries independent. Any shape; float dtypes.

    Args:
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.

    Raises:
        TypeError: A complex, integer or bool dtype.

    References:
        `jax.random.rademacher`.
    """

    seed: Seed = checked(None, stream)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float")
        return Draw(signs)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float")
        return Law(0.0, 1.0, -1.0, 1.0)


def signs(key: jax.Array, shape: Shape, dtype: Any) -> jax.Array:
    """-1 or 1 by the lowest bit."""
    one = jnp.ones((), dtype)
    return jnp.where(random_bits(key, shape, 32) & 1 == 0, one, -one)
