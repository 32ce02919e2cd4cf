"""initjax in nnx."""

from __future__ import annotations

from .extras import needs

with needs("nnx", "flax", "flax"):
    from flax import nnx

__all__: list[str] = []
_ = nnx
