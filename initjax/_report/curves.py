"""The picture of a propagation. It needs matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .drawing import ACCENT, INK, log_scale, panels
from .propagation import Propagation, PropagationRow, curve_of

Values = Sequence[tuple[PropagationRow, float | None]]


def propagation_picture(found: Propagation) -> Figure:
    """Return a panel of activations and one of gradients, over depth."""
    figure, axes = panels(1, 2, 7.2, 2.9)
    forth = [(r, r.rms if r.is_finite else math.nan) for r in found.rows]
    back = [(r, r.gradient) for r in found.rows]
    own = [(r, r.weight_gradient) for r in found.rows]
    values = [_dots(axes[1], own, "their weights", is_light=True)]
    for ax, of_products in zip(axes, (forth, back), strict=True):
        values.append(_dots(ax, of_products, "products"))
        _line(ax, of_products)
    log_scale(axes[0], values[1])
    log_scale(axes[1], [*values[0], *values[2]])
    pairs = (("activations", found.growth), ("gradients", found.gradient_growth))
    for ax, (name, growth) in zip(axes, pairs, strict=True):
        way = " on the way back" if name == "gradients" else ""
        ax.set_title(
            name if growth is None else f"{name}: x{growth:.3g} per product{way}"
        )
        ax.set_xlabel("depth")
        ax.set_xlim(0.5, max(row.depth for row in found.rows) + 0.5)
    axes[0].set_ylabel("root mean square")
    axes[1].legend(loc="best", handletextpad=0.2)
    return figure


def _dots(axes: Any, values: Values, label: str, is_light: bool = False) -> list[float]:
    """Show values as dots, and return those that a logarithm takes."""
    good = {i: x for i, (_, x) in enumerate(values) if x is not None and _is_good(x)}
    axes.plot(
        [values[i][0].depth for i in good],
        [*good.values()],
        "o",
        label=label,
        color=INK,
        alpha=0.5 if is_light else 0.9,
        markersize=3,
        markeredgewidth=0.6,
        markerfacecolor="none" if is_light else INK,
    )
    return [*good.values()]


def _line(axes: Any, values: Values) -> None:
    """Show the mean over each depth, and which products have no logarithm."""
    curve = {depth: x for depth, x in curve_of(values).items() if _is_good(x)}
    axes.plot([*curve], [*curve.values()], color=INK, linewidth=0.9, alpha=0.6)
    bad = [row.depth for row, x in values if x is not None and not _is_good(x)]
    if bad:
        axes.plot(
            bad,
            [0.03] * len(bad),
            "x",
            label="0 or not finite",
            color=ACCENT,
            markersize=4,
            transform=axes.get_xaxis_transform(),
        )
        axes.legend(loc="best", handletextpad=0.2)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))


def _is_good(x: float) -> bool:
    return 0 < x < math.inf
