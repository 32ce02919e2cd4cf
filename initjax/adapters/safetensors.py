"""Safetensors: trees of arrays to files, and back into their shards."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core.file_dtypes import FILE_DTYPES
from .._errors import Refused, shown
from .._report.tensors import File, Host, mapped
from .._rules.paths import Leaf, Tree, read_tree
from .extras import listed, needs, place_of

with needs("safetensors", "safetensors", "safetensors"):
    import safetensors.numpy as files

__all__ = ["load", "save"]


def save(tree: Any, path: File, *, metadata: Mapping[str, str] | None = None) -> None:
    """Save a tree of arrays as a file of tensors, named by path: "layers.0.kernel".

    Every dtype is kept, bfloat16 and 8-bit floats too. Shards are gathered in the
    memory of the host; of several processes one saves, what is whole in it.

    Args:
        tree: Arrays: a Flax or Haiku tree, an NNX state, an Equinox module's arrays.
        path: The file.
        metadata: Texts by name, kept in the file's header.

    Raises:
        ValueError: A leaf that is no array, a dtype that files do not have, an array
            of which other processes have parts.
        TypeError: Metadata that are no texts.
    """
    try:
        given = {} if metadata is None else {**metadata}
        if not all(isinstance(text, str) for pair in given.items() for text in pair):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass numbers
            raise Refused(
                f"metadata are texts by name, got {shown(given)}; give str() of each.",
                TypeError,
            )
        tensors = _tensors(read_tree(tree))
    except Refused as refused:
        raise refused.at("adapters.safetensors.save") from None
    files.save_file(tensors, path, given or None)


def load(
    path: File | Sequence[File],
    like: Any,
    *,
    shardings: Any = None,
    strict: bool = True,
) -> Any:
    """Return a tree of arrays from a file of tensors, each read into its shards.

    Args:
        path: The file, or the files that a model's tensors are spread over.
        like: What is wanted: a tree of arrays or shapes. Tensors are named by path, as
            `save` does.
        shardings: Where leaves live, as of `init_tree`; None asks the leaves of `like`.
            Where nothing says, arrays are as `jnp.asarray` makes them.
        strict: False leaves out what `like` lacks, and leaves as it is in `like` what
            the files lack: `ij.missing` makes it.

    Returns:
        A tree of the structure of `like`.

    Raises:
        ValueError: Tensors that one side lacks (if strict), no tensor that both have,
            one of another shape or dtype than in `like`, a file of something else.
    """
    try:
        tree = read_tree(like, shardings)
        leaves = {_name(leaf): leaf for leaf in tree.leaves}
        found = mapped([path] if isinstance(path, (str, os.PathLike)) else path)
        _check_names(leaves, found, strict)
        both = {name: leaf for name, leaf in leaves.items() if name in found}
        made = {leaf.place: _array(n, leaf, found[n]) for n, leaf in both.items()}
    except Refused as refused:
        raise refused.at("adapters.safetensors.load") from None
    return tree.filled(made)


def _name(leaf: Leaf) -> str:
    return ".".join(map(str, leaf.path))


def _tensors(tree: Tree) -> dict[str, Host]:
    """Return a tree's arrays by name, in the memory of the host."""
    strange = ["/".join(map(str, path)) for path in tree.others]
    strange += [key.name for key in tree.keys]
    shapes = [x.name for x in tree.leaves if _is_shape(tree.values[x.place])]
    if strange or shapes:
        raise Refused(
            f"{listed(strange + shapes)}: a file holds arrays, no shapes, numbers or "
            "PRNG keys; leave them out, or make arrays of them."
        )
    tensors: dict[str, Host] = {}
    for leaf in tree.leaves:
        value = tree.values[leaf.place]
        if leaf.dtype.name not in FILE_DTYPES.values():
            raise Refused(
                f"{leaf.name!r} is {leaf.dtype.name}, which files of tensors do not "
                "have; convert it first, with astype."
            )
        if isinstance(value, jax.Array) and not (
            value.is_fully_addressable or value.is_fully_replicated
        ):
            raise Refused(
                f"{leaf.name!r} is spread over several processes; save it with Orbax, "
                "or make it whole in one: jax.experimental.multihost_utils."
            )
        tensors[_name(leaf)] = np.asarray(jax.device_get(value), order="C")
    return tensors


def _check_names(
    leaves: Mapping[str, Leaf], found: Mapping[str, Host], strict: bool
) -> None:
    """Refuse tensors that one side lacks."""
    lacking = [name for name in leaves if name not in found]
    strange = [name for name in found if name not in leaves]
    sides = [
        *([f"the file lacks {listed(lacking)}"] if lacking else []),
        *([f"the tree lacks {listed(strange)}"] if strange else []),
    ]
    if leaves and found and len(lacking) == len(leaves):
        raise Refused(f"no name in common: {'; '.join(sides)}; rename one side's.")
    if sides and strict:
        raise Refused(
            f"{'; '.join(sides)}; rename them, or say strict=False, and ij.missing "
            "makes what lacks."
        )


def _array(name: str, leaf: Leaf, tensor: Host) -> jax.Array:
    """Return a tensor where its leaf lives; of each shard its part is read."""
    if (tensor.dtype, tensor.shape) != (leaf.dtype, leaf.shape):
        raise Refused(
            f"{name!r} is {tensor.dtype}{[*tensor.shape]} in the file, "
            f"{leaf.dtype}{[*leaf.shape]} in the tree; load it as it is, then convert."
        )
    place = place_of(leaf)
    # copied: JAX may take aligned memory as its own, and this is the file's
    if place is None:
        return jnp.asarray(np.array(tensor))
    return jax.make_array_from_callback(
        leaf.shape, place, lambda i: np.array(tensor[i])
    )


def _is_shape(x: Any) -> bool:
    return isinstance(x, jax.ShapeDtypeStruct)
