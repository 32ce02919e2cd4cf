"""initjax in haiku."""

from __future__ import annotations

from .extras import needs

with needs("haiku", "haiku", "haiku"):
    import haiku as hk

__all__: list[str] = []
_ = hk
