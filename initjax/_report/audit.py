"""`report`: what weights are, held to a plan."""

from __future__ import annotations

from typing import Any

from .._rules.plan import TreePlan
from .rows import Report


def report(
    params: Any, plan: TreePlan | None = None, *, singular: bool = False
) -> Report:
    """Return what the weights of a tree are, held to what a plan promised."""
    raise NotImplementedError
