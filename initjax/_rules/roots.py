"""The root key of a tree, and the key of every path under it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from .._core.arguments import in_trace
from .._core.bits import THREEFRY
from .._core.streams import Path, as_key, fold_in_rows, fold_in_words
from .._engine.keys import KeyKind, kind_of
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

    def fold_in(self, paths: Sequence[Path]) -> Any:
        """Return the words of every path's key, in one pass where possible."""
        if not paths:
            return []
        if self.words is not None and self.kind.impl in _FOLDED_ON_HOST:
            return fold_in_rows(self.words, paths)
        return [jax.random.key_data(fold_in_words(self.key, path)) for path in paths]


def root_of(key: Any) -> Root:
    """Return a root, or refuse what is no single key."""
    typed = as_key(key)
    kind = kind_of(typed.dtype)
    if in_trace() or isinstance(key, Tracer):
        return Root(typed, kind, None)
    if not typed.is_fully_addressable and not typed.is_fully_replicated:
        raise Refused("the key is spread over several processes; give each the whole.")
    return Root(typed, kind, np.asarray(jax.random.key_data(typed)))
