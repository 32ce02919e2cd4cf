"""initjax in linen."""

from __future__ import annotations

from .extras import needs

with needs("linen", "flax", "flax"):
    from flax import linen as nn

__all__: list[str] = []
_ = nn
