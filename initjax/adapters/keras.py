"""initjax in keras."""

from __future__ import annotations

from .extras import needs

with needs("keras", "keras", "keras"):
    import keras

__all__: list[str] = []
_ = keras
