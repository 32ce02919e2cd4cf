"""How pictures look: colours, figures, histograms, matrices. It needs matplotlib."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from .._core.promise import Law

INK, ACCENT, MAP = "#30405a", "#d1495b", "RdBu_r"
STYLE: Any = {
    **{"font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "legend.fontsize": 7},
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": INK},
    **{"axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6},
    **{"xtick.labelsize": 7, "ytick.labelsize": 7, "legend.frameon": False},
    **{"axes.titlelocation": "left", "text.parse_math": False},
}
_BINS = 61  # odd, so that the middle is no edge
_TAIL = 0.002  # of the entries, at either end, that a histogram leaves out


class Picture(Figure):
    """A figure that notebooks show, whatever the backend."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, dpi=144)
        return file.getvalue()


def panels(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    """Return a figure, and its panels row by row; sizes are in inches."""
    figure = Picture(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False).ravel()


def histogram(
    axes: Any, x: np.ndarray[Any, Any], law: Law | None, marks: Sequence[float] = ()
) -> None:
    """Show how entries are spread, and the density that a law promises.

    Args:
        axes: Where.
        x: The entries; of complex ones the modulus is shown.
        law: What they promise, or None.
        marks: Values that are to be in the picture, marked.
    """
    dtype, x = x.dtype, x.ravel()
    x = (np.abs(x) if np.iscomplexobj(x) else x).astype(np.float64)
    x = x[np.isfinite(x)]
    if not x.size:
        axes.text(0.5, 0.5, "nothing finite", ha="center", transform=axes.transAxes)
        return
    low, high = np.quantile(x, [_TAIL, 1 - _TAIL])
    low, high = min(low, *marks, low), max(high, *marks, high)
    pad = 0.15 * (high - low) or 0.5 * abs(low) or 1.0
    edges = _between(np.linspace(low - pad, high + pad, _BINS + 1), dtype)
    widths = np.diff(edges)
    counts, _ = np.histogram(x, edges)
    axes.stairs(
        counts / x.size / widths, edges, fill=True, color=INK, alpha=0.45, label="drawn"
    )
    if law is not None and law.cdf is not None:
        density = np.diff(law.cdf(edges)) / widths
        axes.stairs(density, edges, color=ACCENT, linewidth=1.2, label="promised")
    for mark in marks:
        axes.axvline(mark, color=ACCENT, linewidth=0.9, linestyle=(0, (3, 2)))
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)


def _between(edges: np.ndarray[Any, Any], dtype: Any) -> np.ndarray[Any, Any]:
    """Move edges of bins to where rounding to a coarse dtype turns.

    What is drawn in a bin is then what the law has in it before rounding.
    """
    if not jnp.issubdtype(dtype, jnp.floating) or dtype.itemsize > 2:
        return edges
    most = float(jnp.finfo(dtype).max)
    below = np.clip(edges, -most, most).astype(dtype)
    above = np.nextafter(below, np.full_like(below, most))
    return np.unique((below.astype(np.float64) + above.astype(np.float64)) / 2)


def image(axes: Any, x: np.ndarray[Any, Any], law: Law | None = None) -> None:
    """Show a matrix as a picture, kernels filter by filter; 0 is white."""
    del law
    x = tiled(np.real(x).astype(np.float64))
    top = float(np.abs(x).max(initial=0)) or 1.0
    axes.imshow(
        x, cmap=MAP, vmin=-top, vmax=top, interpolation="nearest", aspect="auto"
    )


def tiled(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a weight as one picture, a kernel (..., in, out) filter by filter."""
    if x.ndim <= 2:
        return np.atleast_2d(x)
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim > 4 or max(x.shape[:2]) > 32:  # no window
        return x.reshape(-1, x.shape[-1])
    h, w, i, o = x.shape
    count = i * o
    wide = math.ceil(math.sqrt(count))
    tall = math.ceil(count / wide)
    sheet = np.zeros((tall * (h + 1) - 1, wide * (w + 1) - 1))
    for n, one in enumerate(x.reshape(h, w, count).transpose(2, 0, 1)):
        a, b = (n // wide) * (h + 1), (n % wide) * (w + 1)
        sheet[a : a + h, b : b + w] = one
    return sheet


def few_ticks(axes: Any, most: int = 5) -> None:
    """Leave room between the numbers of the horizontal axis, and none beside."""
    axes.xaxis.set_major_locator(MaxNLocator(most, min_n_ticks=1))
    axes.yaxis.set_major_locator(NullLocator())


def log_scale(axes: Any, values: Sequence[float]) -> None:
    """Give the vertical axis a logarithmic scale around values, a decade at least."""
    low, high = min(values, default=1.0), max(values, default=1.0)
    spare = max(2.0, (high / low) ** 0.08, math.sqrt(10 / (high / low)))
    is_narrow = high / low * spare**2 < 100
    axes.set_yscale("log")
    axes.set_ylim(low / spare, high * spare)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if is_narrow else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
    if is_narrow:
        axes.yaxis.set_major_formatter("{x:g}")
