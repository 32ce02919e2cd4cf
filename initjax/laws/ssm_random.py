"""Random laws of state-space layers: MambaDt, Ring."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core import samplers
from .._core.arguments import as_number, needs
from .._core.bits import random_bits, split_in_two
from .._core.compile import Draw
from .._core.fields import Real, checked, choice, number, stream
from .._core.initializer import Initializer
from .._core.promise import Law, mixture_law, quantile_moments, uniform_law
from .._core.rounding import settle
from .._core.streams import Seed
from .._errors import Refused
from .._registry import named
from .continuous import (
    check_order,
    log_range,
    log_uniform_law,
    numpy_of,
    spread_in_logs,
)

Shape = tuple[int, ...]
Array = np.ndarray[Any, Any]


@named()
@dataclass(frozen=True, slots=True, repr=False)
class MambaDt(Initializer):
    """Bias whose softplus, a step, is log-uniform on [dt_min, dt_max], cut at `floor`.

    For short steps mean about log(dt_min dt_max) / 2, standard deviation about
    log(dt_max / dt_min) / sqrt(12): `law` has the exact ones. Entries independent; a
    step below `floor` becomes `floor`.

    Any shape; float dtypes.

    Args:
        dt_min: Shortest step, finite, > 0.
        dt_max: Longest step, finite, >= dt_min.
        floor: Least step that comes out, finite, >= 0.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: A number out of range; dt_min > dt_max.
        TypeError: A complex, integer or bool dtype.

    References:
        Gu and Dao, "Mamba: linear-time sequence modeling with selective state spaces",
        COLM 2024, section 3.6.
    """

    dt_min: Real = checked(1e-3, number(above=0))
    dt_max: Real = checked(0.1, number(above=0))
    floor: Real = checked(1e-4, number(least=0))
    seed: Seed = checked(None, stream)

    def _validate(self) -> None:
        check_order(self, "dt_min", "dt_max")

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float")
        work = samplers.work_dtype(dtype)
        xp = numpy_of(self.dt_min, self.dt_max, self.floor)
        ends = [xp.maximum(dt, self.floor) for dt in (self.dt_min, self.dt_max)]
        numbers = (
            *log_range(self.dt_min, self.dt_max, work),
            as_number("floor", self.floor, work),
            *(as_number("dt", inverse_softplus(dt, xp), work) for dt in ends),
        )
        return Draw(mamba_dt, numbers)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float")
        low, high, floor = float(self.dt_min), float(self.dt_max), float(self.floor)
        start, end = max(low, floor), max(high, floor)
        steps = log_uniform_law(start, end)
        point, last = (float(inverse_softplus(dt, np)) for dt in (start, end))
        gap = math.log(end / start)
        mean, std = quantile_moments(
            lambda u, _: inverse_softplus(start * np.exp(u * gap), np)
        )
        assert steps.cdf is not None
        cdf = partial(_softplus_cdf, steps.cdf)
        above = Law(mean, std, point, last, cdf=cdf)
        cut = math.log(min(start, high) / low) / (math.log(high / low) or 1)
        return mixture_law([uniform_law(point, point), above], [cut, 1 - cut])


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Ring(Initializer):
    """Eigenvalues uniform on the ring r_min <= |z| <= r_max, phases in [0, max_phase).

    Over the ring mean 0, standard deviation sqrt((r_min^2 + r_max^2) / 2): of the
    complex eigenvalues, with `max_phase` 2 pi; `law` says those of every part. A layer
    with real parameters takes `part="nu_log"`, log(-log |z|), and "theta_log", the
    logarithm of the phase, so that z = exp(-exp(nu_log) + i exp(theta_log)); drawn with
    one key, all parts are those of the same eigenvalues. Entries independent.

    Any shape; complex dtypes for eigenvalues, float ones for the other parts.

    Args:
        r_min: Least modulus, in [0, r_max].
        r_max: Greatest modulus, in (0, 1].
        max_phase: Greatest phase, finite, > 0; small ones remember long.
        part: "eigenvalue", "nu_log" or "theta_log".
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: A number out of range; nu_log of the unit circle.
        TypeError: A dtype that is not the part's.

    References:
        Orvieto et al., "Resurrecting recurrent neural networks for long sequences",
        ICML 2023, lemma 3.2.
    """

    r_min: Real = checked(0.0, number(least=0))
    r_max: Real = checked(1.0, number(above=0))
    max_phase: Real = checked(2 * math.pi, number(above=0))
    part: str = checked("eigenvalue", choice("eigenvalue", "nu_log", "theta_log"))
    seed: Seed = checked(None, stream)

    def _validate(self) -> None:
        check_order(self, "r_min", "r_max")
        if not isinstance(self.r_max, jax.Array) and self.r_max > 1:
            raise Refused(
                f"r_max={self.r_max} is above 1, so the state would grow; "
                "give r_max <= 1."
            )
        if self.part == "nu_log" and not isinstance(self.r_min, jax.Array):
            if self.r_min == 1:
                raise Refused("nu_log is -inf on the unit circle; give r_min < 1.")

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        self._check(dtype)
        work = samplers.work_dtype(dtype)
        low, high, phase = self.r_min, self.r_max, self.max_phase
        if self.part == "theta_log":
            bound = numpy_of(phase).log(phase)
            return Draw(theta_log, (as_number("log(max_phase)", bound, work),))
        width = as_number("r_max^2 - r_min^2", (high - low) * (high + low), work)
        if self.part == "nu_log":
            xp = numpy_of(low, high)
            ends = [_nu(r, xp) for r in (high, low)]
            lost = as_number("1 - r_max^2", (1 - high) * (1 + high), work)
            bounds = (as_number("log(-log(r))", end, work) for end in ends)
            return Draw(nu_log, (lost, width, *bounds))
        least = as_number("r_min^2", low * low, work)
        return Draw(eigenvalue, (least, width, as_number("max_phase", phase, work)))

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        self._check(dtype)
        low, high, phase = float(self.r_min), float(self.r_max), float(self.max_phase)
        if self.part == "theta_log":
            top = math.log(phase)
            return Law(top - 1, 1.0, high=top, cdf=partial(_theta_cdf, phase))
        modulus = partial(_modulus_cdf, low, high)
        if self.part == "nu_log":
            mean, std = quantile_moments(partial(_nu_quantile, low, high))
            least, most = (float(_nu(r, np)) for r in (high, low))
            return Law(mean, std, least, most, cdf=partial(_nu_cdf, modulus))
        size = 2 / 3 * (high**2 + high * low + low**2) / (high + low)
        turn = (cmath.exp(1j * phase) - 1) / (1j * phase)
        mean: Any = size * turn if phase % (2 * math.pi) else 0.0
        square = (low**2 + high**2) / 2 - abs(mean) ** 2
        return Law(mean, math.sqrt(max(square, 0)), low, high, cdf=modulus)

    def _check(self, dtype: np.dtype[Any]) -> None:
        is_whole = self.part == "eigenvalue"
        if is_whole and jnp.issubdtype(dtype, jnp.floating):
            raise Refused(
                f"eigenvalues are complex, got dtype {dtype.name}; give complex64, or "
                "part='nu_log' or part='theta_log'.",
                TypeError,
            )
        needs(dtype, "complex" if is_whole else "float")


def inverse_softplus(dt: Any, xp: Any) -> Any:
    """Return the number whose softplus is `dt`."""
    return dt + xp.log(-xp.expm1(-dt))


def mamba_dt(
    key: jax.Array,
    shape: Shape,
    dtype: Any,
    middle: jax.Array,
    reach: jax.Array,
    floor: jax.Array,
    low: jax.Array,
    high: jax.Array,
) -> jax.Array:
    """The inverse softplus of a step."""
    dt = spread_in_logs(key, shape, middle, reach)
    dt = jnp.where(dt < floor, floor, dt)
    return settle(inverse_softplus(dt, jnp), dtype, low, high)


def eigenvalue(
    key: jax.Array,
    shape: Shape,
    dtype: Any,
    least: jax.Array,
    width: jax.Array,
    max_phase: jax.Array,
) -> jax.Array:
    """The square root of a uniform number, at a uniform phase."""
    work = np.dtype(width.dtype)
    u, v = _uniforms(key, shape, work)
    radius, phase = jnp.sqrt((work.type(1) - u) * width + least), v * max_phase
    return lax.complex(radius * jnp.cos(phase), radius * jnp.sin(phase))


def nu_log(
    key: jax.Array,
    shape: Shape,
    dtype: Any,
    lost: jax.Array,
    width: jax.Array,
    low: jax.Array,
    high: jax.Array,
) -> jax.Array:
    """log(-log r) of the r whose 1 - r^2, precise where r is near 1, is uniform."""
    work = np.dtype(width.dtype)
    u, _ = _uniforms(key, shape, work)
    below_1 = work.type(1 - np.finfo(work).epsneg)
    gap = jnp.minimum(u * width + lost, below_1)
    return settle(jnp.log(-jnp.log1p(-gap) * work.type(0.5)), dtype, low, high)


def theta_log(key: jax.Array, shape: Shape, dtype: Any, bound: jax.Array) -> jax.Array:
    """The logarithm of a uniform phase."""
    _, v = _uniforms(key, shape, np.dtype(bound.dtype))
    return settle(jnp.log(v) + bound, dtype, high=bound)


def _uniforms(key: jax.Array, shape: Shape, work: np.dtype[Any]) -> Any:
    """Return what a modulus and a phase are made of, whichever of them is used."""
    width = work.itemsize * 8
    bits = (random_bits(k, shape, width) for k in split_in_two(key))
    return tuple(samplers.fine_unit(b, work) for b in bits)


def _softplus_cdf(cdf: Any, x: Any) -> Array:
    return cdf(np.logaddexp(0.0, np.asarray(x, np.float64)))


def _modulus_cdf(low: float, high: float, x: Any) -> Array:
    r = np.asarray(x, np.float64)
    if low == high:
        return (r >= low).astype(np.float64)
    return (np.clip(r, low, high) ** 2 - low**2) / (high**2 - low**2)


def _nu(r: Any, xp: Any) -> Any:
    with np.errstate(divide="ignore"):
        return xp.log(-xp.log(r))


def _nu_quantile(low: float, high: float, u: Array, v: Array) -> Array:
    """Return log(-log r) where r^2 is high^2 - u of the ring, v = 1 - u."""
    gap = 1 - high * high + (high * high - low * low) * u
    near = np.log1p(-np.minimum(gap, 0.5))
    far = np.log(low * low + (high * high - low * low) * v)
    return np.log(-np.where(gap < 0.5, near, far) / 2)


def _nu_cdf(modulus: Any, x: Any) -> Array:
    return 1 - modulus(np.exp(-np.exp(np.minimum(np.asarray(x, np.float64), 700.0))))


def _theta_cdf(max_phase: float, x: Any) -> Array:
    top = math.log(max_phase)
    return np.exp(np.minimum(np.asarray(x, np.float64), top) - top)
