"""`compare`: what differs between two trees of weights, and by how much."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .._core.arguments import in_trace
from .._errors import Refused
from .._rules.fingerprint import check_array
from .._rules.paths import read_tree
from .comparison import Comparison as Comparison
from .comparison import ComparisonRow, is_array, kind_of
from .difference import difference

Leaves = Mapping[str, Any]


def compare(params_a: Any, params_b: Any) -> Comparison:
    """Return what differs between two trees of weights, and by how much.

    Weights are matched by path, so a flat checkpoint is compared with a nested tree.
    Each pair takes one pass where the first array lives; where the second one's shards
    lie elsewhere, it is copied there. NumPy's arrays, and files that are mapped into
    memory, are read in pieces. Where the bits under a path are others, or the path is
    missing, they are looked for under other paths of the other tree.

    Args:
        params_a: A tree of arrays: a Flax or Haiku tree, an NNX state, an Equinox
            module. Leaves of other kinds are compared too, functions by their names.
        params_b: Another.

    Returns:
        A row for each path; `print` shows those that differ, the most different first.

    Raises:
        ValueError: A leaf that is only a shape, traced or deleted; two leaves of one
            path; a call inside jax.jit.
    """
    try:
        if in_trace():
            raise Refused("runs outside of jax.jit, on arrays.")
        a, b = _leaves(params_a), _leaves(params_b)
        sums: dict[tuple[str, str], int] = {}
        rows = [_row(name, a, b, sums) for name in dict.fromkeys([*a, *b])]
        return Comparison(tuple(_with_twins(rows, a, b, sums)))
    except Refused as refused:
        raise refused.at("compare") from None


def _leaves(params: Any) -> Leaves:
    """Return all leaves of a tree by path, keys as numbers."""
    tree = read_tree(params)
    names = {leaf.place: leaf.name for leaf in (*tree.leaves, *tree.keys)}
    others = ("/".join(map(str, path)) for path in tree.others)
    leaves: dict[str, Any] = {}
    for place, value in enumerate(tree.values):
        if (name := names.get(place)) is None:
            leaves[next(others)] = value
            continue
        check_array(name, value)
        is_key = jnp.issubdtype(value.dtype, jax.dtypes.extended)
        leaves[name] = jax.random.key_data(value) if is_key else value
    return leaves


def _row(
    name: str, a: Leaves, b: Leaves, sums: dict[tuple[str, str], int]
) -> ComparisonRow:
    """Compare what two trees have under one path; keep the sums of what differs."""
    bare = ComparisonRow(
        name,
        kind_of(a[name]) if name in a else None,
        kind_of(b[name]) if name in b else None,
    )
    if name not in a or name not in b:
        return bare
    x, y = a[name], b[name]
    if not (is_array(x) and is_array(y)):
        return dataclasses.replace(bare, equal=not is_array(x) and _is_same(x, y))
    if x.shape != y.shape:
        return bare
    found = difference(x, y)
    if found.differing:
        sums["a", name], sums["b", name] = found.sums
    return dataclasses.replace(
        bare,
        equal=x.dtype == y.dtype and not found.differing,
        size=x.size,
        differing=found.differing,
        largest=found.largest,
        relative=found.relative,
        correlation=found.correlation,
        ulps=found.ulps,
    )


def _with_twins(
    rows: Sequence[ComparisonRow],
    a: Leaves,
    b: Leaves,
    sums: dict[tuple[str, str], int],
) -> Iterable[ComparisonRow]:
    """Yield rows that say under which other path the other tree has their bits."""
    twins = _twins([row.path for row in rows if not row.equal], a, b, sums)
    back = {other: path for path, other in twins.items()}
    for row in rows:
        twin = back.get(row.path) if row.a is None else twins.get(row.path)
        yield dataclasses.replace(row, twin=twin)


def _twins(
    unlike: Sequence[str], a: Leaves, b: Leaves, sums: dict[tuple[str, str], int]
) -> dict[str, str]:
    """Return paths of a whose bits b has under another path, and that path."""

    def sum_of(side: str, leaves: Leaves, path: str) -> int:
        if (side, path) not in sums:
            sums[side, path] = difference(leaves[path], leaves[path]).sums[0]
        return sums[side, path]

    by_kind: dict[str, list[str]] = {}
    for path in sorted(unlike, key=lambda path: path in a):  # first what b alone has
        if is_array(b.get(path)):
            by_kind.setdefault(kind_of(b[path]), []).append(path)
    twins: dict[str, str] = {}
    for path in sorted(unlike, key=lambda path: path in b):
        if not is_array(x := a.get(path)):
            continue
        for other in by_kind.get(kind_of(x), []):
            is_move = path not in b and other not in a
            if other == path or (x.size < 2 and not is_move):  # one number is no sign
                continue
            if sum_of("a", a, path) == sum_of("b", b, other) and not (
                difference(x, b[other]).differing
            ):
                by_kind[kind_of(x)].remove(other)
                twins[path] = other
                break
    return twins


def _is_same(x: Any, y: Any) -> bool:
    """Tell whether two leaves that are no arrays are the same, functions by name."""
    name = getattr(x, "__qualname__", None)
    if callable(x) and callable(y) and name is not None:
        place = getattr(x, "__module__", None), name
        return place == (getattr(y, "__module__", None), getattr(y, "__qualname__", 0))
    try:
        return x is y or (type(x) is type(y) and bool(x == y))
    except Exception:  # what compares to no truth is another object
        return False
