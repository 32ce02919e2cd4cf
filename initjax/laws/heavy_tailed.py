"""Laws without all moments: Cauchy, StudentT."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betainc

from .._core import samplers
from .._core.arguments import as_number, needs
from .._core.bits import random_bits, split_in_two
from .._core.compile import Draw
from .._core.fields import Real, checked, needed, number, stream
from .._core.initializer import Initializer
from .._core.promise import Law, _normal_cdf, _scaled_cdf
from .._core.streams import Seed
from .._registry import named
from .continuous import numpy_of

Shape = tuple[int, ...]
Array = np.ndarray[Any, Any]


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Cauchy(Initializer):
    """Cauchy law: half of the entries lie within `scale` of `loc`.

    Mean loc as a principal value alone, standard deviation infinite. Entries
    independent, up to 2.7e9 scales from `loc` in float32 and 1.2e19 in float64.

    Any shape; float dtypes that hold `loc` and `scale`. Tails saturate at the dtype's
    largest finite value.

    Args:
        loc: Median, finite.
        scale: Half the distance between the quartiles, finite, > 0.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: A number out of range, or that the dtype does not hold.
        TypeError: A complex, integer or bool dtype.

    References:
        `jax.random.cauchy`; `torch.distributions.Cauchy`.
    """

    loc: Real = checked(0.0, number())
    scale: Real = checked(1.0, number(above=0))
    seed: Seed = checked(None, stream)

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, loc=self.loc * by, scale=self.scale * by)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        return Draw(cauchy, _location(self, dtype))

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float")
        cdf = partial(_scaled_cdf, float(self.loc), float(self.scale), _cauchy_cdf)
        return Law(float(self.loc), math.inf, cdf=cdf)


@named()
@dataclass(frozen=True, slots=True, repr=False)
class StudentT(Initializer):
    """Student's t law with `df` degrees of freedom, about `loc`.

    Mean loc, standard deviation scale sqrt(df / (df - 2)): infinite for df <= 2, and
    for df <= 1 the mean is a principal value alone; df=1 is Cauchy's law. Entries
    independent, exact for every df.

    Any shape; float dtypes that hold `loc` and `scale`. Tails saturate at the dtype's
    largest finite value.

    Args:
        df: Degrees of freedom, finite, > 0.
        loc: Median, finite.
        scale: Factor of the standard law, finite, > 0; not its standard deviation.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: A number out of range, or that the dtype does not hold.
        TypeError: A complex, integer or bool dtype.

    References:
        Bailey, "Polar generation of random variates with the t-distribution",
        Mathematics of Computation 1994; `jax.random.t`; `torch.distributions.StudentT`.
    """

    df: Real = needed(number(above=0))
    loc: Real = checked(0.0, number())
    scale: Real = checked(1.0, number(above=0))
    seed: Seed = checked(None, stream)

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, loc=self.loc * by, scale=self.scale * by)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        loc, _ = _location(self, dtype)
        work, xp = samplers.work_dtype(dtype), numpy_of(self.df, self.scale)
        # XLA would multiply by the reciprocal of a constant, and divide by others
        power = as_number("1 / df", 1 / self.df, work)
        size = as_number("scale * sqrt(df)", self.scale * xp.sqrt(self.df), work)
        return Draw(student_t, (loc, size, power))

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float")
        df, loc, scale = float(self.df), float(self.loc), float(self.scale)
        return Law(
            loc,
            scale * math.sqrt(df / (df - 2)) if df > 2 else math.inf,
            cdf=partial(_scaled_cdf, loc, scale, partial(_student_cdf, df)),
        )


def _location(law: Any, dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """Return loc and scale, or refuse what the dtype that comes out does not hold."""
    needs(dtype, "float")
    work = samplers.work_dtype(dtype)
    fields = [(name, getattr(law, name)) for name in ("loc", "scale")]
    for name, value in fields:
        as_number(name, value, dtype)
    return tuple(as_number(name, value, work) for name, value in fields)


def _cauchy_cdf(z: Array) -> Array:
    return np.arctan2(1.0, -z) / math.pi


def _student_cdf(df: float, z: Array) -> Array:
    """Evaluate the standard cdf to five digits, which is what `betainc` has.

    In each tail by its own incomplete beta function; for a large df by Wallace's normal
    approximation.
    """
    square = z * z
    if df > 50:
        size = np.sqrt(df * np.log1p(square / df)) * (8 * df + 1) / (8 * df + 3)
        return _normal_cdf(np.copysign(size, z))
    near = 1 - np.asarray(betainc(0.5, df / 2, square / (df + square)), np.float64)
    far = np.asarray(betainc(df / 2, 0.5, df / (df + square)), np.float64)
    tail = np.where(square < df, near, far) / 2
    return np.where(z < 0, tail, 1 - tail)


def cauchy(
    key: jax.Array, shape: Shape, dtype: Any, loc: jax.Array, scale: jax.Array
) -> jax.Array:
    """The lowest bit is the sign, the others the cotangent of an acute angle."""
    work = samplers.work_dtype(dtype)
    bits = random_bits(key, shape, work.itemsize * 8)
    angle = samplers.fine_unit(bits, work) * work.type(math.pi / 2)
    size = scale / jnp.tan(angle)
    return samplers.saturated(samplers.signed(size, bits) + loc, dtype)


def student_t(
    key: jax.Array,
    shape: Shape,
    dtype: Any,
    loc: jax.Array,
    size: jax.Array,
    power: jax.Array,
) -> jax.Array:
    """Bailey's polar method: sqrt(df (u^(-2 / df) - 1)) cos(phase).

    The root is taken as u^(-1 / df) sqrt(1 - u^(2 / df)), which reaches further.
    """
    work = samplers.work_dtype(dtype)
    u, v = (
        samplers.fine_unit(random_bits(k, shape, work.itemsize * 8), work)
        for k in split_in_two(key)
    )
    h = jnp.log(u) * power
    radius = jnp.exp(-h) * jnp.sqrt(-jnp.expm1(h + h))
    x = radius * size * jnp.cos(v * work.type(math.pi))
    return samplers.saturated(x + loc, dtype)
