"""What to say of a name that initjax does not have."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from . import nn, presets
from ._core.names import built_in


def no_attribute(name: str, known: Sequence[str]) -> AttributeError:
    """Return the error for `initjax.<name>`, with the names that it may mean."""
    found = _meant(name.rstrip("_")) or difflib.get_close_matches(name, known, n=1)
    way = f"; did you mean {' or '.join(found)}?" if found else ""
    return AttributeError(f"module 'initjax' has no attribute {name!r}{way}")


def _meant(name: str) -> list[str]:
    """Return where a name of JAX, Keras, PyTorch, ... stands."""
    cls: Any = built_in(name)
    found = [] if cls is None else [cls.__name__]
    if name in dir(nn) and hasattr(nn, name):
        found.append(f"nn.{name}")
    if found:
        return found
    libraries = [library for library in dir(presets) if library.islower()]
    return [
        f"presets.{library}.{name}"
        for library in libraries
        if hasattr(getattr(presets, library), name)
    ]
