"""`fingerprint`: one digest of a model's weights, wherever they live."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._bits import counters, threefry2x32
from .._errors import Refused
from .paths import read_tree


def fingerprint(params: Any) -> str:
    """Return a digest of all arrays of a tree: paths, shapes, dtypes and bits.

    It depends neither on the order of the leaves nor on their shardings or the
    framework's containers; each array is hashed where it lives, in one pass. Zeros of
    either sign and NaNs count by their bits. It tells weights apart and is no defence
    against forgery.

    Args:
        params: A tree of arrays; leaves of any other kind do not count.

    Returns:
        64 hexadecimal digits.

    Raises:
        ValueError: A leaf that is only a shape; two leaves of one path.
    """
    try:
        tree = read_tree(params)
        sums = [_summed(leaf.name, tree.values[leaf.place]) for leaf in tree.leaves]
    except Refused as refused:
        raise refused.at("fingerprint") from None
    rows = [
        json.dumps([leaf.path, leaf.shape, str(leaf.dtype), np.asarray(x).tolist()])
        for leaf, x in zip(tree.leaves, sums, strict=True)
    ]
    return hashlib.blake2s("\n".join(sorted(rows)).encode()).hexdigest()


def _summed(name: str, x: Any) -> jax.Array:
    if isinstance(x, jax.ShapeDtypeStruct):
        raise Refused(f"{name!r} is only a shape; give arrays.")
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    return _sum_of_hashes(x)


@functools.partial(jax.jit, inline=True)
def _sum_of_hashes(x: jax.Array) -> jax.Array:
    """Return the sum of hashes of (index, bits): two words, whatever the order.

    Integers add up alike in every order, so shards may be summed apart.
    """
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        return jnp.concatenate([_sum_of_hashes(x.real), _sum_of_hashes(x.imag)])
    hi, lo = counters(x.shape)
    words = _words(x)
    sums = [
        jnp.sum(half, dtype=jnp.uint32)
        for i, word in enumerate(words)
        for half in threefry2x32(word, np.uint32(i), hi, lo)
    ]
    return jnp.stack(sums)


def _words(x: jax.Array) -> list[jax.Array]:
    """Return the bits of an array as uint32 words, one or two an entry."""
    if x.dtype == jnp.bool_:
        return [x.astype(jnp.uint32)]
    is_whole = jnp.issubdtype(x.dtype, jnp.integer)
    width = (jnp.iinfo if is_whole else jnp.finfo)(x.dtype).bits
    if width < 8:  # held exactly by a wider dtype of the kind
        x, width = x.astype(jnp.int32 if is_whole else jnp.float32), 32
    bits = lax.bitcast_convert_type(x, f"uint{width}")
    if width < 64:
        return [bits.astype(jnp.uint32)]
    return [bits.astype(jnp.uint32), (bits >> 32).astype(jnp.uint32)]
