"""`manifest`: a model's parameters as JSON-able data."""

from __future__ import annotations

from typing import Any


def manifest(abstract_tree: Any, *, name: str | None = None) -> dict[str, Any]:
    """Return {"name", "parameters": [{"path", "shape", "dtype"}, ...]}."""
    raise NotImplementedError
