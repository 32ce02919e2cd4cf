"""The root key of a tree, and the key of every path under it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer
from jax.sharding import NamedSharding, PartitionSpec, Sharding

from .._core.arguments import in_trace
from .._core.bits import THREEFRY
from .._core.placement import resolve
from .._core.streams import MANY_KEYS, Path, as_key, fold_in_rows, fold_in_words
from .._engine.keys import KeyKind, kind_of
from .._engine.placing import bound, on_devices
from .._errors import Refused

_FOLDED_ON_HOST = (THREEFRY, "rbg", "unsafe_rbg")


class Root(NamedTuple):
    """A root key: typed, its kind, and its words where the host can read them."""

    key: jax.Array
    kind: KeyKind
    words: np.ndarray[Any, Any] | None

    @property
    def is_traced(self) -> bool:
        """Whether the caller is inside a traced function."""
        return self.words is None

    @property
    def home(self) -> Sharding | None:
        """Where an array lives that nothing else places, as that of a law would.

        Whole on every device that the key is committed to, or of the mesh in use; None
        is the default device.
        """
        sharding = bound(self.key)
        if isinstance(sharding, NamedSharding):
            return NamedSharding(sharding.mesh, PartitionSpec())
        return sharding or whole()

    def fold_in(self, paths: Sequence[Path]) -> Any:
        """Return the words of every path's key, in one pass where possible."""
        if not paths:
            return []
        if self.words is not None and self.kind.impl in _FOLDED_ON_HOST:
            return fold_in_rows(self.words, paths)
        keys = [fold_in_words(self.key, path) for path in paths]
        return [jax.device_get(jax.random.key_data(key)) for key in keys]

    def keys(self, paths: Sequence[Path]) -> list[jax.Array]:
        """Return the key of every path, typed."""
        if self.is_traced:
            return [fold_in_words(self.key, path) for path in paths]
        return [member.key for member in self.members(paths)]

    def members(self, paths: Sequence[Path]) -> list[Root]:
        """Return the roots of every path's key."""
        rows = [np.asarray(words) for words in self.fold_in(paths)]
        put = jax.device_put(rows, self.home)
        keys = [jax.random.wrap_key_data(x, impl=self.kind.impl) for x in put]
        return [
            Root(key, self.kind, words) for key, words in zip(keys, rows, strict=True)
        ]


def whole() -> Sharding | None:
    """Return where an array lives whole that no key places: on the mesh in use."""
    if jax.sharding.get_abstract_mesh().empty:
        return None
    return on_devices(resolve(PartitionSpec(), ()).sharding)


def usual_kind() -> KeyKind:
    """Return the generator of the keys that `jax.random.key` makes."""
    return kind_of(jax.eval_shape(lambda: jax.random.key(0)).dtype)


def root_of(key: Any, if_many: str = MANY_KEYS) -> Root:
    """Return a root, or refuse what is no single key, a batch with its way out."""
    typed = as_key(key, if_many)
    kind = kind_of(typed.dtype)
    if in_trace() or isinstance(key, Tracer):
        return Root(typed, kind, None)
    if not typed.is_fully_addressable and not typed.is_fully_replicated:
        raise Refused("the key is spread over several processes; give each the whole.")
    return Root(typed, kind, jax.device_get(jax.random.key_data(typed)))
