"""What commands print: plain and stable in files and pipes, by rich in a terminal."""

from __future__ import annotations

import os
import sys
from typing import Any

from .._core.tables import Table

_NARROW = 16  # columns that a narrow terminal does not break


def say(*things: Any) -> None:
    """Print tables, texts and reports one below the other.

    In a terminal rich draws them where it is installed, unless NO_COLOR is set.
    """
    console = terminal()
    for thing in things:
        if isinstance(thing, Table):
            table = _printable(thing)
            if console is None:
                print(*table.lines(), sep="\n")
            else:
                console.print(_rich(table))
        elif console is None:
            print(printable(str(thing)))
        elif hasattr(thing, "__rich__") or hasattr(thing, "__rich_console__"):
            console.print(thing)
        else:
            console.print(
                printable(str(thing)), markup=False, highlight=False, soft_wrap=True
            )


def printable(text: str) -> str:
    """Return text whose lines hold nothing that a terminal would obey."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def _printable(table: Table) -> Table:
    rows = [
        [printable(cell).replace("\n", "\\n") for cell in row] for row in table.rows
    ]
    return table._replace(rows=rows)


def terminal() -> Any:
    """Return rich's console, or None where output is plain."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return None
    try:
        from rich.console import Console  # an extra, so imported where it is used
    except ImportError:
        return None
    return Console()


def _rich(table: Table) -> Any:
    from rich.table import Table as Drawn
    from rich.text import Text

    drawn = Drawn(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    columns = zip(table.head, *table.rows, strict=True)
    for i, (name, *cells) in enumerate(columns):
        drawn.add_column(
            name,
            justify="right" if i in table.right else "left",
            no_wrap=max(map(len, cells), default=0) <= _NARROW,
        )
    for row in table.rows:
        drawn.add_row(*(Text(cell, overflow="fold") for cell in row))
    return drawn
