"""List the laws, recipes or presets that there are."""

from __future__ import annotations

import argparse
import inspect
from typing import Any

from .._core.names import BUILT_IN, HIDDEN, LATE
from .._core.tables import Table
from .output import say
from .parser import Parser, Wrong, one_of
from .peers import peers

EXAMPLES = "initjax list --search orthogonal\ninitjax list recipes"


def arguments(parser: Parser) -> None:
    """Add what the command takes."""
    parser.add_argument(
        "what", nargs="?", default="laws", type=one_of(*_TABLES), metavar="WHAT",
        help="laws (as without it), recipes, or presets: other libraries' initializers",
    )  # fmt: skip
    parser.add_argument(
        "--search", default="", metavar="TEXT", help="only lines that have this text"
    )


def run(given: argparse.Namespace) -> int:
    """Print a table."""
    table = _TABLES[given.what]()
    text = given.search.lower()
    rows = [row for row in table.rows if any(text in cell.lower() for cell in row)]
    if not rows:
        raise Wrong(f"no line of {given.what} has the text {given.search!r}.")
    say(table._replace(rows=rows))
    return 0


def _laws() -> Table:
    for load in LATE:
        load()
    names: dict[Any, list[str]] = {}
    for name, law in BUILT_IN.items():
        if name not in HIDDEN and not name.endswith("V2"):  # as Keras 2 has them
            names.setdefault(law, []).append(name)
    rows = [(all[0], ", ".join(all[1:]), _meaning(law)) for law, all in names.items()]
    return Table(("law", "other names", "what it is"), sorted(rows))


def _recipes() -> Table:
    from .rules import recipes

    rows = [
        (name, ", ".join(inspect.signature(make).parameters), _meaning(make))
        for name, make in recipes().items()
    ]
    return Table(("recipe", "arguments", "what it is"), rows)


def _presets() -> Table:
    rows = [(name, _meaning(make)) for name, make in peers().items()]
    return Table(("preset", "what it is"), rows)


def _meaning(x: Any) -> str:
    """Return the first line of its documentation."""
    return inspect.cleandoc(x.__doc__ or "").partition("\n")[0].removeprefix("Return ")


_TABLES = {"laws": _laws, "recipes": _recipes, "presets": _presets}
