"""Keys as words: generators, sizes, and threefry's hash on the host."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import numpy as np

from .._core.bits import THREEFRY, threefry2x32
from .._core.streams import is_typed as is_key

Host = np.ndarray[Any, Any]

MASK = 0xFFFFFFFF
_FEW = 12  # blocks that Python's integers hash faster than NumPy's arrays


class KeyKind(NamedTuple):
    """A generator of keys, as `wrap_key_data` takes it, and its words per key."""

    impl: Any
    words: tuple[int, ...]

    @property
    def is_fusible(self) -> bool:
        """Whether an entry's bits are a hash of its index."""
        return self.impl == THREEFRY and jax.config.jax_threefry_partitionable  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time


@functools.lru_cache
def kind_of(dtype: Any) -> KeyKind:
    """Return the generator of a key dtype."""
    found: list[Any] = []

    def look(key: jax.Array) -> jax.Array:
        found.append(jax.random.key_impl(key))
        return jax.random.key_data(key)

    data = jax.eval_shape(look, jax.ShapeDtypeStruct((), dtype))
    return KeyKind(found[0], data.shape)


def size_of(aval: Any) -> int:
    """Return the bytes of a value; a key's are its words'."""
    if is_key(aval):
        return 4 * math.prod(aval.shape) * math.prod(kind_of(aval.dtype).words)
    return math.prod(aval.shape) * np.dtype(aval.dtype).itemsize


def hash_blocks(keys: Host, hi: Any, lo: Any) -> Host:
    """Hash the blocks (hi, lo) with raw keys (..., 2); all broadcast."""
    k0, k1, hi, lo = np.broadcast_arrays(keys[..., 0], keys[..., 1], hi, lo)
    out = np.empty((*k0.shape, 2), np.uint32)
    if k0.size > _FEW:
        flat = (np.ascontiguousarray(x).reshape(-1) for x in (k0, k1, hi, lo))
        out[..., 0], out[..., 1] = (x.reshape(k0.shape) for x in threefry2x32(*flat))
        return out
    rows = out.reshape(-1, 2)
    for i, words in enumerate(zip(k0.flat, k1.flat, hi.flat, lo.flat, strict=True)):
        rows[i] = _hash_one(*map(int, words))
    return out


def _hash_one(k0: int, k1: int, x0: int, x1: int) -> tuple[int, int]:
    """Threefry-2x32 on Python's integers: for one block faster than on arrays."""
    k2 = k0 ^ k1 ^ 0x1BD11BDA
    x0, x1 = (x0 + k0) & MASK, (x1 + k1) & MASK
    for i, (a, b) in enumerate(((k1, k2), (k2, k0), (k0, k1), (k1, k2), (k2, k0)), 1):
        for r in _ROUNDS[i & 1]:
            x0 = (x0 + x1) & MASK
            x1 = ((x1 << r) & MASK | x1 >> (32 - r)) ^ x0
        x0, x1 = (x0 + a) & MASK, (x1 + b + i) & MASK
    return x0, x1


_ROUNDS = ((17, 29, 16, 24), (13, 15, 26, 6))
