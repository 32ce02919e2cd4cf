"""initjax in safetensors."""

from __future__ import annotations

from .extras import needs

with needs("safetensors", "safetensors", "safetensors"):
    import safetensors.numpy as files

__all__: list[str] = []
_ = files
