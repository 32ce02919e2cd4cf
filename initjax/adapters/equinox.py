"""initjax in equinox."""

from __future__ import annotations

from .extras import needs

with needs("equinox", "equinox", "equinox"):
    import equinox as eqx

__all__: list[str] = []
_ = eqx
