"""`init_tree`, `reinit`, `missing`: a model's weights by rule, all or some of them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax.sharding import NamedSharding, Sharding

from .._arguments import as_asked, as_dtype
from .._errors import Refused
from .._initializer import Initializer
from .._placement import placed, resolve
from .._streams import fold_in_words
from .assign import Assigned, assign, rule_name
from .fill import Job, fill, fillings_of
from .paths import Leaf, Tree, read_tree
from .patterns import choose
from .placing import on_devices
from .progress import bar
from .roots import root_of
from .rules import Rules


class Order(NamedTuple):
    """What is to be made of a tree: the rows, and the job of each."""

    tree: Tree
    rows: list[Assigned]
    jobs: list[Job]


def ordered(rules: Rules, tree: Tree, chosen: Sequence[Leaf]) -> Order:
    """Assign rules to the chosen leaves of a tree, and say where each goes."""
    rows = assign(rules, tree.leaves, chosen)
    return Order(tree, rows, [_job(rules, row) for row in rows])


def _job(rules: Rules, row: Assigned) -> Job:
    leaf, where = row.leaf, f"{row.leaf.name!r} by rule {rule_name(rules, row.rule)}"
    try:
        place = placed_at(leaf.sharding, leaf)
        return Job(where, row.law, leaf.shape, as_dtype(row.dtype), place)
    except Refused as refused:
        raise Refused(f"{where}: {refused}", refused.kind) from None


def placed_at(sharding: Any, leaf: Leaf) -> Sharding | None:
    """Return a leaf's sharding on devices, or refuse one that does not fit."""
    others = isinstance(sharding, Sharding) and not isinstance(sharding, NamedSharding)
    if sharding is None or others:
        return sharding
    return on_devices(resolve(sharding, leaf.shape, "sharding").sharding)


def make(order: Order, key: Any, progress: bool | None, caller: str) -> dict[int, Any]:
    """Return the arrays of an order by their place in the tree."""
    if progress not in (None, True, False):
        raise Refused(f"progress is True, False or None, got {progress!r}.", TypeError)
    root = root_of(key)
    places = [row.leaf.place for row in order.rows]
    if root.is_traced:
        pairs = zip(order.rows, order.jobs, strict=True)
        arrays = [_traced(root.key, row, job) for row, job in pairs]
        return dict(zip(places, arrays, strict=True))
    fillings = fillings_of(order.jobs, root.kind)
    words = root.fold_in([row.stream for row in order.rows])
    if not progress:
        return dict(zip(places, fill(fillings, words), strict=True))
    size = sum(job.dtype.itemsize * math.prod(job.shape) for job in order.jobs)
    with bar(len(fillings), size, caller) as report:
        return dict(zip(places, fill(fillings, words, report), strict=True))


def _traced(key: jax.Array, row: Assigned, job: Job) -> jax.Array:
    """Return one array inside a traced function."""
    mine = fold_in_words(key, row.stream)
    if not isinstance(job.law, Initializer):
        who = f"{job.where}: {job.law!r}"
        x = as_asked(job.law(mine, job.shape, job.dtype), job.shape, job.dtype, who)
        return x if job.sharding is None else placed(x, job.sharding)
    return job.law(mine, job.shape, job.dtype, out_sharding=job.sharding)  # type: ignore[arg-type]


def init_tree(
    rules: Rules,
    abstract_tree: Any,
    key: jax.Array,
    *,
    shardings: Any = None,
    only: Any = None,
    progress: bool | None = None,
) -> Any:
    """Return a tree of weights, each made by the first rule that matches its path.

    A leaf is `initializer(fold_in_path(key, *path), shape, dtype)`, so adding, removing
    or reordering others changes none of its bits; nor do the mesh and `only`. Keys are
    derived on the host in one pass; programs are compiled once for all leaves that
    differ in nothing but keys and numbers, several at a time. Functions such as
    `jax.nn.initializers` are jitted.

    Args:
        rules: Which initializer fills which path.
        abstract_tree: A tree with a shape and a dtype at its leaves: the result of
            `jax.eval_shape`, arrays, an NNX state, an Equinox or Haiku model, or a
            manifest {"parameters": [{"path", "shape", "dtype"}, ...]}, which gives a
            flat dict. Leaves of any other kind come back as they are.
        key: One PRNG key, typed or raw, the same in every process.
        shardings: Where leaves live: one NamedSharding or PartitionSpec (under
            `jax.set_mesh`), or a tree of them that is a prefix of the tree; None
            honours the `sharding` of the leaves.
        only: A pattern, as of rules, or a list of them: make these leaves and leave the
            others as they are in `abstract_tree`.
        progress: True shows a bar of arrays and bytes done, drawn by rich.

    Returns:
        The tree with arrays for leaves. Inside a traced function the laws are traced.

    Raises:
        ValueError: A leaf without a rule, a rule without a leaf (if strict), a law that
            scales with fans on three axes or more that nothing declares, a shape that a
            law cannot fill, a sharding that does not divide it, `only` that matches
            nothing, two leaves of one path.
        TypeError: Rules, a key or a dtype of a wrong kind.
        ImportError: `progress=True` without rich.
    """
    try:
        tree = read_tree(abstract_tree, shardings)
        order = ordered(rules, tree, choose(tree.leaves, only))
        return tree.filled(make(order, key, progress, "init_tree"))
    except Refused as refused:
        raise refused.at("init_tree") from None


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
