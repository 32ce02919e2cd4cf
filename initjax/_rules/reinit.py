"""`reinit` and `missing`: some of a model's weights, the others as they are."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import jax

from .._errors import Refused
from .grow import Grow, at_home, check_grow, grown_axis, make_grown
from .init_tree import make, ordered
from .paths import Leaf, Tree, read_tree
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
    grow: Grow = None,
) -> Any:
    """Return a whole tree: a checkpoint's arrays, and new ones where it lacks them.

    Leaves are matched by path, so a flat state dict fills a nested tree. A leaf lacks
    if its path is absent, or holds None or only a shape.

    With `grow` a leaf of the checkpoint may be shorter than the tree's along one axis,
    as an embedding is whose vocabulary has grown, or the head after it. Its entries
    come first, bit for bit, and the others are new:

    - "rows": those of the fresh leaf that `init_tree` would give, so however long the
      old one was;
    - "mean": n old rows x of mean m give each new row m + sqrt(1e-9 / n) z (x - m),
      with z of n normals: a row of the normal law of the old rows' mean and 1e-9 times
      their covariance, about which a tuned model's logits do not jump. Rows are along
      the axis that has grown.

    Args:
        params: The checkpoint: a tree of arrays, any subset of `abstract_tree`.
        abstract_tree: The whole tree, with shapes and dtypes at its leaves.
        rules: Which initializer fills which path; they cover at least what lacks.
        key: One PRNG key, typed or raw.
        shardings: Where new leaves live, as of `init_tree`; what has grown lives there
            too, else as its old array.
        grow: None, "rows" or "mean".

    Returns:
        A tree of the structure of `abstract_tree`; arrays of the checkpoint that have
        not grown are the same objects.

    Raises:
        ValueError: As `init_tree`; a leaf of the checkpoint that the tree lacks, or of
            another shape or dtype, or that is no array where the tree has one.

    References:
        Hewitt, "Initializing new word embeddings for pretrained language models",
        2021; Hugging Face transformers, `resize_token_embeddings(mean_resizing=True)`.
    """
    try:
        check_grow(grow)
        tree = read_tree(abstract_tree, shardings)
        _check_order(have := read_tree(params), tree)
        kept = _kept(have, tree, grow)
        olds = {
            leaf.place: kept.pop(leaf.place)
            for leaf in tree.leaves
            if leaf.place in kept and kept[leaf.place].shape != leaf.shape
        }
        lacking = [
            at_home(leaf, olds.get(leaf.place))
            for leaf in tree.leaves
            if leaf.place not in kept
        ]
        order = ordered(rules, tree, lacking)
        return tree.filled(kept | make_grown(order, key, grow, olds))
    except Refused as refused:
        raise refused.at("missing") from None


def _check_order(have: Tree, whole: Tree) -> None:
    """Refuse shapes for the checkpoint and arrays for the tree."""
    if have.leaves and not _has_arrays(have) and _has_arrays(whole):
        raise Refused(
            "the checkpoint is shapes and the tree arrays; the order is "
            "missing(checkpoint, abstract_tree, rules, key)."
        )


def _has_arrays(tree: Tree) -> bool:
    values = (tree.values[leaf.place] for leaf in tree.leaves)
    return not all(isinstance(value, jax.ShapeDtypeStruct) for value in values)


def _kept(have: Tree, whole: Tree, grow: Grow) -> dict[int, Any]:
    """Return a checkpoint's arrays by their place in the whole tree."""
    plain = {*whole.others}  # such as an Equinox module's functions and rates
    if strange := [path for path in have.others if path not in plain]:
        raise Refused(
            f"the checkpoint's {'/'.join(map(str, strange[0]))!r} is no array; convert "
            "it first, with numpy.asarray."
        )
    known = {leaf.path: leaf for leaf in (*whole.leaves, *whole.keys)}
    kept: dict[int, Any] = {}
    for leaf in (*have.leaves, *have.keys):
        value = have.values[leaf.place]
        if isinstance(value, jax.ShapeDtypeStruct):
            continue
        if (wanted := known.get(leaf.path)) is None:
            raise _unknown(leaf, list(known.values()))
        _check_fits(leaf, wanted, grow)
        kept[wanted.place] = value
    return kept


def _unknown(leaf: Leaf, known: Sequence[Leaf]) -> Refused:
    near = difflib.get_close_matches(leaf.name, [other.name for other in known], n=1)
    hint = "".join(f" (nearest is {name!r})" for name in near)
    return Refused(
        f"the checkpoint has {leaf.name!r}, and none of {len(known)} leaves is "
        f"called so in the tree{hint}; drop it, or rename it."
    )


def _check_fits(leaf: Leaf, wanted: Leaf, grow: Grow) -> None:
    """Refuse an array of another shape or dtype, unless it may grow."""
    if (wanted.shape, wanted.dtype) == (leaf.shape, leaf.dtype):
        return
    longer = grown_axis(leaf.shape, wanted.shape) is not None
    may_grow = longer and leaf.dtype == wanted.dtype
    if may_grow and grow:
        return
    way = ", or say grow='rows'" if may_grow else ""
    raise Refused(
        f"{leaf.name!r} is {leaf.dtype}{list(leaf.shape)} in the checkpoint, "
        f"{wanted.dtype}{list(wanted.shape)} in the tree; convert it first{way}."
    )
