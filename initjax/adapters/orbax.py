"""initjax in orbax."""

from __future__ import annotations

from .extras import needs

with needs("orbax", "orbax", "orbax"):
    import orbax.checkpoint as ocp

__all__: list[str] = []
_ = ocp
