"""Check the weights in a checkpoint: what they are, held to what was promised."""

from __future__ import annotations

import argparse
from typing import Any

from .. import _models as ij
from .output import say
from .parser import FOUND, Parser
from .reading import read_tensors
from .rules import add_rules, planned

EXAMPLES = """\
initjax check model.safetensors
initjax check checkpoint/ --recipe llama --layout oi
initjax check checkpoint/ --plan PLAN.json --html report.html"""


def arguments(parser: Parser) -> None:
    """Add what the command takes."""
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT",
        help="a safetensors file, an index of several, or the directory of either",
    )  # fmt: skip
    add_rules(parser, plan=True)
    parser.add_argument(
        "--singular", action="store_true", help="also the largest singular values"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the report as JSON")
    form.add_argument("--html", metavar="OUT.html", help="write the report as a page")


def run(given: argparse.Namespace) -> int:
    """Print the report, and say by the exit code whether it found anything."""
    tensors = read_tensors(given.checkpoint)
    found: Any = ij.report(tensors, planned(given, tensors), singular=given.singular)
    if given.json:
        print(found.to_json())
    elif given.html:
        found.to_html(given.html)
        count = len(found.findings)
        say(f"{len(found.rows)} weights, {count} finding{'s' * (count != 1)}")
        say(f"written to {given.html}")
    else:
        say(found)
    return 0 if found.ok else FOUND
