"""Reports as pages of HTML that need nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._core.page import (
    Column,
    Page,
    bars_cell,
    code_cell,
    found_cell,
    number_cell,
    order_cell,
    path_cell,
    shape_cell,
    word_cell,
    write,
)
from .._errors import Refused
from .terminal import verdict

if TYPE_CHECKING:  # rows call this
    from .rows import Report, ReportRow


def report_page(report: Report) -> str:
    """Return a report as a page, the worst weight first."""
    rows = report.rows
    worst = sorted(enumerate(rows, 1), key=lambda pair: -pair[1].certainty)
    asked = any(row.singular is not None for row in rows)
    table = [*_TABLE, *_SINGULAR * asked]
    return Page(
        "initjax report",
        (verdict(report), report.ok),
        {
            "weights": f"{len(rows):,}",
            "parameters": f"{sum(map(_size, rows)):,}",
            "findings": f"{len(report.findings):,}",
        },
        _PROMISED if any(row.promised for row in rows) else _ALIKE,
        [Column("#", "order"), *(column for column, _ in table)],
        "findings",
        [[order_cell(i), *(cell(row) for _, cell in table)] for i, row in worst],
    ).html()


def written(page: str, path: Any) -> str:
    """Return a page, and write it where a path is given.

    Raises:
        OSError: The file cannot be written.
        TypeError: The path is none.
    """
    try:
        return write(page, path)
    except Refused as refused:
        raise refused.at("Report.to_html") from None


_PROMISED = (
    "What was observed, and beneath it what was promised. z: how many standard errors "
    "the two are apart."
)
_ALIKE = "What was observed. Nothing was promised; a law is the one most alike."


def _size(row: ReportRow) -> int:
    return math.prod(row.shape)


def _details(row: ReportRow) -> str:
    lines = [f"{row.distinct:,} distinct values among {row.sampled:,} entries"]
    for finding in row.findings:
        how = f"{finding.certainty:,.1f} standard errors off"
        sure = "beyond chance" if math.isinf(finding.certainty) else how
        lines.append(f"{finding.kind}: {sure}")
    return "\n".join(lines)


def _observed(name: str, i: int) -> Callable[[ReportRow], str]:
    """Return what shows a number over what was promised in its place."""

    def cell(row: ReportRow) -> str:
        observed: float = getattr(row, name)
        promised = "" if row.promised is None else f"{row.promised[i]:.4g}"
        return number_cell(f"{observed:.4g}", observed, promised)

    return cell


def _z(row: ReportRow) -> str:
    both = (("std", row.z_std), ("mean", row.z_mean))
    known = [(name, z) for name, z in both if z is not None]
    lines = [f"{name} {z:+,.1f}" for name, z in known]
    largest = max((abs(z) for _, z in known), default=None)
    return number_cell("".join(lines[:1]), largest, "".join(lines[1:]))


def _zeros(row: ReportRow) -> str:
    share = f"{row.zeros / _size(row):.3g}" if row.zeros else ""
    return number_cell(f"{row.zeros:,}", row.zeros, share)


def _not_finite(row: ReportRow) -> str:
    return number_cell(f"{row.nans:,}", row.nans + row.infs, f"{row.infs:,}")


def _found(row: ReportRow) -> str:
    lines = [(finding.kind, finding.text) for finding in row.findings]
    return found_cell(lines, row.certainty)


def _histogram(row: ReportRow) -> str:
    says = f"histogram from {row.low:.4g} to {row.high:.4g}"
    return bars_cell(row.histogram, says)


_TABLE: list[tuple[Column, Callable[[ReportRow], str]]] = [
    (Column("path", "path"), lambda row: path_cell(row.path, _details(row))),
    (Column("findings", "found"), _found),
    (Column("histogram", "picture"), _histogram),
    (Column("law", "code"), lambda row: code_cell(row.law or "")),
    (Column("shape", "number"), lambda row: shape_cell(row.shape)),
    (Column("dtype", "word"), lambda row: word_cell(row.dtype)),
    (Column("mean", "number", "promised"), _observed("mean", 0)),
    (Column("std", "number", "promised"), _observed("std", 1)),
    (Column("low", "number", "promised"), _observed("low", 2)),
    (Column("high", "number", "promised"), _observed("high", 3)),
    (Column("z", "number"), _z),
    (Column("zeros", "number", "share"), _zeros),
    (Column("NaN", "number", "infinite"), _not_finite),
]
_SINGULAR: list[tuple[Column, Callable[[ReportRow], str]]] = [
    (
        Column("singular", "number", "largest"),
        lambda row: number_cell(
            "" if row.singular is None else f"{row.singular:.4g}", row.singular
        ),
    )
]
