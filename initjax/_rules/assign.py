"""Which rule makes which leaf, or what is wrong with the rules."""

from __future__ import annotations

import contextlib
import difflib
import warnings
from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from .._core.initializer import Initializer
from .._core.streams import path_of
from .._errors import Refused
from .neighbours import Neighbours
from .paths import Leaf, Path
from .patterns import chooser
from .rules import Rule, Rules, Spec
from .table import shared, starred
from .told import Told

_SHOWN = 10  # leaves and rules that an error lists


class Assigned(NamedTuple):
    """A leaf and what makes it.

    Attributes:
        leaf: The leaf.
        rule: The number of the rule, or None for the default.
        spec: What the rule gives.
        law: The initializer, a law or a function.
        dtype: What the leaf is made in.
        stream: The path that its key comes from.
    """

    leaf: Leaf
    rule: int | None
    spec: Spec
    law: Any
    dtype: Any
    stream: Path


def assign(
    rules: Rules, leaves: Sequence[Leaf], chosen: Sequence[Leaf]
) -> list[Assigned]:
    """Return what makes every chosen leaf; rules are checked against all of them."""
    if not isinstance(rules, Rules):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass lists
        kind = type(rules).__name__
        raise Refused(f"rules must be Rules([...]), got {kind}.", TypeError)
    choosers = [chooser(rule.pattern) for rule in rules.rules]
    first: dict[int, int | None] = {
        leaf.place: next((i for i, c in enumerate(choosers) if c(leaf)), None)
        for leaf in leaves
    }
    needed = {leaf.place for leaf in chosen}
    _check_coverage(rules, leaves, first, needed)
    specs = {number: _spec(rules, number) for number in set(first.values())}
    laws = {n: spec and spec.law for n, spec in specs.items()}  # one a rule
    of_told = {n: spec and spec._law_told for n, spec in specs.items()}
    rows: list[Assigned] = []
    told = Told()
    by_place = {
        leaf.place: laws[first[leaf.place]]
        if leaf.fan is None
        else told.law(of_told[first[leaf.place]], leaf)
        for leaf in leaves
    }
    beside = Neighbours(leaves, by_place)
    for leaf in chosen:
        number = first[leaf.place]
        with _at(rules, leaf, number):
            law = beside.law(leaf)
            _check_fan(leaf, law)
        rows.append(_assigned(leaf, number, specs[number], law))
    _check_streams(rows)
    return rows


def rule_name(rules: Rules, number: int | None) -> str:
    """Return a rule's pattern as text."""
    return "default" if number is None else rules.rules[number].name


def _spec(rules: Rules, number: int | None) -> Any:
    return rules.default if number is None else rules.rules[number].spec


def _assigned(leaf: Leaf, number: int | None, spec: Spec, law: Any) -> Assigned:
    path = leaf.path if spec.stream is None else cast("Path", path_of(spec.stream))
    return Assigned(leaf, number, spec, law, spec.dtype or leaf.dtype, path)


@contextlib.contextmanager
def _at(rules: Rules, leaf: Leaf, number: int | None) -> Generator[None]:
    """Say which leaf is refused, and by which rule."""
    try:
        yield
    except Refused as refused:
        where = f"{leaf.name!r} by rule {rule_name(rules, number)}"
        raise Refused(f"{where}: {refused}", refused.kind) from None


def _check_fan(leaf: Leaf, law: Any) -> None:
    """Refuse a law that would guess which axes are inputs."""
    if isinstance(law, Initializer) and law._needs_fan(leaf.shape):
        raise Refused(
            f"{law!r} scales with fans, and a shape {leaf.shape} of rank "
            f"{len(leaf.shape)} does not say which axes are inputs; declare them: "
            f"{_fitting(len(leaf.shape))}."
        )


def _fitting(rank: int) -> str:
    """Return declarations for a rank."""
    if rank == 3:
        return (
            "Spec(law, fan=Fan.dense_general(1, 2)), Fan.dense_general(2, 1), "
            "Fan.experts(0), Fan.stacked(0), 'conv', or the fan_in as a number"
        )
    return (
        "Spec(law, fan='conv'), Fan.conv(layout='OIHW'), Fan.stacked(0, of=...), "
        "Fan(in_axes, out_axes), or the fan_in as a number"
    )


def _check_coverage(
    rules: Rules,
    leaves: Sequence[Leaf],
    first: Mapping[int, int | None],
    needed: set[int],
) -> None:
    """Refuse leaves without a rule, and rules without a leaf."""
    wanted = [rule for rule in rules.rules if not rule.spec.optional]
    if not leaves and wanted and rules.strict:
        raise Refused(
            "the tree has no leaf with a shape and a dtype; give shapes, such as "
            "jax.eval_shape(model.init, key, x) returns."
        )
    uncovered = [
        leaf for leaf in leaves if first[leaf.place] is None and leaf.place in needed
    ]
    if rules.default is not None:
        uncovered = []
    used = {*first.values()}
    unused = [
        i
        for i, rule in enumerate(rules.rules)
        if i not in used and not rule.spec.optional
    ]
    names = [leaf.name for leaf in leaves]
    dead = [_describe(rules.rules[i], leaves, names) for i in unused]
    lines: list[str] = []
    if uncovered:
        lines += _listed(
            f"{len(uncovered)} of {len(leaves)} leaves match no rule",
            _alike(uncovered),
        )
    if dead and (rules.strict or uncovered):
        lines += _listed(f"{len(dead)} of {len(rules.rules)} rules have no leaf", dead)
    if lines:
        way = "add a rule or default=" if uncovered else "correct or drop the rule"
        hint = "" if uncovered else ", or say Rules(..., strict=False)"
        raise Refused("\n".join([*lines, f"{way}{hint}."]))
    if dead:
        text = "; ".join(dead)
        warnings.warn(f"rules without a leaf: {text}", UserWarning, stacklevel=4)


def _describe(rule: Rule, leaves: Sequence[Leaf], names: Sequence[str]) -> str:
    """Say why a rule has no leaf: an earlier one takes them, or none matches."""
    matches = chooser(rule.pattern)
    taken = sum(map(matches, leaves))
    if taken:
        return f"{rule.name}: earlier rules take all {taken} leaves that it matches"
    near: list[str] = []
    if isinstance(rule.pattern, str):
        plain = rule.pattern.replace("**/", "").replace(".", "/")
        near = difflib.get_close_matches(plain, names, n=1, cutoff=0.5)
    return f"{rule.name}: matches nothing" + "".join(
        f"; nearest is {n!r}" for n in near
    )


def _check_streams(rows: Sequence[Assigned]) -> None:
    """Refuse two leaves on one stream, equal but for weights that make a pair."""
    known: dict[Path, list[Assigned]] = {}
    for row in rows:
        others = known.setdefault(row.stream, [])
        for other in others:
            if _is_pair(other.law, row.law):
                continue
            raise Refused(
                f"{other.leaf.name!r} and {row.leaf.name!r} would share the stream "
                f"{'/'.join(map(str, row.stream))!r}; give each its own."
            )
        others.append(row)


def _is_pair(law: Any, other: Any) -> bool:
    both = isinstance(law, Initializer) and isinstance(other, Initializer)
    return both and law._is_made_with(other)


def _alike(leaves: Sequence[Leaf]) -> list[str]:
    """Return the leaves, those that differ in numerals alone as one."""
    groups: dict[tuple[str, Any], list[Leaf]] = {}
    for leaf in leaves:
        groups.setdefault((starred(leaf.name), leaf.shape), []).append(leaf)
    return [
        f"{shared([leaf.name for leaf in many])} {shape}"
        + f", {len(many)} leaves" * (len(many) > 1)
        for (_, shape), many in groups.items()
    ]


def _listed(head: str, items: Sequence[str]) -> list[str]:
    more = [f"  and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    return [f"{head}:", *(f"  {item}" for item in items[:_SHOWN]), *more]
