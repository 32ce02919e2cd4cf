"""A law with its key: the call form of Keras and Haiku."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jax

from .._errors import shown
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

    def get_config(self) -> NoReturn:
        """Refuse: a key is no part of a config.

        Keras asks for one where it saves or copies an initializer.
        """
        law = shown(self.initializer)
        raise TypeError(
            f"{law}.bind(key) holds a key and has no config, so Keras can neither save "
            f"nor copy it; give it initjax.adapters.keras.to_keras({law})."
        )

    @classmethod
    def from_config(cls, config: Any) -> NoReturn:
        """Refuse: there is no config; Keras looks for this before `get_config`."""
        del config
        raise TypeError("a bound law has no config; see get_config.")
