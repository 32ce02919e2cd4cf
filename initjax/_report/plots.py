"""Pictures of laws, weights and propagation, in one quiet style."""

from __future__ import annotations

from typing import Any


def plot_law(init: Any, shape: Any, dtype: Any = None) -> Any:
    """Draw a law: its entries, and what it promises."""
    raise NotImplementedError


def plot_params(params: Any) -> Any:
    """Draw the weights of a tree."""
    raise NotImplementedError


def plot_propagation(propagation: Any) -> Any:
    """Draw the scale of activations and gradients through depth."""
    raise NotImplementedError
