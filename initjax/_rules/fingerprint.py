"""`fingerprint`: one digest of a model's weights, wherever they live."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .._core.arguments import in_trace
from .._core.bits import counters, threefry2x32
from .._core.values import numeric_dtype
from .._engine.transfer import no_mesh
from .._errors import Refused
from .paths import read_tree

Shape = tuple[int, ...]
_BLOCK = "block"


def fingerprint(params: Any) -> str:
    """Return a digest of all arrays of a tree: paths, shapes, dtypes and bits.

    It depends neither on the order of the leaves nor on their shardings or the
    framework's containers; each array is hashed where it lives, in one pass. Zeros of
    either sign and NaNs count by their bits. It tells weights apart and is no defence
    against forgery. In a program of several processes every process calls it, and gets
    the same digest.

    Args:
        params: A tree of arrays; leaves of any other kind do not count.

    Returns:
        64 hexadecimal digits.

    Raises:
        ValueError: A leaf that is only a shape, or is traced; two leaves of one path;
            a call inside jax.jit.
    """
    try:
        if in_trace():
            raise Refused("runs outside of jax.jit, on arrays.")
        tree = read_tree(params)
        leaves = sorted((*tree.leaves, *tree.keys), key=lambda leaf: leaf.place)
        parts = [_part(leaf.name, tree.values[leaf.place]) for leaf in leaves]
    except Refused as refused:
        raise refused.at("fingerprint") from None
    rows = [
        json.dumps([leaf.path, leaf.shape, str(leaf.dtype), one])
        for leaf, one in zip(leaves, _totals(parts), strict=True)
    ]
    return hashlib.blake2s("\n".join(sorted(rows)).encode()).hexdigest()


class Part(NamedTuple):
    """What this process knows of an array's hash.

    Attributes:
        sums: A row for each of its blocks, on the block's device: integers add up
            alike in every order, so on every mesh.
        is_whole: Whether the array has no blocks in other processes.
    """

    sums: Any
    is_whole: bool = True


def check_array(name: str, x: Any) -> None:
    """Refuse what has no bits, or no numbers."""
    if isinstance(x, jax.ShapeDtypeStruct):
        raise Refused(f"{name!r} is only a shape; give arrays.")
    if isinstance(x, Tracer):
        raise Refused(f"{name!r} is traced; give arrays.")
    if isinstance(x, jax.Array) and x.is_deleted():
        raise Refused(f"{name!r} has been deleted or donated; give arrays.")
    if not isinstance(x, jax.Array) and numeric_dtype(x.dtype) is None:
        raise Refused(f"{name!r} has the dtype {x.dtype}, no numbers; leave it out.")


def _part(name: str, x: Any) -> Part:
    """Start to hash the blocks of an array that this process holds."""
    check_array(name, x)
    if not isinstance(x, jax.Array):  # its words are NumPy's, as JAX may narrow it
        return Part(_sums(_planes(np.asarray(x)), whole=x.shape)[None])
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    return Part(_sums_of_blocks(x), x.is_fully_addressable)


def _sums_of_blocks(x: jax.Array) -> Any:
    """Return the sums of each distinct block of an array in this process."""
    shards = [shard for shard in x.addressable_shards if shard.replica_id == 0]
    if not shards:
        like = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return np.zeros((0, *jax.eval_shape(_sums, like, whole=x.shape).shape))
    if shards[0].data.shape == x.shape:
        return _sums(shards[0].data, whole=x.shape)[None]
    with no_mesh():
        blocks, starts = _side_by_side(shards)
        mesh = blocks.sharding.mesh
        return _sums_on_mesh(blocks, starts, mesh=mesh, whole=x.shape)


def _side_by_side(shards: Sequence[Any]) -> tuple[Any, Any]:
    """Return the blocks as one array, each where it is, and where they begin."""
    mesh = Mesh([shard.device for shard in shards], (_BLOCK,))
    first, *rest = shards[0].data.shape
    blocks = jax.make_array_from_single_device_arrays(
        (len(shards) * first, *rest),
        NamedSharding(mesh, PartitionSpec(_BLOCK)),
        [shard.data for shard in shards],
    )
    starts = [[cut.start or 0 for cut in shard.index] for shard in shards]
    return blocks, np.array(starts, np.uint32)


@functools.partial(jax.jit, static_argnames=("mesh", "whole"))
def _sums_on_mesh(blocks: Any, starts: Any, *, mesh: Mesh, whole: Shape) -> jax.Array:
    """Return the sums of each block, no device waiting for another."""

    def of_one(block: Any, start: Any) -> jax.Array:
        return _sums(block, start[0], whole=whole)[None]

    spec = PartitionSpec(_BLOCK)
    run = jax.shard_map(of_one, mesh=mesh, in_specs=spec, out_specs=spec)
    return run(blocks, starts)


@functools.partial(jax.jit, static_argnames="whole", inline=True)
def _sums(x: Any, start: Any = None, *, whole: Shape) -> jax.Array:
    """Return the sums of hashes of (index, bits): two words for each word of bits.

    Args:
        x: An array, or the planes of one.
        start: Where it begins on every axis of the whole array; None is at 0.
        whole: The shape of the whole array.
    """
    planes = x if isinstance(x, list) else _planes(x)
    hi, lo = counters(planes[0][0].shape, whole, start)
    sums = [
        jnp.sum(half, dtype=jnp.uint32)
        for words in planes
        for i, word in enumerate(words)
        for half in threefry2x32(word, np.uint32(i), hi, lo)
    ]
    return jnp.stack(sums)


def _planes(x: Any) -> list[list[Any]]:
    """Return the bits of an array as uint32 words, one or two an entry.

    A complex array has two planes of them.
    """
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        return [*_planes(x.real), *_planes(x.imag)]
    if x.dtype == jnp.bool_:
        return [[x.astype(jnp.uint32)]]
    is_whole = jnp.issubdtype(x.dtype, jnp.integer)
    width = (jnp.iinfo if is_whole else jnp.finfo)(x.dtype).bits
    if width < 8:  # held exactly by a wider dtype of the kind
        x, width = x.astype(jnp.int32 if is_whole else jnp.float32), 32
    bits = x.view(f"uint{width}")
    if width < 64:
        return [[bits.astype(jnp.uint32)]]
    return [[bits.astype(jnp.uint32), (bits >> 32).astype(jnp.uint32)]]


def _totals(parts: Sequence[Part]) -> list[list[int]]:
    """Return the sums of whole arrays, from all blocks of all processes."""
    sums = jax.device_get([part.sums for part in parts])
    totals = [np.add.reduce(one, dtype=np.uint32) for one in sums]
    spread = [i for i, part in enumerate(parts) if not part.is_whole]
    if spread:
        mine = [totals[i] for i in spread]
        rows = multihost_utils.process_allgather(np.concatenate(mine))
        every = np.add.reduce(np.asarray(rows), dtype=np.uint32)
        ends = np.cumsum([one.size for one in mine])[:-1]
        for i, one in zip(spread, np.split(every, ends), strict=True):
            totals[i] = one
    return [[int(word) for word in total] for total in totals]
