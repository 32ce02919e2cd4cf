"""How likely chance does what is seen, in standard errors."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._core.promise import Array, Law

FALSE_ALARMS = 0.002  # by chance, in a whole report
_POINTS = 256  # at which a sample is held to a law
_NORMAL = NormalDist()


def sigmas(log_p: float) -> float:
    """Return how many standard deviations off a normal number is as rarely.

    Args:
        log_p: The logarithm of a probability, of both tails.
    """
    if log_p >= 0 or math.isnan(log_p):
        return 0.0
    if log_p > -30:
        return -_NORMAL.inv_cdf(math.exp(log_p) / 2)
    z = math.sqrt(-2 * log_p)
    for _ in range(4 if math.isfinite(z) else 0):
        z = math.sqrt(-2 * (log_p + math.log(z * math.sqrt(math.pi / 2))))
    return z


def threshold(tests: int) -> float:
    """Return from where on one of so many tests is no false alarm."""
    return sigmas(math.log(FALSE_ALARMS / max(tests, 1)))


def variance_z(ratio: float, count: int, kurtosis: float) -> float:
    """Return how many standard errors a ratio of variances is from 1.

    Its cube root is nearly normal, also for few entries (Wilson and Hilferty).
    """
    share = (kurtosis - 1) / (9 * count)
    return (ratio ** (1 / 3) - (1 - share)) / math.sqrt(share)


def poisson_sigmas(seen: float, expected: float) -> float:
    """Return how sure it is that so many are too many."""
    if seen <= expected:
        return 0.0
    return sigmas(seen - expected - seen * math.log(seen / expected))


def grain(x: Any, dtype: np.dtype[Any]) -> Array:
    """Return how far the neighbours of numbers are in a dtype."""
    x = np.abs(np.asarray(x, np.float64))
    if jnp.issubdtype(dtype, jnp.complexfloating):
        dtype = np.dtype(np.float64 if dtype.itemsize == 16 else np.float32)
    if not jnp.issubdtype(dtype, jnp.floating):
        return np.full_like(x, 0.5)
    about = jnp.finfo(dtype)
    return np.maximum(x * float(about.eps), float(about.smallest_subnormal))


def kurtosis(law: Law, is_complex: bool) -> float | None:
    """Return E|w - mean|^4 / std^4; None if the law does not say, or hardly has one."""
    if is_complex and law.mean:
        return None  # the distribution is of the modulus
    if law.cdf is None or not 0 < law.std < math.inf:
        return None
    t = 16 * np.linspace(0, 1, 1025) ** 2
    if is_complex:
        beyond = 1 - law.cdf(t * law.std)
    else:
        beyond = 1 - law.cdf(law.mean + t * law.std) + law.cdf(law.mean - t * law.std)
    if beyond[-1] * t[-1] ** 4 > 1e-2:  # tails too heavy to go by the moment
        return None
    y = 4 * t**3 * beyond
    return max(float(((y[1:] + y[:-1]) / 2 * np.diff(t)).sum()), 1.0001)


def distance(law: Law, sample: Array, dtype: np.dtype[Any]) -> float:
    """Return how far the distribution of a sample is from a law's (Kolmogorov).

    A number stands for all that are rounded to it.
    """
    if law.cdf is None:
        return 0.0
    x, times = np.unique(sample, return_counts=True)
    upto = np.cumsum(times)
    chosen = np.unique(np.arange(_POINTS) * (len(x) - 1) // (_POINTS - 1))
    x, times, upto = x[chosen].astype(np.float64), times[chosen], upto[chosen]
    near, n = grain(x, dtype), len(sample)
    above = upto / n - law.cdf(x + near)
    below = law.cdf(x - near) - (upto - times) / n
    return float(max(above.max(), below.max(), 0.0))


def distance_sigmas(distance: float, count: int) -> float:
    """Return how sure a distance is (Massart's bound, of every count)."""
    return sigmas(math.log(2) - 2 * count * distance**2)


def repeats_sigmas(law: Law, sample: Array, dtype: np.dtype[Any]) -> float:
    """Return how sure a sample has the same numbers more often than the law has."""
    values = np.unique(sample).astype(np.float64)
    repeats, m = len(sample) - len(values), len(sample)
    drawn = m * m / 2**22  # single-precision samplers have 2^23 numbers or more
    if law.cdf is None or repeats <= 4 * drawn + 8:
        return 0.0
    near = grain(values, dtype)
    mass = (law.cdf(values + near) - law.cdf(values - near)).sum()
    return poisson_sigmas(repeats, m * min(float(mass), 1.0) + drawn)
