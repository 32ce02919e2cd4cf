"""Random bits that fuse: threefry as plain arithmetic on a counter.

`jax.random.bits` lowers threefry to a loop over whole arrays on CPU, which keeps three
times the output in scratch. Written as arithmetic on an iota, XLA fuses the hash, the
transform and the write into one pass. The bits are those of `jax.random.bits` under
`jax_threefry_partitionable=True`; every other generator or mode goes through
`jax.random` itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._errors import Refused

THREEFRY = "threefry2x32"
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA  # Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"


class _Arithmetic(NamedTuple):
    """How to compute with words: `jnp`'s operators take four times as long to trace."""

    add: Callable[..., Any]
    xor: Callable[..., Any]
    either: Callable[..., Any]
    left: Callable[..., Any]
    right: Callable[..., Any]
    widen: Callable[..., Any]


_IN_JAX = _Arithmetic(
    lax.add,
    lax.bitwise_xor,
    lax.bitwise_or,
    lax.shift_left,
    lax.shift_right_logical,
    jnp.broadcast_to,
)
_ON_HOST = _Arithmetic(
    np.add,
    np.bitwise_xor,
    np.bitwise_or,
    np.left_shift,
    np.right_shift,
    np.broadcast_to,
)


def threefry2x32(k0: Any, k1: Any, x0: Any, x1: Any) -> tuple[Any, Any]:
    """Hash the block (x0, x1) with the key (k0, k1): 20 rounds of Threefry-2x32.

    All arguments are uint32 arrays, of NumPy or of JAX, and broadcast. For one key it
    is a bijection of blocks, so distinct blocks never give the same pair.
    """
    words, u32 = (k0, k1, x0, x1), np.uint32
    by = _IN_JAX if any(isinstance(x, jax.Array) for x in words) else _ON_HOST
    shape = np.broadcast_shapes(*map(np.shape, words))
    x0, x1 = by.widen(x0, shape), by.widen(x1, shape)
    keys = (k0, k1, by.xor(by.xor(k0, k1), u32(_PARITY)))
    schedule = [by.widen(k, shape) for k in keys]
    x0, x1 = by.add(x0, schedule[0]), by.add(x1, schedule[1])
    for i in range(5):
        for r in _ROTATIONS[i % 2]:
            x0 = by.add(x0, x1)
            turned = by.either(by.left(x1, u32(r)), by.right(x1, u32(32 - r)))
            x1 = by.xor(turned, x0)
        x0 = by.add(x0, schedule[(i + 1) % 3])
        x1 = by.add(by.add(x1, schedule[(i + 2) % 3]), u32(i + 1))
    return x0, x1


def initjax_fold_in(key: jax.Array, hi: jax.Array, lo: jax.Array) -> jax.Array:
    """Fold a 64-bit block into a typed key in one step.

    For threefry, (0, i) gives both `jax.random.fold_in(key, i)` and row i of
    `jax.random.split(key)`; a block with hi != 0 can equal neither. rbg keys are two
    threefry keys side by side. Generators known by name only fold twice.
    """
    impl = jax.random.key_impl(key)
    if impl not in (THREEFRY, "rbg", "unsafe_rbg"):
        return jax.random.fold_in(jax.random.fold_in(key, hi), lo)
    halves = jax.random.key_data(key).reshape(-1, 2)
    folded = jnp.stack(threefry2x32(halves[:, 0], halves[:, 1], hi, lo), axis=-1)
    return jax.random.wrap_key_data(folded.reshape(-1), impl=impl)


# one step in a traced function, known by its name: `setup` computes it on the host
FOLD_IN = initjax_fold_in.__name__
fold_in_block = jax.jit(initjax_fold_in)


def split_in_two(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the two keys of `jax.random.split(key)`, in a form that fuses."""
    if not is_fusible(key):
        first, second = jax.random.split(key)
        return first, second
    _use_up(key)
    zero, one = jnp.uint32(0), jnp.uint32(1)
    return fold_in_block(key, zero, zero), fold_in_block(key, zero, one)


class Stretch(tuple[int, ...]):
    """The shape of some entries of an array in row-major order, and where they begin.

    As the shape of a draw it gives those entries, whatever the array's own shape.
    """

    start: tuple[Any, Any]

    @classmethod
    def of(cls, length: int, hi: Any, lo: Any) -> Stretch:
        """Return the stretch that begins at the 64-bit index (hi, lo)."""
        stretch = cls((length,))
        stretch.start = hi, lo
        return stretch


def random_bits(key: jax.Array, shape: tuple[int, ...], width: int) -> jax.Array:
    """Return uniform bits as uint32 (width 32) or uint64 (width 64) for a typed key."""
    if not is_fusible(key):
        return jax.random.bits(key, shape, jnp.uint32 if width == 32 else jnp.uint64)
    _use_up(key)
    bits = fused_bits if isinstance(shape, Stretch) else bits_in_one_step
    return bits(jax.random.key_data(key), shape, width)


def fused_bits(words: jax.Array, shape: tuple[int, ...], width: int) -> jax.Array:
    """Return uniform bits of 8, 16, 32 or 64 for threefry keys, given by their words.

    Words of shape (*batch, 2) give bits of shape (*batch, *shape), each row those of
    its own key.
    """
    batch = words.shape[:-1]
    k0, k1 = words[..., 0], words[..., 1]
    if batch:
        k0, k1 = (k.reshape(*batch, *(1,) * len(shape)) for k in (k0, k1))
    b0, b1 = threefry2x32(k0, k1, *_indices(shape, len(batch)))
    if width == 64:
        return (b0.astype(jnp.uint64) << 32) | b1.astype(jnp.uint64)
    return (b0 ^ b1).astype(f"uint{width}")


# one step in a traced function, known by its name, as a fold is
def initjax_bits(words: jax.Array, shape: tuple[int, ...], width: int) -> jax.Array:
    """Return `fused_bits`, so that it is found in a traced function."""
    return fused_bits(words, shape, width)


BITS = initjax_bits.__name__
bits_in_one_step = jax.jit(initjax_bits, static_argnums=(1, 2))


def _indices(shape: tuple[int, ...], batch: int) -> tuple[jax.Array, jax.Array]:
    """Return the high and low words of every entry's index."""
    if not isinstance(shape, Stretch):
        return counters((*(1,) * batch, *shape))
    hi, lo = shape.start
    index = lax.iota(jnp.uint32, shape[0]) + lo
    return hi + (index < lo).astype(jnp.uint32), index


def is_fusible(key: jax.Array) -> bool:
    """Tell whether bits and folds of a key, or of a batch of keys, are threefry's."""
    return (
        jax.random.key_impl(key) == THREEFRY and jax.config.jax_threefry_partitionable  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time
    )


def checks_reuse() -> bool:
    """Tell whether JAX checks that no key is used twice; part of what is compiled."""
    return bool(jax.config.jax_debug_key_reuse)  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time


def _use_up(key: jax.Array) -> None:
    """Tell JAX's checker that the key, whose data is read directly, is used up."""
    if checks_reuse():
        jax.random.bits(key, (0,))  # dead code: never computed


def counters(
    shape: tuple[int, ...],
    whole: tuple[int, ...] | None = None,
    start: Any = None,
) -> tuple[jax.Array, jax.Array]:
    """Return the high and low 32 bits of every element's row-major index.

    Built from one iota per axis, so the partitioner gives each device its own indices.

    Args:
        shape: The array's shape.
        whole: The shape of the array that it is a block of; None is its own.
        start: Where the block begins on every axis; None is at 0.
    """
    whole = shape if whole is None else whole
    lo = jnp.zeros(shape, jnp.uint32)
    hi = jnp.zeros(shape, jnp.uint32)
    wide = math.prod(whole) > 2**32
    for axis, size in enumerate(whole):
        if size > 2**32:
            raise Refused(
                f"axis {axis} has {size} entries, the counter 2**32 an axis; "
                "give a shape with shorter axes and reshape the array."
            )
        if size == 1:
            continue
        stride = math.prod(whole[axis + 1 :])
        index = lax.broadcasted_iota(jnp.uint32, shape, axis)
        if start is not None:
            index = index + start[axis]
        if not wide:
            # as uint32: JAX reads a Python int as int32, which 2**31 overflows
            step = index * jnp.uint32(stride % 2**32) if stride > 1 else index
            lo = lo + step
            continue
        step_hi, step_lo = _multiply_wide(index, stride)
        lo = lo + step_lo
        hi = hi + step_hi + (lo < step_lo).astype(jnp.uint32)
    return hi, lo


def _multiply_wide(x: jax.Array, factor: int) -> tuple[jax.Array, jax.Array]:
    """Return the high and low 32 bits of a uint32 array times a factor below 2**64."""
    factor_hi, factor_lo = jnp.uint32(factor >> 32), jnp.uint32(factor & 0xFFFFFFFF)
    a, b, c, d = x >> 16, x & 0xFFFF, factor_lo >> 16, factor_lo & 0xFFFF
    middle = a * d + ((b * d) >> 16)
    carry = b * c + (middle & 0xFFFF)
    hi = a * c + (middle >> 16) + (carry >> 16)
    return hi + x * factor_hi, x * factor_lo
