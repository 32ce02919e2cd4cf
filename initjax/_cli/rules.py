"""Rules and plans, as several commands take them: from a recipe, or from files."""

from __future__ import annotations

import argparse
import inspect
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from .. import _models as ij
from .. import recipes as module
from .._rules.paths import Tree, read_tree
from .._rules.plan import TreePlan
from .._rules.rules import Rules
from . import parser as kinds
from .parser import Parser, Wrong
from .reading import read_json, read_plan

_KINDS = {"int": int, "int | None": int, "bool": bool}  # as recipes are annotated
_LAYER = re.compile(r"(.*?(?:^|[/_]))(\d+)(?=/|$)")  # "h/0/...", "blocks_0/..."


def recipes() -> dict[str, Callable[..., Rules]]:
    """Return the recipes by name."""
    return {
        name: make
        for name, make in sorted(vars(module).items())
        if inspect.isfunction(make)
        and make.__module__ == module.__name__
        and not name.startswith("_")
    }


def add_rules(parser: Parser, *, plan: bool = False) -> None:
    """Add the arguments that say how a model begins; `plan` takes a plan as well."""
    group = parser.add_mutually_exclusive_group(required=not plan)
    group.add_argument(
        "--recipe", type=kinds.one_of(*recipes()), metavar="NAME",
        help=f"of a published model: {', '.join(recipes())}",
    )  # fmt: skip
    group.add_argument(
        "--rules", metavar="RULES.json", help="what Rules.get_config returns, as JSON"
    )
    if plan:
        group.add_argument(
            "--plan", metavar="PLAN.json", help="what initjax plan --json printed"
        )
    parser.add_argument(
        "--layers", type=kinds.whole, metavar="N",
        help="of the recipe (default: what MODEL says or numbers, if it needs it)",
    )  # fmt: skip
    parser.add_argument(
        "--layout", type=kinds.one_of("io", "oi"), metavar="io|oi",
        help="of matrices: inputs or outputs first (default: what MODEL says, else io)",
    )  # fmt: skip
    parser.add_argument(
        "--set", type=kinds.setting, action="append", default=[], metavar="NAME=VALUE",
        help="another argument of the recipe, such as style=timm",
    )  # fmt: skip


def planned(
    given: argparse.Namespace, tree: Any, said: Mapping[str, Any] | None = None
) -> TreePlan | None:
    """Return the plan of a tree by what was given; None if nothing was.

    Args:
        given: What the command was given.
        tree: Shapes or arrays by path.
        said: Arguments of the recipe that the tree's file says.
    """
    if given.recipe:
        return ij.plan(_by_recipe(given, read_tree(tree), said or {}), tree)
    if told := _told(given):
        raise Wrong(f"{next(iter(told))!r} is of recipes, and no --recipe is given.")
    if given.rules:
        return ij.plan(Rules.from_config(read_json(given.rules)), tree)
    return read_plan(given.plan) if given.plan else None


def _by_recipe(given: argparse.Namespace, tree: Tree, said: Mapping[str, Any]) -> Rules:
    make = recipes()[given.recipe]
    known = inspect.signature(make).parameters
    told = _told(given)
    for name, value in told.items():
        if name not in known:
            raise Wrong(f"recipe {given.recipe} takes {', '.join(known)}, no {name!r}.")
        kind = _KINDS.get(str(known[name].annotation), str)
        if type(value) is not kind:
            raise Wrong(
                f"recipe {given.recipe}: {name} is {kind.__name__}, got {value!r}."
            )
    told = {name: x for name, x in said.items() if name in known} | told
    for name, one in known.items():
        if one.default is one.empty and name not in told:
            told[name] = _derived(given.recipe, name, tree)
    return make(**told)


def _told(given: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of a recipe that were given."""
    own = {"layers": given.layers, "layout": given.layout}
    return {name: x for name, x in own.items() if x is not None} | dict(given.set)


def _derived(recipe: str, name: str, tree: Tree) -> int:
    """Return how many layers the paths of a tree number."""
    found = (_LAYER.match(leaf.name) for leaf in tree.leaves)
    numbered = {(one[1], one[2]) for one in found if one}
    if name != "layers" or not numbered:
        raise Wrong(f"recipe {recipe} needs {name}: --set {name}=N.")
    return max(Counter(stem for stem, _ in numbered).values())
