"""Tables, as text and as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape
from typing import NamedTuple


class Table(NamedTuple):
    """A head and rows of text; the columns of `right` are flush right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Collection[int] = ()

    def lines(self) -> list[str]:
        """Return it as lines of text."""
        columns = zip(self.head, *self.rows, strict=True)
        widths = [max(map(len, column)) for column in columns]
        return [
            "  ".join(
                cell.rjust(width) if i in self.right else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in (self.head, *self.rows)
        ]

    def html(self) -> str:
        """Return it as an HTML table that needs nothing else."""
        head = self._row("th", self.head)
        body = "".join(self._row("td", row) for row in self.rows)
        return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"

    def _row(self, tag: str, cells: Sequence[str]) -> str:
        inside = "".join(
            f'<{tag} style="text-align:{"right" if i in self.right else "left"}">'
            f"{escape(cell)}</{tag}>"
            for i, cell in enumerate(cells)
        )
        return f"<tr>{inside}</tr>"


def paragraph(text: str) -> str:
    """Return text as HTML, its lines as they are."""
    return f'<div style="white-space:pre-wrap">{escape(text)}</div>' if text else ""


def code(text: str) -> str:
    """Return Python as HTML."""
    return f"<code>{escape(text)}</code>"


def human_bytes(size: float) -> str:
    """Return a size in the unit that suits it."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB" if size < 1000 else f"{size:,.0f} TB"
