"""Orbax: a checkpoint restored in its shards, and what it lacks made by rule."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import Refused, shown
from .._rules.paths import Leaf, Path, Tree, clean_path, read_tree
from .._rules.reinit import missing
from .._rules.rules import Rules
from .extras import listed, needs, place_of

with needs("orbax", "orbax", "orbax"):
    import orbax.checkpoint as ocp

__all__ = ["restore"]

_BOXED = "value"  # what Flax's boxes call their array, and Orbax its file


def restore(
    path: str | os.PathLike[str],
    abstract_tree: Any,
    rules: Rules,
    key: jax.Array,
    *,
    shardings: Any = None,
    grow: Literal["rows", "mean"] | None = None,
    strict: bool = True,
) -> Any:
    """Return a whole tree: a checkpoint's arrays, and new ones where it lacks them.

    Every array is read into its shards, and only what the tree has is read. What lacks
    is made in its shards, as `ij.missing` does. Arrays are matched by path: a
    `TrainState`, a dict and a tree of Flax's boxes are alike.

    Args:
        path: Where Orbax saved the tree: the folder itself; of a `CheckpointManager`,
            that of the item, "step/default".
        abstract_tree: The whole tree, with shapes and dtypes at its leaves, such as
            `jax.eval_shape` returns.
        rules: Which initializer fills which path; they cover at least what lacks.
        key: One PRNG key, typed or raw.
        shardings: Where leaves live, as of `init_tree`. Where nothing says, arrays are
            as `jnp.asarray` makes them.
        grow: As of `ij.missing`.
        strict: False leaves out what the checkpoint has and the tree has not.

    Returns:
        A tree of the structure of `abstract_tree`.

    Raises:
        ValueError: No checkpoint of a tree there; one that has what the tree lacks
            (if strict), or has it in another shape or dtype; as `ij.missing`.
        TypeError: As `ij.missing`.
    """
    try:
        tree = read_tree(abstract_tree, shardings)
        found = _read(path, tree, strict)
    except Refused as refused:
        raise refused.at("adapters.orbax.restore") from None
    options: Any = {"shardings": shardings, "grow": grow}
    return missing(found, abstract_tree, rules, key, **options)


class _Saved(NamedTuple):
    """An array of a checkpoint: its name, what Orbax says of it, its leaf."""

    name: str
    about: Any
    leaf: Leaf | None


def _read(path: Any, tree: Tree, strict: bool) -> dict[str, Any]:
    """Return what a checkpoint has of a tree, by name."""
    known = {leaf.path: leaf for leaf in (*tree.leaves, *tree.keys)}
    where = path if "://" in str(path) else os.path.abspath(path)
    with ocp.PyTreeCheckpointer() as checkpointer:
        about: Any = checkpointer.metadata(where).item_metadata
        if about is None:
            raise Refused(
                f"no tree of Orbax at {shown(os.fspath(path))}; give the folder that "
                "it was saved in, of a CheckpointManager <folder>/<step>/default."
            )
        named, structure = jax.tree_util.tree_flatten_with_path(about.tree)
        saved = [_saved(keys, x, known) for keys, x in named]
        strange = [one.name for one in saved if one.leaf is None]
        if strange and (strict or len(strange) == len(saved)):
            way = ", or say strict=False to leave them out" if strict else ""
            raise Refused(
                f"the tree lacks {listed(strange)}, {len(strange)} of the checkpoint's "
                f"{len(saved)} arrays; add or rename them{way}."
            )
        item = [ocp.PLACEHOLDER if one.leaf is None else one.about for one in saved]
        how = map(structure.unflatten, (item, [*map(_how, saved)]))
        asked = dict(zip(("item", "restore_args"), how, strict=True))
        read = checkpointer.restore(where, args=ocp.args.PyTreeRestore(**asked))
    arrays = zip(saved, structure.flatten_up_to(read), strict=True)
    return {one.name: jnp.asarray(x) for one, x in arrays if one.leaf is not None}


def _saved(keys: Any, about: Any, known: Mapping[Path, Leaf]) -> _Saved:
    """Return an array by the path of its box, if it was saved in one."""
    path = clean_path(keys)
    if path not in known and path[-1] == _BOXED:
        path = path[:-1]
    return _Saved("/".join(map(str, path)), about, known.get(path))


def _how(one: _Saved) -> ocp.RestoreArgs:
    """Say how an array is read: into its shards, or as it is."""
    leaf = one.leaf
    if leaf is None:
        return ocp.RestoreArgs()
    place = place_of(leaf)
    if not isinstance(leaf.dtype, np.dtype):  # a typed key, saved as its words
        home = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        return ocp.ArrayRestoreArgs(sharding=place or home)
    if place is None or tuple(one.about.shape) != leaf.shape:
        return ocp.RestoreArgs(restore_type=np.ndarray)
    return ocp.ArrayRestoreArgs(sharding=place)
