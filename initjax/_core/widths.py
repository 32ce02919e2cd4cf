"""64-bit mode of one thread, under the names of every JAX."""

from __future__ import annotations

import contextlib
from typing import Any

import jax


def width(wide: bool) -> contextlib.AbstractContextManager[Any]:
    """Hold values of 64 bits in this thread, or do not: it has flags of its own."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(wide)
    from jax import experimental  # before jax 0.8

    return experimental.enable_x64(wide)  # type: ignore[attr-defined]
