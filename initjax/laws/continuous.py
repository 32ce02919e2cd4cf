"""Laws by inverse cdf, with all moments: Laplace, LogUniform."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import samplers
from .._core.arguments import as_number, needs
from .._core.bits import random_bits
from .._core.compile import Draw
from .._core.fields import Real, checked, needed, number, stream
from .._core.initializer import Initializer
from .._core.promise import Law, _scaled_cdf, uniform_law
from .._core.rounding import settle
from .._core.streams import Seed
from .._errors import Refused
from .._registry import named

Shape = tuple[int, ...]
Array = np.ndarray[Any, Any]


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Laplace(Initializer):
    """Double exponential law about `loc`: density exp(-|x - loc| / scale) / (2 scale).

    Mean loc, standard deviation sqrt(2) scale. Entries independent, up to 22 scales
    from `loc` in float32 and 44 in float64.

    Any shape; float dtypes. Narrow floats saturate at their largest finite value.

    Args:
        loc: Mean and median, finite.
        scale: Mean distance from `loc`, finite, > 0.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: A number out of range.
        TypeError: A complex, integer or bool dtype.

    References:
        `jax.random.laplace`; `torch.distributions.Laplace`.
    """

    loc: Real = checked(0.0, number())
    scale: Real = checked(1.0, number(above=0))
    seed: Seed = checked(None, stream)

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, loc=self.loc * by, scale=self.scale * by)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float")
        work = samplers.work_dtype(dtype)
        loc, scale = (
            as_number(name, getattr(self, name), work) for name in ("loc", "scale")
        )
        return Draw(laplace, (loc, scale))

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float")
        loc, scale = float(self.loc), float(self.scale)
        cdf = partial(_scaled_cdf, loc, scale, _laplace_cdf)
        return Law(loc, math.sqrt(2) * scale, cdf=cdf)


@named()
@dataclass(frozen=True, slots=True, repr=False)
class LogUniform(Initializer):
    """Law on [minval, maxval) whose logarithm is uniform.

    Mean (maxval - minval) / log(maxval / minval), standard deviation
    sqrt((maxval^2 - minval^2) / (2 log(maxval / minval)) - mean^2). Entries
    independent. Equal bounds give that value.

    Any shape; float dtypes.

    Args:
        minval: Lower bound, inclusive, finite, > 0.
        maxval: Upper bound, exclusive, finite, >= minval.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: A number out of range; minval > maxval.
        TypeError: A complex, integer or bool dtype.

    References:
        `scipy.stats.loguniform`; Optuna, `suggest_float(log=True)`.
    """

    minval: Real = needed(number(above=0))
    maxval: Real = needed(number(above=0))
    seed: Seed = checked(None, stream)

    def _validate(self) -> None:
        check_order(self, "minval", "maxval")

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(
            self, minval=self.minval * by, maxval=self.maxval * by
        )

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float")
        work = samplers.work_dtype(dtype)
        bounds = (
            as_number(name, getattr(self, name), work) for name in ("minval", "maxval")
        )
        return Draw(log_uniform, (*log_range(self.minval, self.maxval, work), *bounds))

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float")
        return log_uniform_law(float(self.minval), float(self.maxval))


def check_order(law: Any, lower: str, upper: str) -> None:
    """Refuse concrete bounds that are the wrong way round."""
    low, high = getattr(law, lower), getattr(law, upper)
    if isinstance(low, jax.Array) or isinstance(high, jax.Array):
        return
    if low > high:
        raise Refused(f"{lower}={low} is above {upper}={high}; swap them.")


def numpy_of(*numbers: Any) -> Any:
    """Return NumPy, or jax.numpy where a number is traced."""
    return jnp if any(isinstance(x, jax.Array) for x in numbers) else np


def log_range(low: Any, high: Any, work: np.dtype[Any]) -> tuple[Any, Any]:
    """Return the middle of two numbers' logarithms, as a number, and half their gap."""
    xp = numpy_of(low, high)
    middle = xp.sqrt(low) * xp.sqrt(high)
    reach = (xp.log(high) - xp.log(low)) / 2
    return as_number("sqrt(low * high)", middle, work), as_number("log", reach, work)


def spread_in_logs(
    key: jax.Array, shape: Shape, middle: jax.Array, reach: jax.Array
) -> jax.Array:
    """Log-uniform about `middle`; in two steps, each in the range of the dtype."""
    work = np.dtype(middle.dtype)
    u = samplers.fine_unit(random_bits(key, shape, work.itemsize * 8), work)
    step = jnp.exp((u - work.type(0.5)) * reach)
    return middle * step * step


def log_uniform_law(low: float, high: float) -> Law:
    """Return the law on [low, high) whose logarithm is uniform."""
    gap = math.log(high) - math.log(low)
    if gap < 1e-5:  # uniform, to ten digits
        return uniform_law(low, high)
    ratio = low / high
    mean = -math.expm1(-gap) / gap  # over high, as is the square
    square = mean * (1 + ratio) / 2
    std = math.sqrt(max(square - mean * mean, 0.0))
    cdf = partial(_log_uniform_cdf, low, high)
    return Law(high * mean, high * std, low, high, cdf=cdf)


def _laplace_cdf(z: Array) -> Array:
    tail = np.exp(-np.abs(z)) / 2
    return np.where(z < 0, tail, 1 - tail)


def _log_uniform_cdf(low: float, high: float, x: Any) -> Array:
    inside = np.clip(np.asarray(x, np.float64), low, high)
    return np.log(inside / low) / math.log(high / low)


def laplace(
    key: jax.Array, shape: Shape, dtype: Any, loc: jax.Array, scale: jax.Array
) -> jax.Array:
    """The lowest bit is the sign, the others are minus the exponential of a size."""
    work = samplers.work_dtype(dtype)
    bits = random_bits(key, shape, work.itemsize * 8)
    size = jnp.log(samplers.fine_unit(bits, work)) * scale
    return samplers.saturated(samplers.signed(size, bits) + loc, dtype)


def log_uniform(
    key: jax.Array,
    shape: Shape,
    dtype: Any,
    middle: jax.Array,
    reach: jax.Array,
    low: jax.Array,
    high: jax.Array,
) -> jax.Array:
    """The middle times the exponential of a uniform number."""
    x = spread_in_logs(key, shape, middle, reach)
    return settle(x, dtype, low, high, open_high=True)
