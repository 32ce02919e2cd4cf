"""What `propagate` measures: a row for each product, and what comes of depth."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .._core.tables import Table, paragraph

_FAR = 1000.0  # times the scale at the start, or a part of it
_LONGEST = 60  # rows that are printed


@dataclasses.dataclass(frozen=True)
class PropagationRow:
    """One product with a weight.

    Attributes:
        path: The weight's path; a turn of a loop has its number, "layers/kernel[3]".
        depth: How many products the data has been through, this one included.
        by: What computes it: "dot_general", "conv_general_dilated", "gather", ...
        shape: The product's shape.
        dtype: Its dtype.
        rms: The root mean square of its finite entries, NaN if there are none.
        mean: Their mean; of complex ones its modulus.
        zeros: The share of the entries that the weight meets, the activations before,
            that are 0; None where these are no real numbers.
        saturated: The share of them that are not 0 and within 1 % of their range from
            the smallest or the largest; 0.02 if they are uniform.
        nans: How many entries of the product are NaN.
        infs: How many are infinite.
        gradient: The root mean square of the loss's gradient with respect to the
            product; NaN where an entry is not finite, None if it is of integers.
        weight_gradient: The same with respect to the weight, as it is used here.
    """

    path: str
    depth: int
    by: str
    shape: tuple[int, ...]
    dtype: str
    rms: float
    mean: float
    zeros: float | None
    saturated: float | None
    nans: int
    infs: int
    gradient: float | None
    weight_gradient: float | None

    @property
    def is_finite(self) -> bool:
        """Whether all entries of the product are."""
        return not self.nans + self.infs


Valued = tuple[PropagationRow, float | None]


@dataclasses.dataclass(frozen=True, repr=False)
class Propagation:
    """The scale of activations and gradients through depth; `print` shows a table.

    Attributes:
        rows: One for each product, in order of depth.
        gradients: The root mean square of the gradient of each weight, biases included,
            by its path; NaN where an entry is not finite.
    """

    rows: tuple[PropagationRow, ...]
    gradients: dict[str, float]

    @property
    def growth(self) -> float | None:
        """By what activations are multiplied from depth to depth.

        A line is fitted to the logarithm of their root mean square over all products
        of a depth. None with less than two depths.
        """
        return _growth(curve_of((row, row.rms) for row in self.rows))

    @property
    def gradient_growth(self) -> float | None:
        """By what gradients are multiplied from depth to depth, on the way back."""
        growth = _growth(curve_of((row, row.gradient) for row in self.rows))
        return None if growth is None else 1 / growth

    @property
    def verdict(self) -> str:
        """Whether activations and gradients keep their scale, and where they do not.

        They explode where their root mean square over a depth is 1000 times that of
        their first depth, gradients coming from the last; vanish at a thousandth.
        """
        forth = [(row, row.rms if row.is_finite else math.nan) for row in self.rows]
        back = [(row, row.gradient) for row in self.rows[::-1]]
        lines = [
            f"activations: {_trend(forth, self.growth)}",
            f"gradients: {_trend(back, self.gradient_growth)}",
        ]
        still = [path for path, rms in self.gradients.items() if rms == 0]
        if still:
            lines.append(f"no gradient: {_listed(still)}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return all of it as JSON; what is NaN is null."""
        return json.dumps(
            {
                "growth": self.growth,
                "gradient_growth": self.gradient_growth,
                "verdict": self.verdict.splitlines(),
                "rows": [_finite(dataclasses.asdict(row)) for row in self.rows],
                "gradients": _finite(self.gradients),
            },
            allow_nan=False,
        )

    def __repr__(self) -> str:
        """Show the totals."""
        return (
            f"<Propagation of {len(self.rows)} products, depth {self.rows[-1].depth}>"
        )

    def __str__(self) -> str:
        """Return the table, the middle of a long one left out, and the verdict."""
        return "\n".join([*self._table.lines(), "", self.verdict])

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        return self._table.html() + paragraph(self.verdict)

    @property
    def _table(self) -> Table:
        head = (
            *("depth", "weight", "product", "rms", "mean", "zeros in", "saturated in"),
            *("not finite", "gradient", "of the weight"),
        )
        rows = [_cells(row) for row in self.rows]
        if (hidden := len(rows) - _LONGEST) > 0:
            half = _LONGEST // 2
            rows[half:-half] = [("...", f"{hidden} more", *[""] * (len(head) - 2))]
        return Table(head, rows, right=(0, *range(3, len(head))))


def _cells(row: PropagationRow) -> tuple[str, ...]:
    wild = row.nans + row.infs
    return (
        str(row.depth),
        row.path,
        f"{row.dtype}[{'x'.join(map(str, row.shape))}]",
        f"{row.rms:.3g}",
        f"{row.mean:.2g}",
        *("-" if x is None else f"{x:.0%}" for x in (row.zeros, row.saturated)),
        f"{wild:,}" if wild else "",
        *(
            "-" if x is None else f"{x:.3g}"
            for x in (row.gradient, row.weight_gradient)
        ),
    )


def curve_of(values: Iterable[Valued]) -> dict[int, float]:
    """Return the quadratic mean of a value over the products of each depth."""
    by_depth: dict[int, list[float]] = {}
    for row, value in values:
        if value is not None:
            by_depth.setdefault(row.depth, []).append(value)
    return {
        depth: math.hypot(*some) / math.sqrt(len(some))
        for depth, some in by_depth.items()
    }


def _growth(curve: dict[int, float]) -> float | None:
    """Return the factor a depth, by least squares of logarithms."""
    known = {depth: math.log(x) for depth, x in curve.items() if 0 < x < math.inf}
    if len(known) < 2:
        return None
    slope, _ = np.polyfit([*known], [*known.values()], 1)
    return math.exp(float(slope))


def _trend(values: Sequence[Valued], growth: float | None) -> str:
    """Return how a value goes through rows, in the order in which it is computed."""
    curve = curve_of(values)
    known = [(depth, x) for depth, x in curve.items() if x > 0] or [(0, 0.0)]
    (first, start), (last, end) = known[0], known[-1]
    said = [] if growth is None else [f"x{growth:.3g} per product"]
    if start:
        said.append(f"{start:.3g} at depth {first}, {end:.3g} at {last}")
    events: dict[str, str] = {}  # where each kind is first
    for row, value in values:
        if value is not None and (kind := _kind(value, curve[row.depth], start)):
            events.setdefault(kind, f"{kind} at {row.path!r} (depth {row.depth})")
    return "; ".join([*said, ", ".join(events.values()) or "steady"])


def _kind(value: float, over_depth: float, start: float) -> str | None:
    """Return what a value is that it should not be."""
    if math.isnan(value):
        return "not finite"
    if over_depth == 0:
        return "0"
    if over_depth > start * _FAR:
        return "explode"
    return "vanish" if over_depth < start / _FAR else None


def _listed(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    def is_nan(x: Any) -> bool:
        return isinstance(x, float) and math.isnan(x)

    return {name: None if is_nan(x) else x for name, x in values.items()}
