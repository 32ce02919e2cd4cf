"""A report as text, as a table in colour, for notebooks, as JSON."""

from __future__ import annotations

import collections
import dataclasses
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._core.tables import Table, paragraph
from .._rules.table import grouped, shared, starred

if TYPE_CHECKING:
    from .rows import Report, ReportRow

_HEAD = (
    *("weights", "path", "shape", "dtype", "law", "promised", "std", "z"),
    *("low", "high", "finding"),
)
_NARROW = ("path", "promised", "std", "z", "finding")
_WIDE = 140  # columns of a terminal that show all of them
_RIGHT = (0, 5, 6, 7, 8, 9)


def verdict(report: Report) -> str:
    """Return one line of what is wrong."""
    rows = report.rows
    total = sum(math.prod(row.shape) for row in rows)
    wrong = [row for row in rows if row.findings]
    if not wrong:
        return f"{_weights(len(rows))}, {total:,} parameters: nothing is wrong"
    kinds = collections.Counter(f.kind for row in wrong for f in row.findings)
    counts = ", ".join(f"{kind} {many}" for kind, many in kinds.most_common())
    are = "is" if len(wrong) == 1 else "are"
    return f"{len(wrong)} of {_weights(len(rows))} {are} wrong: {counts}"


def as_text(report: Report) -> str:
    """Return the table and the verdict."""
    return "\n".join([*_table(report).lines(), verdict(report)])


def as_html(report: Report) -> str:
    """Return the same as HTML."""
    return _table(report).html() + paragraph(verdict(report))


def as_json(report: Report) -> str:
    """Return all rows as JSON."""
    rows = [_plain(dataclasses.asdict(row)) for row in report.rows]
    return json.dumps({"ok": report.ok, "rows": rows}, allow_nan=False)


def show(report: Report) -> None:
    """Print the table in colour."""
    try:
        from rich.console import Console  # an extra, so imported where it is used
        from rich.table import Table as RichTable
        from rich.text import Text
    except ImportError:
        raise ImportError(
            "Report.show draws its table with rich; pip install 'initjax[report]'"
        ) from None
    console = Console()
    names = [name for name in _HEAD if console.width >= _WIDE or name in _NARROW]
    names = names[: -1 if report.ok else None]
    table = RichTable(box=None, pad_edge=False)
    for name in names:
        side = "right" if _HEAD.index(name) in _RIGHT else "left"
        style = "red" if name == "finding" else ""
        wraps = name in ("path", "law", "finding")
        table.add_column(
            name, justify=side, style=style, overflow="fold", no_wrap=not wraps
        )
    for line in _table(report).rows:
        cells = dict(zip(_HEAD, line, strict=True))
        table.add_row(*(Text(cells[name]) for name in names))
    console.print(table)
    console.print(Text(verdict(report), "green" if report.ok else "bold red"))


def _table(report: Report) -> Table:
    """Return a line for each weight, one for those alike, the worst first."""
    groups = grouped(report.rows, _alike)
    groups.sort(key=lambda rows: -max(row.certainty for row in rows))
    lines = [line for rows in groups for line in _lines(rows)]
    return Table(_HEAD, lines, right=_RIGHT)


def _alike(row: ReportRow) -> Any:
    kinds = tuple(finding.kind for finding in row.findings)
    name = row.law if row.promised or row.law is None else row.law.partition(",")[0]
    return starred(row.path), row.shape, row.dtype, name, kinds


def _lines(rows: Sequence[ReportRow]) -> list[tuple[str, ...]]:
    """Return the line of the worst of some rows, and one for each more finding."""
    worst = max(rows, key=lambda row: (row.certainty, _z(row) or 0))
    path = shared([row.path for row in rows])
    texts = [f"{finding.kind}: {finding.text}" for finding in worst.findings]
    if texts and len(rows) > 1:
        texts[0] = f"{worst.path}: {texts[0]}"
    z = _z(worst)
    line = (
        str(len(rows)),
        path,
        "x".join(map(str, worst.shape)) or "-",
        worst.dtype,
        worst.law or "?",
        _number(worst.promised[1] if worst.promised else None),
        _number(worst.std),
        "-" if z is None else f"{z:.1f}",
        _number(worst.low),
        _number(worst.high),
        texts[0] if texts else "",
    )
    return [line, *((*("",) * (len(line) - 1), text) for text in texts[1:])]


def _z(row: ReportRow) -> float | None:
    """Return the greater of a row's z, without a sign."""
    known = [abs(z) for z in (row.z_mean, row.z_std) if z is not None]
    return max(known, default=None)


def _number(x: float | None) -> str:
    return "-" if x is None or math.isnan(x) else f"{x:.4g}"


def _weights(many: int) -> str:
    return f"{many:,} weight{'s' * (many != 1)}"


def _plain(x: Any) -> Any:
    """Return data with words for the numbers that JSON lacks."""
    if isinstance(x, dict):
        return {name: _plain(item) for name, item in x.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(x, (tuple, list)):
        return [_plain(item) for item in x]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(x, float) and not math.isfinite(x):
        return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"
    return x
