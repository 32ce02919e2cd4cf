"""`write_checkpoint`: sharded safetensors files from a plan, in bounded memory."""

from __future__ import annotations

import os
from typing import Any

from .._rules.plan import TreePlan


def write_checkpoint(
    plan: TreePlan,
    key: Any,
    directory: str | os.PathLike[str],
    *,
    file_bytes: int = 5_000_000_000,
    rank: int = 0,
    count: int = 1,
    progress: bool | None = None,
) -> Any:
    """Fill a checkpoint of sharded safetensors files by a plan."""
    raise NotImplementedError
