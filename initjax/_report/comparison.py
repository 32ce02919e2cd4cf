"""What `compare` finds: a row for each path, and how they are shown."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from typing import Any, TypeGuard

from .._core.tables import Table, paragraph

_LONGEST = 60  # rows that are printed


@dataclasses.dataclass(frozen=True)
class ComparisonRow:
    """What two trees have under one path; numbers are None where shapes differ.

    Attributes:
        path: The path.
        a: What the first tree has there, "float32[3x4]"; None if it has nothing.
        b: The same of the second tree.
        equal: Whether both are the same: dtype, shape and bits.
        size: How many entries each has.
        differing: How many of them have other bits; of two dtypes, other values.
        largest: The largest |a - b|; inf where an entry that differs is not finite.
        relative: The root mean square of a - b over that of a, of entries finite in
            both, as the next two.
        correlation: None where one of them is constant.
        ulps: The largest distance in units in the last place, of floats of one dtype;
            1 is the next number.
        twin: Another path, under which the other tree has the same bits: b those of a;
            for what b alone has, a those of b.
    """

    path: str
    a: str | None
    b: str | None
    equal: bool = False
    size: int | None = None
    differing: int | None = None
    largest: float | None = None
    relative: float | None = None
    correlation: float | None = None
    ulps: int | None = None
    twin: str | None = None

    @property
    def status(self) -> str:
        """A word or two for it: "equal", "renamed", "only in a", "different", ..."""
        if self.a is None or self.b is None:
            missing = "only in b" if self.a is None else "only in a"
            return "renamed" if self.twin else missing
        if self.equal:
            return "equal"
        if self.size is None:
            return "other shape" if "[" in self.a + self.b else "other object"
        return "different" if self.a == self.b else "other dtype"


@dataclasses.dataclass(frozen=True, repr=False)
class Comparison:
    """What `compare` found; `print` shows what differs, the most different first.

    Attributes:
        rows: One for each path, in the order of the first tree.
    """

    rows: tuple[ComparisonRow, ...]

    @property
    def equal(self) -> bool:
        """Whether paths, shapes, dtypes and all bits are the same."""
        return all(row.equal for row in self.rows)

    @property
    def differences(self) -> tuple[ComparisonRow, ...]:
        """The rows that are not equal: first those without numbers, then the worst."""
        return tuple(sorted((r for r in self.rows if not r.equal), key=_order))

    def to_json(self) -> str:
        """Return all rows as JSON; infinity is the str "inf"."""
        rows = [
            {
                name: "inf" if value == math.inf else value
                for name, value in dataclasses.asdict(row).items()
            }
            | {"status": row.status}
            for row in self.rows
        ]
        return json.dumps({"equal": self.equal, "rows": rows}, allow_nan=False)

    def __repr__(self) -> str:
        """Show the totals."""
        return f"<Comparison of {self._sum}>"

    def __str__(self) -> str:
        """Return a table of what differs, and the totals."""
        return "\n".join([*(self._table.lines() if not self.equal else []), self._sum])

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        return ("" if self.equal else self._table.html()) + paragraph(self._sum)

    @property
    def _sum(self) -> str:
        rows = [row for row in self.rows if not (row.a is None and row.twin)]
        counts = Counter(row.status for row in rows)
        each = ", ".join(f"{n:,} {status}" for status, n in counts.items())
        return f"{len(rows):,} path{'s' * (len(rows) != 1)}: {each or 'nothing'}"

    @property
    def _table(self) -> Table:
        head = (
            *("path", "a", "b", "entries differ", "largest", "relative rms"),
            *("correlation", "ulps", "note"),
        )
        shown = [r for r in self.differences if not (r.a is None and r.twin)]
        rows = [_cells(row) for row in shown[:_LONGEST]]
        if hidden := len(shown) - len(rows):
            rows.append((f"and {hidden:,} more", *[""] * (len(head) - 1)))
        return Table(head, rows, right=range(3, 8))


def _order(row: ComparisonRow) -> tuple[bool, float]:
    return row.relative is not None, -(row.relative or 0.0)


def _cells(row: ComparisonRow) -> tuple[str, ...]:
    note = row.status if row.status != "different" else ""
    if row.twin:
        note = f"{note}{'; ' * bool(note)}b has a's as {row.twin}"
    differ = ""
    if row.differing is not None and row.size:
        differ = f"{row.differing:,} of {row.size:,}"
    return (
        row.path,
        row.a or "-",
        row.b or "-",
        differ,
        *("" if x is None else f"{x:.3g}" for x in (row.largest, row.relative)),
        "" if row.correlation is None else f"{row.correlation:.4f}",
        "" if row.ulps is None else f"{row.ulps:.4g}",
        note,
    )


def is_array(x: Any) -> TypeGuard[Any]:
    """Tell whether a leaf has entries."""
    return hasattr(x, "shape") and hasattr(x, "dtype")


def kind_of(x: Any) -> str:
    """Return what a leaf is as text: dtype and shape, or a type."""
    if is_array(x):
        return f"{x.dtype}[{'x'.join(map(str, x.shape))}]"
    return type(x).__name__
