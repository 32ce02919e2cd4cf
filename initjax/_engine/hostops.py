"""The primitives that derive keys, in NumPy: one row each, equal to JAX's bit for bit.

A key array is held as its raw words: shape `(*keys.shape, words)`, uint32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Any

import jax
import numpy as np

from .._core.bits import FOLD_IN, THREEFRY
from .jaxprs import is_fold
from .keys import MASK, Host, hash_blocks, is_key, kind_of
from .trace import Node

Operation = Callable[..., Any]


def operation(node: Node) -> Operation | None:
    """Return the NumPy function of a node, or None if this room does not know it."""
    name = node.params["name"] if is_fold(node.equation) else node.name
    if name in _ELEMENTWISE:
        return _ELEMENTWISE[name]
    if name in _STRUCTURAL:
        return _STRUCTURAL[name](node)
    if name in _RANDOM:
        kinds = [v.aval for v in (*node.inputs, *node.results) if is_key(v.aval)]
        threefry = all(kind_of(aval.dtype).impl == THREEFRY for aval in kinds)
        return _RANDOM[name](node) if threefry else _through_jax(node)
    return _through_jax(node) if name in _RARE else None


# -- threefry --------------------------------------------------------------


def _split(node: Node) -> Operation:
    shape = tuple(node.params["shape"])
    count = math.prod(shape)
    if node.equation.ctx.threefry_partitionable:
        lo = np.arange(count, dtype=np.uint32)
        hi = np.zeros(count, np.uint32)
    else:
        hi, lo = np.arange(2 * count, dtype=np.uint32).reshape(2, count)

    def run(keys: Host) -> Host:
        out = hash_blocks(keys[..., None, :], hi, lo)
        if not node.equation.ctx.threefry_partitionable:  # all first words come first
            out = np.swapaxes(out, -1, -2).reshape(out.shape)
        return out.reshape(*keys.shape[:-1], *shape, 2)

    return run


def _fold_in(node: Node) -> Operation:
    del node
    return lambda keys, data: hash_blocks(keys, np.uint32(0), data.astype(np.uint32))


def _fold_in_block(node: Node) -> Operation:
    del node
    return hash_blocks


def _seed(node: Node) -> Operation:
    del node

    def run(seeds: Host) -> Host:
        wide = seeds.astype(np.int64 if seeds.dtype.kind == "i" else np.uint64)
        wide = wide.astype(np.uint64)
        high = wide >> 32 if seeds.dtype.itemsize == 8 else np.zeros_like(wide)
        return np.stack([high, wide & MASK], axis=-1).astype(np.uint32)

    return run


def _same(node: Node) -> Operation:
    del node
    return lambda x: x


_RANDOM: dict[str, Callable[[Node], Operation]] = {
    "random_wrap": _same,
    "random_unwrap": _same,
    "random_clone": _same,
    "random_split": _split,
    "random_fold_in": _fold_in,
    "random_seed": _seed,
    FOLD_IN: _fold_in_block,
}


def hashed_alike(node: Node) -> Hashable | None:
    """Return what nodes share that can be hashed in one go, their arguments stacked."""
    if node.name not in ("random_split", "random_fold_in"):
        return None
    shapes = {atom.aval.shape for atom in node.inputs}
    dtypes = tuple(atom.aval.dtype for atom in node.inputs)
    threefry = kind_of(dtypes[0]).impl == THREEFRY
    return (node.key, *shapes, dtypes) if threefry and len(shapes) == 1 else None


# -- arithmetic on counters ------------------------------------------------


def _shift(towards: Operation, fill: Operation) -> Operation:
    def run(x: Host, by: Host) -> Host:
        bits = 8 * x.dtype.itemsize
        amount = by.astype(np.uint64)
        inside = amount < bits
        safe = np.where(inside, amount, 0).astype(x.dtype)
        return np.where(inside, towards(x, safe), fill(x, bits))

    return run


def _logical(x: Host, by: Host) -> Host:
    unsigned = np.dtype(f"u{x.dtype.itemsize}")
    return (x.astype(unsigned) >> by.astype(unsigned)).astype(x.dtype)


def _arithmetic(x: Host, by: Host) -> Host:
    signed = np.dtype(f"i{x.dtype.itemsize}")  # the sign spreads in unsigned ones too
    return (x.astype(signed) >> by.astype(signed)).astype(x.dtype)


def _sign_alone(x: Host, bits: int) -> Host:
    return _arithmetic(x, np.asarray(bits - 1, x.dtype))


def _nothing(x: Host, bits: int) -> Host:
    del bits
    return np.zeros_like(x)


def _divide(x: Host, y: Host) -> Host:
    zero = y == 0
    lowest = x == np.iinfo(x.dtype).min if x.dtype.kind == "i" else np.zeros_like(zero)
    minus = (y == -1) if x.dtype.kind == "i" else np.zeros_like(zero)
    safe = np.where(zero | (lowest & minus), np.ones_like(y), y)
    quotient = (x - np.fmod(x, safe)) // safe
    return np.where(zero, np.array(-1).astype(x.dtype), quotient)


def _remainder(x: Host, y: Host) -> Host:
    minus = (y == -1) if x.dtype.kind == "i" else np.zeros_like(y == 0)
    safe = np.where((y == 0) | minus, np.ones_like(y), y)
    return np.where(y == 0, x, np.fmod(x, safe))


_ELEMENTWISE: dict[str, Operation] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _divide,
    "rem": _remainder,
    "neg": np.negative,
    "sign": np.sign,
    "abs": np.abs,
    "max": np.maximum,
    "min": np.minimum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.invert,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "shift_left": _shift(np.left_shift, _nothing),
    "shift_right_logical": _shift(_logical, _nothing),
    "shift_right_arithmetic": _shift(_arithmetic, _sign_alone),
    "clamp": lambda low, x, high: np.minimum(np.maximum(x, low), high),
}

# -- pieces and shapes -----------------------------------------------------


def _slice(node: Node) -> Operation:
    p = node.params
    strides = p["strides"] or (1,) * len(p["start_indices"])
    bounds = zip(p["start_indices"], p["limit_indices"], strides, strict=True)
    index = tuple(slice(*bound) for bound in bounds)
    return lambda x: x[index]


def _dynamic_slice(node: Node) -> Operation:
    sizes = node.params["slice_sizes"]
    shape = node.inputs[0].aval.shape

    def run(x: Host, *starts: Host) -> Host:
        index = []
        for start, size, length in zip(starts, sizes, shape, strict=True):
            first = min(max(int(start), 0), length - size)
            index.append(slice(first, first + size))
        return x[tuple(index)]

    return run


def _reshape(node: Node) -> Operation:
    shape, rank = node.results[0].aval.shape, len(node.inputs[0].aval.shape)
    return lambda x, *_: x.reshape(shape + x.shape[rank:])


def _broadcast(node: Node) -> Operation:
    shape, axes = node.params["shape"], node.params["broadcast_dimensions"]
    rank = len(node.inputs[0].aval.shape)

    def run(x: Host, *_: Host) -> Host:
        unit = [1] * len(shape)
        for axis, size in zip(axes, x.shape, strict=False):
            unit[axis] = size
        words = x.shape[rank:]
        return np.broadcast_to(x.reshape(*unit, *words), (*shape, *words))

    return run


def _transpose(node: Node) -> Operation:
    order = node.params["permutation"]
    return lambda x: x.transpose(*order, *range(len(order), x.ndim))


def _concatenate(node: Node) -> Operation:
    axis = node.params["dimension"]
    return lambda *xs: np.concatenate(xs, axis)


def _stack(node: Node) -> Operation:
    axis = node.params["axis"]
    return lambda *xs: np.stack(xs, axis)


def _split_apart(node: Node) -> Operation:
    axis, sizes = node.params["axis"], node.params["sizes"]
    cuts = np.cumsum(sizes)[:-1]
    return lambda x: tuple(np.split(x, cuts, axis))


def _unstack(node: Node) -> Operation:
    axis = node.params["axis"]
    return lambda x: tuple(np.moveaxis(x, axis, 0))


def _reverse(node: Node) -> Operation:
    axes = tuple(node.params["dimensions"])
    return lambda x: np.flip(x, axes)


def _iota(node: Node) -> Operation:
    shape, axis = node.results[0].aval.shape, node.params["dimension"]
    line = np.arange(shape[axis]).reshape([-1] + [1] * (len(shape) - axis - 1))
    return lambda: np.broadcast_to(line, shape)


def _convert(node: Node) -> Operation:
    dtype = node.params["new_dtype"]
    return lambda x: (x != 0) if dtype == np.bool_ else x.astype(dtype)


def _select(node: Node) -> Operation:
    keys = is_key(node.results[0].aval)

    def run(which: Host, *cases: Host) -> Host:
        which = which.astype(np.intp)
        words = cases[0].ndim - which.ndim if which.ndim else 0
        if keys and which.ndim:
            which = which.reshape(which.shape + (1,) * words)
        return np.choose(which, cases) if which.ndim else cases[int(which)]

    return run


_STRUCTURAL: dict[str, Callable[[Node], Operation]] = {
    "slice": _slice,
    "dynamic_slice": _dynamic_slice,
    "squeeze": _reshape,
    "expand_dims": _reshape,
    "reshape": _reshape,
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "concatenate": _concatenate,
    "split": _split_apart,
    "stack": _stack,
    "unstack": _unstack,
    "rev": _reverse,
    "iota": _iota,
    "convert_element_type": _convert,
    "select_n": _select,
    "copy": _same,
    "copy_p": _same,
    "optimization_barrier": lambda node: lambda *xs: xs,
}

# -- through JAX -----------------------------------------------------------

# indexing by arrays, and sums of counters: JAX's own semantics, a compilation each
_RARE = frozenset(
    {
        "gather",
        "dynamic_update_slice",
        "scatter",
        "scatter-add",
        "cumsum",
        "reduce_sum",
        "reduce_max",
        "reduce_min",
        "pad",
        "integer_pow",
        "threefry2x32",
        "population_count",
        "clz",
    }
)


def _through_jax(node: Node) -> Operation:
    """Run the primitive itself: other generators, and rare ways to index keys."""

    def run(*data: Host) -> Any:
        inputs = [
            jax.random.wrap_key_data(x, impl=kind_of(atom.aval.dtype).impl)
            if is_key(atom.aval)
            else x
            for x, atom in zip(jax.device_put(data), node.inputs, strict=True)
        ]
        with node.equation.ctx.manager:
            out = node.equation.primitive.bind(*inputs, **node.params)
        outs = out if node.equation.primitive.multiple_results else (out,)
        raw = tuple(
            jax.device_get(jax.random.key_data(x) if is_key(x) else x) for x in outs
        )
        return raw if node.equation.primitive.multiple_results else raw[0]

    return run
