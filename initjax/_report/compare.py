"""`compare`: what differs between two trees of weights, and by how much."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What `compare` found."""


def compare(params_a: Any, params_b: Any) -> Comparison:
    """Return what differs between two trees of weights."""
    raise NotImplementedError
