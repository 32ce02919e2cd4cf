"""Rounding once, from the dtype a law computes in to the one that comes out."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._errors import Refused
from .promise import Law


def work_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the real dtype a law computes in: float32 for all narrower floats."""
    real = _real(dtype)
    return real if real.itemsize >= 4 else np.dtype(np.float32)


def wide_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the dtype of entries that are yet to be rounded, complex ones too."""
    is_complex = jnp.issubdtype(dtype, jnp.complexfloating)
    return np.dtype(dtype) if is_complex else work_dtype(dtype)


def check_fit(law: Law, dtype: np.dtype[Any]) -> None:
    """Refuse a law whose draws would all round to 0, or many to no finite number.

    Of a float dtype narrower than 32 bits, which saturates, the law's bounds or two
    standard deviations about its mean must be in range; of a wider one, ten of them.
    A law without a standard deviation has a scale, which it checks itself.
    """
    if math.isinf(law.std):
        return
    real, work = _real(dtype), work_dtype(dtype)
    mean, spread = abs(law.mean), 10 if real == work else 2
    reach = min(max(abs(law.low), abs(law.high)), mean + spread * law.std)
    size = law.std or mean
    # XLA flushes what is subnormal in the dtype it computes in
    tiny, info = float(np.finfo(work).tiny), jnp.finfo(real)
    too_small = 0 < size <= max(tiny, float(info.smallest_subnormal) / 2)
    if too_small or reach > float(info.max):
        raise Refused(
            f"{dtype.name} cannot hold a law of mean {law.mean:g} and standard "
            f"deviation {law.std:g}; give another, or a dtype that holds it."
        )


def _real(dtype: Any) -> np.dtype[Any]:
    """Return the dtype of a number's real part."""
    is_complex = jnp.issubdtype(dtype, jnp.complexfloating)
    return np.dtype(np.finfo(dtype).dtype if is_complex else dtype)


def settle(
    x: jax.Array,
    dtype: Any,
    low: Any = None,
    high: Any = None,
    *,
    open_high: bool = False,
) -> jax.Array:
    """Round once to `dtype`, inside [low, high], or [low, high) with `open_high`.

    A narrow dtype saturates at its largest finite value: float8_e4m3fn has no infinity
    and would turn the tail of a law into NaN.
    """
    if np.dtype(dtype) != x.dtype:
        largest = np.asarray(float(jnp.finfo(dtype).max), x.dtype)[()]
        low = -largest if low is None else jnp.maximum(low, -largest)
        high = largest if high is None else jnp.minimum(high, largest)
    if low is not None:
        low = _inward(low, dtype, up=True)
    if high is not None:
        high = _inward(high, dtype, up=False, strict=open_high)
        high = high if low is None else jnp.where(high < low, low, high)
    # chosen after rounding by what was there before it, which XLA compiles fastest
    y = x.astype(dtype)
    if high is not None:
        y = jnp.where(x > high, high.astype(dtype), y)
    return y if low is None else jnp.where(x < low, low.astype(dtype), y)


def rounded(x: jax.Array, dtype: Any, low: Any = None, high: Any = None) -> jax.Array:
    """Round once to `dtype`, inside [low, high], where there is anything to round."""
    return x if x.dtype == dtype else settle(x, dtype, low, high)


def narrowed(x: jax.Array, dtype: Any) -> jax.Array:
    """Round to a narrower float dtype, and keep the dtype.

    XLA may leave out a cast to a narrower dtype and back, as it does on GPUs;
    arithmetic it keeps.
    """
    info, wide = jnp.finfo(dtype), jnp.finfo(x.dtype)
    fine = lax.reduce_precision(x, wide.nexp, info.nmant)
    step = float(info.smallest_subnormal)
    if step < float(wide.tiny):  # bfloat16 has the exponents of float32
        return fine
    step, steps, tiny = (x.dtype.type(n) for n in (step, 1 / step, float(info.tiny)))
    coarse = lax.round(x * steps, lax.RoundingMethod.TO_NEAREST_EVEN) * step
    return jnp.where(jnp.abs(x) < tiny, coarse, fine)


def _inward(bound: Any, dtype: Any, *, up: bool, strict: bool = False) -> jax.Array:
    """Return the value of `dtype` next to `bound` on the inner side, as `bound`'s."""
    bound = jnp.asarray(bound)
    near = bound if bound.dtype == dtype else narrowed(bound, dtype)
    outside = near < bound if up else (near >= bound if strict else near > bound)
    return jnp.where(outside, _neighbour(near, dtype, up=up), near)


def _neighbour(x: jax.Array, dtype: Any, *, up: bool) -> jax.Array:
    """Return the next value of `dtype` above or below one of its values, as x's."""
    info, wide = jnp.finfo(dtype), jnp.finfo(x.dtype)
    uint = np.dtype(f"uint{wide.bits}")
    unit = np.asarray(1 << (wide.nmant - info.nmant), uint)[()]
    bits = lax.bitcast_convert_type(x, uint)
    away = lax.bitcast_convert_type(bits + unit, x.dtype)
    towards = lax.bitcast_convert_type(bits - unit, x.dtype)
    # below the smallest normal number the values have equal distances
    step = max(float(info.smallest_subnormal), float(wide.tiny))
    coarse = x + x.dtype.type(step if up else -step)
    tiny, grows = x.dtype.type(float(info.tiny)), (x > 0) if up else (x < 0)
    fine = jnp.where(grows, jnp.abs(x) >= tiny, jnp.abs(x) > tiny)
    return jnp.where(fine, jnp.where(grows, away, towards), coarse)
