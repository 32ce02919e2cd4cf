"""How far two arrays of one shape are apart, in one pass over both."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding

from .._engine.transfer import no_mesh
from .._errors import Refused

_CHUNK = 1 << 20  # entries that the host looks at together
_LANES = 1 << 16  # the longest axis along which sums are kept apart


class Difference(NamedTuple):
    """How far two arrays are apart.

    Attributes:
        differing: How many entries have other bits; of two dtypes, other values.
        largest: The largest |a - b|; inf where an entry that differs is not finite.
        relative: Root mean square of a - b over that of a, of entries finite in both.
        correlation: Of entries finite in both; None where one array is constant.
        ulps: The largest distance in units in the last place, of floats of one dtype
            and entries finite in both: 1 is the next number.
        sums: Sums of the bits of a and of b, alike in every order of the entries.
    """

    differing: int
    largest: float
    relative: float
    correlation: float | None
    ulps: int | None
    sums: tuple[int, int]


class Part(NamedTuple):
    """What a pass over entries gives, one number a lane.

    Attributes:
        unit: What the numbers down to `square` are in units of.
        count: Entries finite in both, which alone the numbers down to `largest` are of.
        mean_a: Mean of a.
        mean_b: Mean of b.
        square_a: Sum of |a - mean|^2.
        square_b: Sum of |b - mean|^2.
        product: Sum of (a - mean) (b - mean).
        square: Sum of |a - b|^2.
        largest: Largest |a - b|.
        differing: Entries that differ.
        wild: Of them, those that are not finite in both.
        ulps: Largest distance in units in the last place.
        sum_a: Sum of the bits of a.
        sum_b: Sum of the bits of b.
    """

    unit: Any
    count: Any
    mean_a: Any
    mean_b: Any
    square_a: Any
    square_b: Any
    product: Any
    square: Any
    largest: Any
    differing: Any
    wild: Any
    ulps: Any
    sum_a: Any
    sum_b: Any


def difference(a: Any, b: Any) -> Difference:
    """Measure two arrays of one shape, each of JAX or NumPy."""
    if isinstance(a, jax.Array) and isinstance(b, jax.Array):
        parts = [_on_devices(a, b)]
    else:
        parts = [_on_host(x, y) for x, y in _chunks(_fetched(a), _fetched(b))]
    both_float = a.dtype == b.dtype and jnp.issubdtype(a.dtype, jnp.floating)
    return _total(parts, both_float and jnp.finfo(a.dtype).bits >= 8)


def _total(parts: list[Part], has_ulps: bool) -> Difference:
    """Return what all parts say together."""
    if not parts:
        return Difference(0, 0.0, 0.0, None, 0 if has_ulps else None, (0, 0))
    columns = zip(*parts, strict=True)
    p = Part(*(np.concatenate([np.ravel(x) for x in column]) for column in columns))
    unit = p.unit.astype(np.float64)
    top = float(unit.max(initial=0)) or 1.0
    scale, count = unit / top, p.count.astype(np.float64)
    means = [scale * mean for mean in (p.mean_a, p.mean_b)]
    every = max(float(count.sum()), 1.0)
    gaps = [mean - (count * mean).sum() / every for mean in means]

    def summed(within: Any, between: Any) -> float:
        return float(np.real(scale**2 * within + count * between).sum())

    square_a, square_b, product, size_a, square = (
        summed(p.square_a, np.abs(gaps[0]) ** 2),
        summed(p.square_b, np.abs(gaps[1]) ** 2),
        summed(p.product, gaps[0] * np.conj(gaps[1])),
        summed(p.square_a, np.abs(means[0]) ** 2),
        summed(p.square, 0.0),
    )
    largest = float(p.largest.max(initial=0))
    noise = 1e-12 * max(size_a, 1e-300)
    is_constant = min(square_a, square_b) <= noise
    return Difference(
        int(p.differing.sum(dtype=np.int64)),
        math.inf if p.wild.any() else largest,
        math.sqrt(square / size_a) if size_a else (math.inf if square else 0.0),
        None if is_constant else product / math.sqrt(square_a * square_b),
        int(p.ulps.max(initial=0)) if has_ulps else None,
        tuple(int(x.sum(dtype=np.uint64)) % 2**32 for x in (p.sum_a, p.sum_b)),  # type: ignore[arg-type]
    )


# -- one pass --------------------------------------------------------------------------


def _measured(xp: Any, a: Any, b: Any, axes: tuple[int, ...]) -> Part:
    """Measure two arrays, reduced over some axes, by NumPy or JAX as `xp`."""
    differ = _differ(xp, a, b)
    kind = _work(xp, a.dtype, b.dtype)
    x, y = a.astype(kind), b.astype(kind)
    finite = xp.isfinite(x) & xp.isfinite(y)
    x, y, gap = (xp.where(finite, z, 0) for z in (x, y, _gap(xp, a, b, x, y)))
    total = functools.partial(xp.sum, axis=axes)
    top = functools.partial(xp.max, axis=axes, initial=0)
    unit = top(xp.maximum(xp.abs(x), xp.abs(y)))
    unit = xp.where(unit > 0, unit, 1).astype(unit.dtype)
    wide, largest = xp.expand_dims(unit, axes), top(gap)
    x, y, gap = x / wide, y / wide, gap / wide
    count = total(finite, dtype=np.uint32)
    some = xp.maximum(count, 1).astype(unit.dtype)
    mean_x, mean_y = total(x) / some, total(y) / some
    x, y = (
        xp.where(finite, z - xp.expand_dims(mean, axes), 0)
        for z, mean in ((x, mean_x), (y, mean_y))
    )
    return Part(
        unit=unit,
        count=count,
        mean_a=mean_x,
        mean_b=mean_y,
        square_a=total(xp.abs(x) ** 2),
        square_b=total(xp.abs(y) ** 2),
        product=total(xp.real(x * xp.conj(y))),
        square=total(gap**2),
        largest=largest,
        differing=total(differ, dtype=np.uint32),
        wild=total(differ & ~finite, dtype=np.uint32),
        ulps=top(xp.where(finite, _ulps(xp, a, b), 0)),
        sum_a=total(_words(xp, a), dtype=np.uint32),
        sum_b=total(_words(xp, b), dtype=np.uint32),
    )


def _work(xp: Any, *dtypes: Any) -> Any:
    """Return the dtype to compute in; NumPy's arrays are float64 there."""
    is_wide = xp is np or any(d in (np.float64, np.complex128) for d in dtypes)
    if any(jnp.issubdtype(dtype, jnp.complexfloating) for dtype in dtypes):
        return np.complex128 if is_wide else np.complex64
    return np.float64 if is_wide else np.float32


def _gap(xp: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """Return |a - b|; x and y are the same in the dtype to compute in."""
    is_long = jnp.issubdtype(a.dtype, jnp.integer) and a.dtype.itemsize > 2
    if not is_long or a.dtype != b.dtype:
        return xp.abs(x - y)
    gap = xp.maximum(a, b) - xp.minimum(a, b)  # may be negative, by overflow
    return gap.astype(f"uint{8 * a.dtype.itemsize}").astype(x.dtype)


def _differ(xp: Any, a: Any, b: Any) -> Any:
    if a.dtype == b.dtype:
        pairs = zip(_bits(a), _bits(b), strict=True)
        return functools.reduce(xp.logical_or, (x != y for x, y in pairs))
    kind = _work(xp, a.dtype, b.dtype)
    x, y = a.astype(kind), b.astype(kind)
    return (x != y) & ~(xp.isnan(x) & xp.isnan(y))


def _bits(x: Any) -> list[Any]:
    """Return the bits of an array as unsigned integers; complex has two of them."""
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        return [*_bits(x.real), *_bits(x.imag)]
    if x.dtype == np.bool_:
        return [x.astype(np.uint8)]
    is_whole = jnp.issubdtype(x.dtype, jnp.integer)
    width = (jnp.iinfo if is_whole else jnp.finfo)(x.dtype).bits
    if width < 8:  # held exactly by a wider dtype of the kind
        x, width = x.astype(np.int32 if is_whole else np.float32), 32
    return [x.view(f"uint{width}")]


def _words(xp: Any, x: Any) -> Any:
    """Return a uint32 for each entry."""
    words = [
        (bits ^ (bits >> 32)).astype(np.uint32)
        if bits.dtype == np.uint64
        else bits.astype(np.uint32)
        for bits in _bits(x)
    ]
    word = functools.reduce(xp.bitwise_xor, words)
    return word ^ (word >> 16)  # signs of an even number of entries would cancel


def _ulps(xp: Any, a: Any, b: Any) -> Any:
    """Return distances in units in the last place; 0 where there are none."""
    if a.dtype != b.dtype or not jnp.issubdtype(a.dtype, jnp.floating):
        return xp.zeros(a.shape, np.uint32)
    x, y = (_ordered(xp, bits) for (bits,) in (_bits(a), _bits(b)))
    return xp.maximum(x, y) - xp.minimum(x, y)


def _ordered(xp: Any, bits: Any) -> Any:
    """Return the bits of floats as integers in the order of the floats; -0 is 0."""
    kind = bits.dtype.type
    top = kind(1 << (bits.dtype.itemsize * 8 - 1))
    return xp.where(bits >= top, top - (bits - top), bits + top)


# -- on devices ------------------------------------------------------------------------


def _on_devices(a: jax.Array, b: jax.Array) -> Part:
    """Measure two arrays where the first one lives, in one program a shape."""
    if not b.sharding.is_equivalent_to(a.sharding, a.ndim):
        b = jax.device_put(b, a.sharding)
    whole = None
    if not a.is_fully_addressable and isinstance(a.sharding, NamedSharding):
        whole = NamedSharding(a.sharding.mesh, PartitionSpec())
    with no_mesh(), jax.numpy_dtype_promotion("standard"):
        # one at a time: programs of several devices may wait for each other
        return jax.device_get(_program(_reduced(a.shape), whole)(a, b))


def _reduced(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes that are summed over: all but the longest that is not too long.

    Sums of parts are more precise than one of all, and count no further than 2^32.
    """
    short = [i for i, n in enumerate(shape) if n <= _LANES]
    kept = max(short, key=lambda i: shape[i], default=None)
    return tuple(i for i in range(len(shape)) if i != kept)


@functools.lru_cache
def _program(axes: tuple[int, ...], whole: Sharding | None) -> Callable[..., Part]:
    def run(a: Any, b: Any) -> Part:
        return _measured(jnp, a, b, axes)

    return jax.jit(run, out_shardings=whole)


# -- on the host -----------------------------------------------------------------------


def _on_host(a: Any, b: Any) -> Part:
    with np.errstate(all="ignore"):
        return _measured(np, a, b, tuple(range(a.ndim)))


def _fetched(x: Any) -> Any:
    """Return an array on the host."""
    if isinstance(x, jax.Array) and not x.is_fully_addressable:
        raise Refused(
            "an array of several processes is compared with NumPy's; give both alike."
        )
    return np.asarray(jax.device_get(x))


def _chunks(a: Any, b: Any) -> Iterator[tuple[Any, Any]]:
    """Yield parts of two arrays, none larger than the host is to look at together."""
    if a.size <= _CHUNK:
        if a.size:
            yield a, b
        return
    step = _CHUNK // (a.size // len(a))
    if not step:
        for x, y in zip(a, b, strict=True):
            yield from _chunks(x, y)
        return
    for i in range(0, len(a), step):
        yield a[i : i + step], b[i : i + step]
