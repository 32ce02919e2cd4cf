"""`init_tree`: a model's weights by rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax.sharding import NamedSharding, Sharding

from .._core.arguments import as_asked, as_dtype
from .._core.initializer import Initializer
from .._core.placement import placed, resolve
from .._core.streams import fold_in_words
from .._engine.placing import on_devices
from .._engine.progress import bar
from .._errors import Refused
from .assign import Assigned, assign, rule_name
from .fill import fill
from .paths import Leaf, Tree, read_tree
from .patterns import choose
from .recipe import Job, fillings_of
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
    home = None if all(job.sharding for job in order.jobs) else root.home
    fillings = fillings_of(order.jobs, root.kind, home)
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
            honours the `sharding` of the leaves. Where nothing says, they live whole on
            the devices that the key is committed to, or of the mesh in use.
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
