"""`propagate`: the scale of activations and gradients through depth."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Propagation:
    """What `propagate` measured."""


def propagate(apply: Any, params: Any, x: Any) -> Propagation:
    """Return the scale of activations and gradients through a model's depth."""
    raise NotImplementedError
