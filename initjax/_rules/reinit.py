"""`reinit` and `missing`: some of a model's weights, the others as they are."""

from __future__ import annotations

import difflib
from typing import Any

import jax

from .._errors import Refused
from .init_tree import make, ordered
from .paths import Tree, read_tree
from .patterns import choose
from .rules import Rules


def reinit(params: Any, rules: Rules, key: jax.Array, *, only: Any) -> Any:
    """Return a tree with some of its weights made anew, all others the same objects.

    A new weight equals that of `init_tree(rules, params, key)` and lives where the old
    one is committed to.

    Args:
        params: A tree of arrays: a Flax or Haiku tree, an NNX state, an Equinox module.
        rules: Which initializer fills which path; they cover at least the leaves of
            `only`, and each has its leaf in the tree.
        key: One PRNG key, typed or raw.
        only: A pattern, as of rules, or a list of them.

    Raises:
        ValueError: As `init_tree`; `only` matches nothing.
        TypeError: As `init_tree`; `only` is None.
    """
    try:
        if only is None:
            raise Refused("only says what to make anew; give a pattern.", TypeError)
        tree = read_tree(params)
        order = ordered(rules, tree, choose(tree.leaves, only))
        return tree.filled(make(order, key, None, "reinit"))
    except Refused as refused:
        raise refused.at("reinit") from None


def missing(
    params: Any,
    abstract_tree: Any,
    rules: Rules,
    key: jax.Array,
    *,
    shardings: Any = None,
) -> Any:
    """Return a whole tree: a checkpoint's arrays, and new ones where it lacks them.

    Leaves are matched by path, so a flat state dict fills a nested tree. A leaf lacks
    if its path is absent, or holds None or only a shape.

    Args:
        params: The checkpoint: a tree of arrays, any subset of `abstract_tree`.
        abstract_tree: The whole tree, with shapes and dtypes at its leaves.
        rules: Which initializer fills which path; they cover at least what lacks.
        key: One PRNG key, typed or raw.
        shardings: Where new leaves live, as of `init_tree`.

    Returns:
        A tree of the structure of `abstract_tree`; arrays of the checkpoint are the
        same objects.

    Raises:
        ValueError: As `init_tree`; a leaf of the checkpoint that the tree lacks, or of
            another shape or dtype, or that is no array where the tree has one.
    """
    try:
        tree = read_tree(abstract_tree, shardings)
        kept = _kept(read_tree(params), tree)
        lacking = [leaf for leaf in tree.leaves if leaf.place not in kept]
        order = ordered(rules, tree, lacking)
        return tree.filled(kept | make(order, key, None, "missing"))
    except Refused as refused:
        raise refused.at("missing") from None


def _kept(have: Tree, whole: Tree) -> dict[int, Any]:
    """Return a checkpoint's arrays by their place in the whole tree."""
    plain = {*whole.others}  # such as an Equinox module's functions and rates
    if strange := [path for path in have.others if path not in plain]:
        raise Refused(
            f"the checkpoint's {'/'.join(map(str, strange[0]))!r} is no array; convert "
            "it first, with numpy.asarray."
        )
    known = {leaf.path: leaf for leaf in whole.leaves}
    kept: dict[int, Any] = {}
    for leaf in have.leaves:
        value = have.values[leaf.place]
        if isinstance(value, jax.ShapeDtypeStruct):
            continue
        if (wanted := known.get(leaf.path)) is None:
            names = [other.name for other in whole.leaves]
            near = difflib.get_close_matches(leaf.name, names, n=1)
            hint = "".join(f" (nearest is {name!r})" for name in near)
            raise Refused(
                f"the checkpoint has {leaf.name!r}, and none of {len(known)} leaves is "
                f"called so in the tree{hint}; drop it, or rename it."
            )
        if (wanted.shape, wanted.dtype) != (leaf.shape, leaf.dtype):
            raise Refused(
                f"{leaf.name!r} is {leaf.dtype}{list(leaf.shape)} in the checkpoint, "
                f"{wanted.dtype}{list(wanted.shape)} in the tree; convert it first."
            )
        kept[wanted.place] = value
    return kept
