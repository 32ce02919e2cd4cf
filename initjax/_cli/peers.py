"""The initializers of other libraries, by library and name."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from .. import nn, presets
from .._core.initializer import Initializer


def peers() -> dict[str, Any]:
    """Return what makes the laws of other libraries, as "torch.kaiming_normal"."""
    libraries = {name: x for name, x in vars(presets).items() if _is_library(x)}
    libraries["jax"] = nn
    return {
        f"{library}.{name}": make
        for library, module in sorted(libraries.items())
        for name, make in _makers(module)
    }


def _is_library(x: Any) -> bool:
    return isinstance(x, ModuleType) and x.__name__.startswith(f"{presets.__name__}.")


def _makers(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield what a module itself defines, and the laws that it has for its own."""
    for name, x in sorted(vars(module).items()):
        is_law = inspect.isclass(x) and issubclass(x, Initializer)
        is_own = inspect.isfunction(x) and x.__module__ == module.__name__
        if not name.startswith("_") and (is_law or is_own):
            yield name, x


def alike(law: Initializer, shape: tuple[int, ...], dtype: Any) -> list[str]:
    """Return the peers that, called without arguments, promise the same of a shape."""
    promised = law.law(shape, dtype)
    found: list[str] = []
    for name, make in peers().items():
        if inspect.isclass(make) and make is not type(law):
            continue
        try:
            other = make()
            is_same = type(other) is type(law) and other.law(shape, dtype) == promised
        except (TypeError, ValueError):  # it needs arguments, or fills no such shape
            continue
        found += [name] if is_same else []
    return found
