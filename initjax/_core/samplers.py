"""Arrays of a law from random bits, one per element, in one fused pass.

Every sampler is `(key, shape, dtype, *numbers, **options)`: numbers are traced (one
executable serves all of them), options are part of the executable. Floats narrower
than 32 bits are sampled in float32 and rounded once, inside the law's bounds.
float32 and float64 give the bits of a jitted `jax.nn.initializers`, so the order of
the operations here is part of the contract.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .bits import random_bits, split_in_two
from .compile import Draw
from .promise import TAIL, mills
from .rounding import settle
from .rounding import work_dtype as work_dtype

Shape = tuple[int, ...]
Number = jax.Array

_PRECISE = 5.0  # erf rounds to 1 in float32 soon after this many sigmas


def fill(key: Any, shape: Shape, dtype: Any, value: Number) -> jax.Array:
    """Broadcast `value` to the shape."""
    del key  # constants draw nothing
    return jnp.broadcast_to(value.astype(dtype), shape)


def eye(
    key: Any, shape: Shape, dtype: Any, gain: Number, *, shift: int = 0
) -> jax.Array:
    """Put `gain` on the main diagonal of a matrix of zeros, its rows moved down."""
    del key  # constants draw nothing
    row, column = (lax.broadcasted_iota(jnp.int32, shape, axis) for axis in (0, 1))
    if shift:
        row = jnp.where(row < shift, row + (shape[0] - shift), row - shift)
    return jnp.where(row == column, gain, jnp.zeros_like(gain)).astype(dtype)


def uniform(
    key: jax.Array, shape: Shape, dtype: Any, low: Number, high: Number
) -> jax.Array:
    """Uniform on [low, high)."""
    x = _between(key, shape, work_dtype(dtype), low, high)
    return settle(x, dtype, low, high, open_high=True)


def symmetric_uniform(
    key: jax.Array, shape: Shape, dtype: Any, limit: Number
) -> jax.Array:
    """Uniform on [-limit, limit)."""
    work = work_dtype(dtype)
    x = _between(key, shape, work, _at(-1, work), _at(1, work)) * limit
    return settle(x, dtype, -limit, limit, open_high=True)


def integers(
    key: jax.Array, shape: Shape, dtype: Any, low: Number, high: Number
) -> jax.Array:
    """Uniform on the integers low, ..., high - 1; narrow ones are drawn as int32."""
    return jax.random.randint(key, shape, low, high, low.dtype).astype(dtype)


def next_integers(
    key: jax.Array, shape: Shape, dtype: Any, low: Number, high: Number
) -> jax.Array:
    """Uniform on the integers low + 1, ..., high, which may be the largest."""
    x = integers(key, shape, dtype, low, high)
    return x + jnp.ones((), dtype)


def all_integers(key: jax.Array, shape: Shape, dtype: Any) -> jax.Array:
    """Uniform on all integers of the dtype, as `jax.random.randint` has them."""
    info, (_, key) = jnp.iinfo(dtype), split_in_two(key)
    bits = jax.random.bits(key, shape, f"uint{info.bits}")
    return lax.bitcast_convert_type(bits, dtype) + jnp.asarray(info.min, dtype)


def normal(
    key: jax.Array, shape: Shape, dtype: Any, stddev: Number, mean: Number | None = None
) -> jax.Array:
    """Normal with the given mean and standard deviation."""
    work = work_dtype(dtype)
    x = _half_normal_units(key, shape, work) * (_at(math.sqrt(2), work) * stddev)
    return settle(x if mean is None else x + mean, dtype)


def truncated_normal(
    key: jax.Array,
    shape: Shape,
    dtype: Any,
    sigma: Number,
    mean: Number | None = None,
    *bounds: Number,
    lower: float,
    upper: float,
) -> jax.Array:
    """Mean plus sigma times a standard normal cut to (lower, upper).

    `bounds` are those of the entries where they are given as such.
    """
    work = work_dtype(dtype)
    if lower > TAIL:
        z = _upper_tail(key, shape, work, lower, upper)
    elif upper < -TAIL:
        z = -_upper_tail(key, shape, work, -upper, -lower)
    else:
        z = _central(key, shape, work, lower, upper)

    def scaled(z: Any) -> jax.Array:
        return z * sigma if mean is None else z * sigma + mean

    low, high = bounds or (
        None if math.isinf(z) else scaled(_at(z, work)) for z in (lower, upper)
    )
    return settle(scaled(z), dtype, low, high)


def complex_normal(
    key: jax.Array, shape: Shape, dtype: Any, stddev: Number
) -> jax.Array:
    """Circular complex normal with E|w|^2 = stddev^2."""
    work = work_dtype(dtype)
    re, im = (_half_normal_units(k, shape, work) * stddev for k in split_in_two(key))
    return lax.complex(re, im)


def complex_truncated_normal(
    key: jax.Array, shape: Shape, dtype: Any, sigma: Number
) -> jax.Array:
    """Circular complex normal of unit E|w|^2, its modulus cut at 2, times sigma."""
    mass = -math.expm1(-4.0)
    radius, phase = _polar(key, shape, work_dtype(dtype))
    return _on_circle(jnp.sqrt(-jnp.log1p(-mass * radius)) * sigma, phase)


def complex_disk(key: jax.Array, shape: Shape, dtype: Any, stddev: Number) -> jax.Array:
    """Uniform on the disk around 0 with E|w|^2 = stddev^2."""
    radius, phase = _polar(key, shape, work_dtype(dtype))
    return _on_circle(jnp.sqrt(2 * radius) * stddev, phase)


_BY_INDEX = (normal, uniform, symmetric_uniform, truncated_normal)


def is_by_index(draw: Draw, dtype: Any) -> bool:
    """Tell whether an entry depends on its row-major index alone, in every loop.

    Not the tails, whose logarithms XLA rounds as it vectorizes the loop around them.
    """
    cut = dict(draw.options)
    central = cut.get("lower", 0) <= TAIL and cut.get("upper", 0) >= -TAIL
    known = draw.sampler in _BY_INDEX and central
    return known and jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits >= 16


def _at(value: float, work: Any) -> Any:
    return np.asarray(value, work)[()]


def _unit(key: jax.Array, shape: Shape, work: np.dtype[Any]) -> jax.Array:
    """Uniform on [0, 1): random mantissa bits under the exponent of 1, minus 1."""
    bits, mantissa = work.itemsize * 8, np.finfo(work).nmant
    one = np.asarray(1, work)
    uint = np.dtype(f"uint{bits}")
    mantissas = random_bits(key, shape, bits) >> _at(bits - mantissa, uint)
    return lax.bitcast_convert_type(mantissas | one.view(uint)[()], work) - one[()]


def fine_unit(bits: jax.Array, work: np.dtype[Any]) -> jax.Array:
    """Uniform on (0, 1], the finer the nearer to 0; independent of the lowest bit."""
    width = bits.dtype.itemsize * 8
    return (bits | _at(1, bits.dtype)).astype(work) * _at(2.0**-width, work)


def signed(size: jax.Array, bits: jax.Array) -> jax.Array:
    """Negate by the lowest bit."""
    return jnp.where(bits & _at(1, bits.dtype) == 0, size, -size)


def saturated(x: jax.Array, dtype: Any) -> jax.Array:
    """Round once to `dtype`, tails that it does not hold to its largest number."""
    largest = _at(float(jnp.finfo(dtype).max), x.dtype)
    return settle(x, dtype, -largest, largest)


def _between(key: jax.Array, shape: Shape, work: Any, low: Any, high: Any) -> jax.Array:
    """Uniform on [low, high): no rounding takes low plus a part of the width below."""
    return _unit(key, shape, work) * (high - low) + low


def _within(x: jax.Array, low: Any, high: Any) -> jax.Array:
    """Clip by comparisons: with minimum and maximum XLA compiles twice as long."""
    x = jnp.where(x < low, low, x)
    return jnp.where(x > high, high, x)


def _half_normal_units(key: jax.Array, shape: Shape, work: Any) -> jax.Array:
    """Standard normal divided by sqrt(2): the inverse error function of (-1, 1)."""
    lowest = np.nextafter(_at(-1, work), _at(0, work))
    return lax.erf_inv(_between(key, shape, work, lowest, _at(1, work)))


def _central(
    key: jax.Array, shape: Shape, work: Any, lower: float, upper: float
) -> jax.Array:
    """Standard normal on an interval that reaches the centre, by inverse cdf."""
    root2, low, high = _at(math.sqrt(2), work), _at(lower, work), _at(upper, work)
    u = _between(key, shape, work, lax.erf(low / root2), lax.erf(high / root2))
    inf = _at(np.inf, work)
    if max(-lower, upper) > _PRECISE:  # else erf_inv(+-1) = +-inf becomes the far bound
        one, zero = _at(1, work), _at(0, work)
        u = _within(u, np.nextafter(-one, zero), np.nextafter(one, zero))
    x = root2 * lax.erf_inv(u)
    return _within(x, np.nextafter(low, inf), np.nextafter(high, -inf))


def _upper_tail(
    key: jax.Array, shape: Shape, work: np.dtype[Any], lower: float, upper: float
) -> jax.Array:
    """Standard normal on (lower, upper) with lower > TAIL, by inverse survival.

    The distance d from `lower` solves log(Q(lower) / Q(lower + d)) = s, Q the survival
    function and s exponential; d(s) is smooth, and its Chebyshev series has one
    expensive operation, the logarithm: a solver in its place would not fuse.
    """
    terms = 24 if work == np.float32 else 64
    bits = np.finfo(work).nmant
    ratio, reach, series = _tail_series(lower, upper, bits, terms)
    v = 1 - _unit(key, shape, work)
    s = -jnp.log(_at(ratio, work) + _at(1 - ratio, work) * v)
    y = s * _at(4 / reach, work) - _at(2, work)  # twice the variable on [-1, 1]
    ahead = behind = jnp.zeros_like(y)
    for coefficient in series[:0:-1]:  # Clenshaw
        ahead, behind = y * ahead - behind + _at(coefficient, work), ahead
    d = y / 2 * ahead - behind + _at(series[0], work)
    start, inf = _at(lower, work), _at(np.inf, work)
    below = np.nextafter(_at(upper, work), -inf)
    return _within(start + d, np.nextafter(start, inf), below)


@functools.lru_cache
def _tail_series(
    lower: float, upper: float, bits: int, terms: int
) -> tuple[float, float, tuple[float, ...]]:
    """Return Q(upper) / Q(lower), the largest s, and Chebyshev's series of d(s)."""
    gap = (upper - lower) * (upper + lower) / 2
    ratio = 0.0
    if not math.isinf(upper):
        ratio = math.exp(-gap) * mills(upper) / mills(lower)
    reach = min(bits * math.log(2), -math.log(ratio) if ratio else math.inf)

    def distance(y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        s = (y + 1) * reach / 2
        d = 2 * s / (np.sqrt(lower * lower + 2 * s) + lower)
        for _ in range(6):  # Newton: the slope of log Q is -1 / Mills' ratio
            ratio_here = mills(lower + d)
            excess = (lower + d / 2) * d - np.log(ratio_here / mills(lower)) - s
            d = d - excess * ratio_here
        return d

    interpolate: Any = np.polynomial.chebyshev.chebinterpolate
    series = interpolate(distance, terms - 1)
    return ratio, reach, tuple(series.tolist())


def _polar(key: jax.Array, shape: Shape, work: Any) -> tuple[jax.Array, jax.Array]:
    radius_key, phase_key = split_in_two(key)
    phase = _unit(phase_key, shape, work) * _at(2 * math.pi, work)
    return _unit(radius_key, shape, work), phase


def _on_circle(radius: jax.Array, phase: jax.Array) -> jax.Array:
    return lax.complex(radius * jnp.cos(phase), radius * jnp.sin(phase))
