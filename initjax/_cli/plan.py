"""Plan which law each parameter of a model gets; nothing is allocated."""

from __future__ import annotations

import argparse
from typing import Any

from .._rules.table import rows_table, rules_table
from . import parser as kinds
from .output import say
from .parser import Parser
from .reading import read_model
from .rules import add_rules, planned

EXAMPLES = """\
initjax plan config.json --recipe llama
initjax plan MODEL.json --recipe gpt2 --explain transformer.h.0.attn.c_proj.weight
initjax plan MODEL.json --rules RULES.json --json > PLAN.json"""


def add_model(parser: Parser) -> None:
    """Add the model and how it begins."""
    parser.add_argument(
        "model", metavar="MODEL.json",
        help="a manifest, as ij.manifest makes it, or a Hugging Face config.json",
    )  # fmt: skip
    add_rules(parser)
    parser.add_argument(
        "--dtype", type=kinds.dtype, help="of all float parameters, like bfloat16"
    )


def plan_of(given: argparse.Namespace) -> Any:
    """Return the plan of the model that was given."""
    model = read_model(given.model, given.dtype, given.recipe)
    return planned(given, model.tree, model.arguments)


def arguments(parser: Parser) -> None:
    """Add what the command takes."""
    add_model(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--explain", metavar="PATH", help="say why one parameter gets it")
    form.add_argument("--json", action="store_true", help="print the plan as JSON")
    form.add_argument("--html", metavar="OUT.html", help="write the plan as a page")


def run(given: argparse.Namespace) -> int:
    """Print the plan in the form that was asked for."""
    plan = plan_of(given)
    if given.explain is not None:
        say(plan.explain(given.explain))
    elif given.json:
        print(plan.to_json())
    elif given.html:
        plan.to_html(given.html)
        say(plan._sum, f"written to {given.html}")
    else:
        say(rows_table(plan.rows), "", rules_table(plan.rows), plan._sum)
    return 0
