"""Types for annotations: what initjax takes, and what it gives.

    from initjax.typing import InitFn, Key

    def dense(key: Key, init: InitFn = initjax.HeNormal()) -> jax.Array: ...

Laws are `InitFn`s, and so are functions of `jax.nn.initializers`, of Flax and of one's
own. What they return is a `jax.Array`, so jaxtyping's `Float[Array, "in out"]` fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from re import Pattern
from typing import Any, Protocol

import jax
from jax.typing import DTypeLike as DTypeLike

from ._core.initializer import Initializer
from ._core.streams import Seed as Seed
from ._fans.declaration import Declaration

__all__ = [
    "BoundInitFn",
    "DTypeLike",
    "FanLike",
    "InitFn",
    "InitLike",
    "Key",
    "PatternLike",
    "Seed",
    "Shape",
]

Key = jax.Array
"""A PRNG key, typed (`jax.random.key`) or raw (`jax.random.PRNGKey`)."""

Shape = Sequence[int]
"""Sizes."""


class InitFn(Protocol):
    """A function of (key, shape, dtype) that returns an array."""

    def __call__(self, key: Key, shape: Any, dtype: Any = ..., /) -> jax.Array:
        """Return an array of this shape and dtype."""
        ...


class BoundInitFn(Protocol):
    """A function of (shape, dtype): the call of Keras and Haiku, and of `law.bind`."""

    def __call__(self, shape: Any, dtype: Any = ..., /) -> jax.Array:
        """Return an array of this shape and dtype."""
        ...


InitLike = InitFn | Initializer | type[Initializer] | str | Mapping[str, Any]
"""What `get` and rules take: a law, its class, a name, a config, a function."""

FanLike = Declaration | str | int | float | tuple[float, float] | None
"""What `fan=` takes."""

PatternLike = str | Pattern[str] | Callable[[str, tuple[int, ...], Any], bool] | type
"""What a rule's pattern may be."""
