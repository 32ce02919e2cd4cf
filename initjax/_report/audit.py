"""`report`: what weights are, held to a plan."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from .._core.arguments import in_trace
from .._errors import Refused, shown
from .._rules.paths import Leaf, Tree, read_tree
from .._rules.plan import TreePlan
from .._rules.rules import Rules
from .._rules.table import PlanRow, law_text
from .chance import threshold
from .findings import TESTS, broken, held_to, too_coarse, worst_first
from .likeness import likeness
from .matrices import gain_of, is_matrix, largest_singular_value
from .pairs import (
    Weight,
    is_smooth,
    pair_tests,
    slice_tests,
    slices_alike,
    weights_alike,
)
from .promised import Promised, Promises
from .rows import Finding, Report, ReportRow
from .stats import NOTHING, Observed, check, finish, start

_BINS = 48
_AT_ONCE = 16  # weights that are looked at while as many are judged


def report(
    params: Any, plan: TreePlan | None = None, *, singular: bool = False
) -> Report:
    """Return what the weights of a tree are, held to what a plan promised.

    Every weight is looked at where it lives, in one compiled pass that returns small
    numbers; no array is gathered. Arrays of NumPy, a file's (`numpy.memmap`) too, go by
    in parts. By chance alone fewer than one report in 100 of a right model finds
    anything. Without a plan a row says what law the weight is most like.

    Args:
        params: A tree of arrays; PRNG keys and leaves of other kinds do not count.
        plan: What `ij.plan` said of the tree; leaves that one side lacks are findings.
        singular: Whether to find each matrix's largest singular value: the last axis
            against all others, an array of NumPy as a whole on a device.

    Returns:
        A row for each weight; `print` shows a table, the worst first.

    Raises:
        ValueError: No arrays; a leaf that is only a shape, is traced or deleted; two
            leaves of one path; a plan of other paths; a call inside jax.jit.
        TypeError: A plan that is none, `singular` that is no bool.
    """
    try:
        if in_trace():
            raise Refused("runs outside of jax.jit, on arrays.")
        _check_arguments(plan, singular)
        tree = read_tree(params)
        _check_tree(tree, plan)
        return _report(tree, plan, singular)
    except Refused as refused:
        raise refused.at("report") from None


def _check_arguments(plan: Any, singular: Any) -> None:
    if isinstance(plan, Rules):
        raise Refused("rules are no plan; give ij.plan(rules, params).", TypeError)
    if plan is not None and not isinstance(plan, TreePlan):
        raise Refused(
            f"plan must be what ij.plan returns, got {type(plan).__name__}.", TypeError
        )
    if not isinstance(singular, bool):
        raise Refused(f"singular is True or False, got {shown(singular)}.", TypeError)


def _check_tree(tree: Tree, plan: TreePlan | None) -> None:
    if not tree.leaves:
        raise Refused("the tree has no arrays; give a tree of weights.")
    for leaf in tree.leaves:
        check(leaf.name, tree.values[leaf.place])
    if plan is None:
        return
    planned = {row.path for row in plan.rows}
    if not any(leaf.name in planned for leaf in tree.leaves):
        theirs = plan.rows[0].path if plan.rows else "nothing"
        raise Refused(
            f"the plan is of other paths: it has {theirs!r}, the tree "
            f"{tree.leaves[0].name!r}; plan this tree, or rename one side's."
        )


class _Judged(NamedTuple):
    """A row to be, its possible findings, and what tells it from other weights."""

    row: ReportRow
    found: list[Finding]
    weight: Weight


def _report(tree: Tree, plan: TreePlan | None, singular: bool) -> Report:
    planned = {} if plan is None else {row.path: row for row in plan.rows}
    promises = Promises()
    judged: list[_Judged] = []
    for leaf, value, seen in _observed(tree):
        row = planned.pop(leaf.name, None)
        one = _judged(leaf, value, seen, row, promises, plan is not None)
        if singular and is_matrix(leaf.shape):
            top = largest_singular_value(value)
            one = one._replace(row=_with(one.row, singular=top))
        judged.append(one)
    weights = [one.weight for one in judged]
    between = weights_alike(weights)
    tests = pair_tests(weights) + TESTS * len(weights)
    least = threshold(tests + sum(slice_tests(one.seen) for one in weights))
    rows = [
        _with(one.row, findings=worst_first([*one.found, *more], least))
        for one in judged
        for more in [between.get(one.row.path, [])]
    ]
    place = {leaf.name: i for i, leaf in enumerate(tree.leaves)}
    rows.sort(key=lambda row: place[row.path])
    return Report((*rows, *map(_missing, planned.values())))


def _observed(tree: Tree) -> Iterator[tuple[Leaf, Any, Observed]]:
    """Yield what weights are; the next are looked at while some are judged."""
    every = [(leaf, tree.values[leaf.place]) for leaf in tree.leaves]
    some = [pair for pair in every if math.prod(pair[0].shape)]
    groups = [some[i : i + _AT_ONCE] for i in range(0, len(some), _AT_ONCE)]
    ahead: list[Any] = []
    with ThreadPoolExecutor(os.cpu_count(), "initjax-report") as threads:
        for group, following in zip(groups, [*groups[1:], []], strict=True):
            pending = ahead or [start(value, threads) for _, value in group]
            ahead = [start(value, threads) for _, value in following]
            for (leaf, value), seen in zip(group, finish(pending), strict=True):
                yield leaf, value, seen
    for leaf, value in every:
        if not math.prod(leaf.shape):
            yield leaf, value, NOTHING


def _judged(
    leaf: Leaf,
    value: Any,
    seen: Observed,
    row: PlanRow | None,
    promises: Promises,
    has_plan: bool,
) -> _Judged:
    """Hold a weight to its row of the plan, or say what it is like."""
    found = [*broken(seen), *_misfits(leaf, row, has_plan), *slices_alike(seen)]
    if row is None or row.shape != leaf.shape:
        return _unplanned(leaf, value, seen, found)
    promised = promises.of(row, leaf.dtype)
    if not (promised.random and promised.independent):
        found = [f for f in found if f.kind not in ("rows", "columns")]
    checked = held_to(seen, promised)
    made = _made(leaf, seen, promised.text)
    made = _with(
        made, promised=_four(promised), z_mean=checked.z_mean, z_std=checked.z_std
    )
    independent = promised.independent and promised.alike
    weight = _weight(leaf, seen, promised.random, independent)
    return _Judged(made, found + checked.findings, weight)


def _misfits(leaf: Leaf, row: PlanRow | None, has_plan: bool) -> list[Finding]:
    """Return what of a weight is not as planned, before its entries."""
    if row is None:
        text = "the plan has no such weight"
        return [Finding("unplanned", text, math.inf)] if has_plan else []
    pairs = {
        "shape": (leaf.shape, row.shape),
        "dtype": (leaf.dtype.name, row.dtype),
    }
    return [
        Finding(kind, f"{kind} {is_}, planned {was}", math.inf)
        for kind, (is_, was) in pairs.items()
        if is_ != was
    ]


def _unplanned(leaf: Leaf, value: Any, seen: Observed, found: list[Finding]) -> _Judged:
    is_clean = seen.finite and not seen.nans + seen.infs and not seen.is_constant
    is_real = np.dtype(leaf.dtype).kind in "fV"  # NumPy's kind of bfloat16 is V
    looks = is_clean and is_real and is_matrix(leaf.shape)
    gain = gain_of(value) if looks else None
    like = likeness(seen, leaf.shape, leaf.dtype, gain)
    if like.law is not None:
        found += too_coarse(seen, like.law, leaf.dtype)
    if seen.is_constant and seen.low and len([n for n in leaf.shape if n > 1]) > 1:
        text = f"every entry is {seen.low:.4g}"
        found.append(Finding("dead", text, math.inf))
    drawn = is_real and not is_smooth(seen)
    weight = _weight(leaf, seen, drawn, drawn and like.law is not None)
    return _Judged(_made(leaf, seen, like.text), found, weight)


def _weight(leaf: Leaf, seen: Observed, random: bool, independent: bool) -> Weight:
    what = leaf.name, leaf.shape, leaf.dtype.name
    return Weight(*what, seen, random, independent)


def _made(leaf: Leaf, seen: Observed, law: str | None) -> ReportRow:
    """Return a row of what is seen."""
    return ReportRow(
        path=leaf.name,
        shape=leaf.shape,
        dtype=leaf.dtype.name,
        law=law,
        promised=None,
        mean=_real(seen.mean),
        std=seen.std,
        low=seen.low,
        high=seen.high,
        z_mean=None,
        z_std=None,
        nans=seen.nans,
        infs=seen.infs,
        zeros=seen.zeros,
        distinct=len(np.unique(seen.sample)),
        sampled=len(seen.sample),
        histogram=_histogram(seen),
        singular=None,
        findings=(),
    )


def _histogram(seen: Observed) -> tuple[int, ...]:
    finite = seen.sample[np.isfinite(seen.sample)].astype(np.float64)
    width = seen.high - seen.low
    if not len(finite) or not math.isfinite(width):
        return ()
    place = (finite - seen.low) * (_BINS / width) if width else finite * 0
    places = place.astype(np.int64).clip(0, _BINS - 1)
    return tuple(np.bincount(places, minlength=_BINS).tolist())


def _missing(row: PlanRow) -> ReportRow:
    """Return the row of a weight that the plan has alone."""
    leaf = Leaf((), row.shape, np.dtype(row.dtype), None, 0)
    found = Finding("missing", "the weights lack it", math.inf)
    made = _made(leaf, NOTHING, law_text(row.law))
    return _with(made, path=row.path, findings=(found,))


def _four(promised: Promised) -> tuple[float, float, float, float] | None:
    law = promised.law
    return None if law is None else (_real(law.mean), law.std, law.low, law.high)


def _real(x: complex) -> float:
    return abs(x) if isinstance(x, complex) else float(x)


def _with(row: ReportRow, **fields: Any) -> ReportRow:
    return dataclasses.replace(row, **fields)
