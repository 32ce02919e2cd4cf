"""A law with its key: the call form of Keras and Haiku."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax

from .arguments import MISSING, signed


@dataclasses.dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Bound:
    """A law with its key: a function of (shape, dtype)."""

    initializer: Callable[..., jax.Array]
    key: jax.Array

    @property
    def __name__(self) -> Any:
        """The name of the law's class, as functions have one."""
        return type(self.initializer).__name__

    @signed
    def __call__(
        self,
        shape: Sequence[int] = MISSING,
        dtype: Any = None,
        out_sharding: Any = None,
    ) -> jax.Array:
        """Return `initializer(key, shape, dtype, out_sharding)`."""
        return self.initializer(self.key, shape, dtype, out_sharding)
