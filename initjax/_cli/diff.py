"""Say what differs between two checkpoints, or between two plans."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .. import _models as ij
from .._core.tables import Table
from .._rules.plan import TreePlan
from .._rules.saved import law_data
from .._rules.table import PlanRow
from .output import say
from .parser import FOUND, Parser, Wrong
from .reading import is_plan, read_plan, read_tensors

EXAMPLES = """\
initjax diff before.safetensors after.safetensors
initjax diff checkpoint-a/ checkpoint-b/ --json
initjax diff PLAN.json NEW_PLAN.json"""

_FIELDS = "shape", "dtype", "law", "stream"  # what decides a weight, besides its path


def arguments(parser: Parser) -> None:
    """Add what the command takes."""
    both = "a checkpoint, as of initjax check, or a plan of initjax plan --json"
    parser.add_argument("a", metavar="A", help=both)
    parser.add_argument("b", metavar="B", help="the other one, of the same kind")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(given: argparse.Namespace) -> int:
    """Print what differs, and say by the exit code whether anything does."""
    plans = [is_plan(path) for path in (given.a, given.b)]
    if plans[0] != plans[1]:
        kinds = ["a plan" if one else "a checkpoint" for one in plans]
        raise Wrong(
            f"{given.a} is {kinds[0]} and {given.b} {kinds[1]}; give two alike."
        )
    if plans[0]:
        return _plans(read_plan(given.a), read_plan(given.b), given.json)
    found: Any = ij.compare(read_tensors(given.a), read_tensors(given.b))
    if given.json:
        print(found.to_json())
    else:
        say(found)
    return 0 if found.equal else FOUND


def _plans(a: TreePlan, b: TreePlan, as_json: bool) -> int:
    rows = _differing(a, b)
    prints = a.fingerprint, b.fingerprint
    is_equal = prints[0] == prints[1]
    if as_json:
        names = "path", "field", "a", "b"
        listed = [dict(zip(names, row, strict=True)) for row in rows]
        print(json.dumps({"equal": is_equal, "fingerprints": prints, "rows": listed}))
    elif is_equal:
        say(f"the same weights: fingerprint {prints[0][:16]}")
    else:
        say(Table(("path", "field", "a", "b"), rows))
        say(f"fingerprints {prints[0][:16]} and {prints[1][:16]}")
    return 0 if is_equal else FOUND


def _differing(a: TreePlan, b: TreePlan) -> list[tuple[str, str, str, str]]:
    """Return a row for each path that one lacks, and for each field that differs."""
    sides = [{row.path: row for row in plan.rows} for plan in (a, b)]
    rows: list[tuple[str, str, str, str]] = []
    for path in dict.fromkeys([*sides[0], *sides[1]]):
        pair = [side.get(path) for side in sides]
        if None in pair:
            told = ["lacks" if row is None else "has" for row in pair]
            rows.append((path, "-", told[0], told[1]))
            continue
        for field in _FIELDS:
            one, other = [_value(row, field) for row in pair if row]
            if one != other:
                rows.append((path, field, one, other))
    return rows


def _value(row: PlanRow, field: str) -> str:
    value = getattr(row, field)
    if field == "law":
        return json.dumps(law_data(value))
    return value if isinstance(value, str) else "/".join(map(str, value)) or "-"
