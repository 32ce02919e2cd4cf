"""What a law promises: mean, standard deviation, bounds, cumulative distribution."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from .._fans.fans import Fans

Array = np.ndarray[Any, np.dtype[np.float64]]
Cdf = Callable[[Any], Array]

# sd of N(0, 1) cut to [-2, 2]: sqrt(1 - 4 pdf(2) / (cdf(2) - cdf(-2)))
TRUNCATED_AT_2_STDDEV = 0.8796256610342398
# root mean square of a complex N(0, 1) whose modulus is cut at 2:
# sqrt((1 - 5 exp(-4)) / (1 - exp(-4))); jax.nn.initializers forgets the denominator
COMPLEX_TRUNCATED_AT_2_STDDEV = 0.9619618280082136

TAIL = 3.0  # beyond this many sigmas on one side a normal goes by its survival

_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


@dataclass(frozen=True, slots=True)
class Law:
    """The law of one entry of a weight of a given shape.

    Attributes:
        mean: Mean of an entry, averaged over the weight where entries differ; complex
            where the entries are complex and not centred; a principal value where the
            tails are too heavy for a mean.
        std: Standard deviation of an entry, for a complex dtype sqrt(E|w - mean|^2);
            inf where the tails are too heavy for one.
        low: Least value (of the modulus for a complex dtype), -inf if unbounded.
        high: Greatest value or supremum, inf if unbounded.
        fans: fan_in and fan_out, for laws that scale with them; else None.
        cdf: Cumulative distribution function of one entry, on NumPy arrays (of the
            modulus for a complex dtype); None where entries are not random.
        alike: Whether each entry has this law, which then is no average over
            different ones; None where the law does not say.
    """

    mean: float
    std: float
    low: float = -math.inf
    high: float = math.inf
    fans: Fans | None = None
    cdf: Cdf | None = field(default=None, compare=False, repr=False)
    alike: bool | None = field(default=None, compare=False, repr=False)


def point_law(values: Any) -> Law:
    """Return the law of entries that are not random: their average and spread."""
    x = np.asarray(values)
    if x.size == 0:
        return Law(0.0, 0.0, 0.0, 0.0)
    size = np.abs(x) if np.iscomplexobj(x) else x
    spread = float(np.sqrt(np.mean(np.abs(x - x.mean()) ** 2)))
    return Law(x.mean().item(), spread, float(size.min()), float(size.max()))


def mixture_law(laws: Sequence[Law], weights: Sequence[float]) -> Law:
    """Return the law of an entry of several weights side by side."""
    pairs = [*zip(laws, weights, strict=True)]
    pairs = [pair for pair in pairs if pair[1]] or pairs  # those that have entries
    laws, weights = zip(*pairs, strict=True)
    shares = np.asarray(weights, np.float64) / (sum(weights) or 1)
    if len(set(laws)) == 1:
        return laws[0]
    mean = sum(share * law.mean for share, law in zip(shares, laws, strict=True))
    square = sum(
        share * (law.std**2 + abs(law.mean - mean) ** 2)
        for share, law in zip(shares, laws, strict=True)
    )
    cdfs = tuple(law.cdf or _point_cdf(law) for law in laws)
    is_known = None not in cdfs and any(law.cdf for law in laws)
    fans = {law.fans for law in laws}
    return Law(
        np.asarray(mean).item(),  # complex where constants are
        math.sqrt(float(square)),
        min(law.low for law in laws),
        max(law.high for law in laws),
        fans.pop() if len(fans) == 1 else None,
        partial(_mixture_cdf, tuple(shares.tolist()), cdfs) if is_known else None,
        alike=False,
    )


def is_alike(law: Law) -> bool:
    """Tell whether each entry is known to have the law, not an average over others."""
    if law.alike is not None:
        return law.alike
    return law.std == 0 or law.cdf is not None


def _point_cdf(law: Law) -> Cdf | None:
    """Return the step of a law without spread."""
    return None if law.std else partial(_scaled_cdf, law.low, 0.0, _uniform_cdf)


def _mixture_cdf(shares: tuple[float, ...], cdfs: tuple[Any, ...], x: Any) -> Array:
    terms = [share * cdf(x) for share, cdf in zip(shares, cdfs, strict=True)]
    return np.asarray(sum(terms), np.float64)


def normal_law(mean: float, std: float) -> Law:
    """Return the normal law N(mean, std^2)."""
    return Law(mean, std, cdf=partial(_scaled_cdf, mean, std, _normal_cdf))


def is_normal(law: Law) -> bool:
    """Tell whether a law is known to be normal, or a point."""
    cdf = law.cdf
    return isinstance(cdf, partial) and cdf.args[2:] == (_normal_cdf,)


def uniform_law(low: float, high: float) -> Law:
    """Return the uniform law on [low, high)."""
    width = high - low
    cdf = partial(_scaled_cdf, low, width, _uniform_cdf)
    return Law((low + high) / 2, width / math.sqrt(12), low, high, cdf=cdf)


def integer_law(low: int, high: int) -> Law:
    """Return the uniform law on the integers low, ..., high - 1."""
    n = high - low
    std, cdf = math.sqrt((n * n - 1) / 12), partial(_integer_cdf, low, n)
    return Law((low + high - 1) / 2, std, low, high - 1, cdf=cdf)


def truncated_normal_law(mean: float, sigma: float, lower: float, upper: float) -> Law:
    """Return the law of mean + sigma Z, Z standard normal cut to (lower, upper)."""
    shift, spread = truncated_moments(lower, upper)
    return Law(
        mean + sigma * shift,
        sigma * spread,
        mean + sigma * lower if sigma else mean,
        mean + sigma * upper if sigma else mean,
        cdf=partial(_truncated_cdf, mean, sigma, lower, upper),
    )


@functools.lru_cache
def truncated_moments(lower: float, upper: float) -> tuple[float, float]:
    """Return mean and standard deviation of N(0, 1) cut to (lower, upper).

    By Gauss-Legendre quadrature around the densest point, so that neither far tails
    nor narrow intervals cancel.
    """
    if (lower, upper) == (-2.0, 2.0):
        return 0.0, TRUNCATED_AT_2_STDDEV
    peak = min(max(0.0, lower), upper)  # the point of highest density
    # beyond `reach` on either side the density is below exp(-50) of the peak's
    reach = math.sqrt(peak * peak + 100.0) - abs(peak)
    a, b = max(lower, peak - reach), min(upper, peak + reach)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    offset = (a - peak) + (b - a) * (nodes + 1) / 2
    weights = weights * np.exp(-offset * (peak + offset / 2))
    weights = weights / weights.sum()
    mean = float(weights @ offset)
    return peak + mean, math.sqrt(float(weights @ (offset - mean) ** 2))


def quantile_moments(quantile: Callable[[Array, Array], Array]) -> tuple[float, float]:
    """Return mean and standard deviation of a function of a uniform number.

    The function is given u and 1 - u, both precise, may have logarithmic singularities
    at the ends, and is smooth between them: by tanh-sinh quadrature.
    """
    t = np.linspace(-4.0, 4.0, 257)
    u = 1 / (1 + np.exp(-math.pi * np.sinh(t)))
    weights = u * u[::-1] * np.cosh(t)
    weights = weights / weights.sum()
    x = quantile(u, u[::-1])
    mean = float(weights @ x)
    return mean, math.sqrt(float(weights @ (x - mean) ** 2))


def complex_normal_law(std: float) -> Law:
    """Return the circular complex normal law with E|w|^2 = std^2."""
    return Law(0.0, std, 0.0, cdf=partial(_modulus_cdf, std, _rayleigh_cdf))


def complex_truncated_normal_law(std: float) -> Law:
    """Return the circular complex normal law, modulus cut at 2, E|w|^2 = std^2."""
    sigma = std / COMPLEX_TRUNCATED_AT_2_STDDEV
    cdf = partial(_modulus_cdf, sigma, _cut_rayleigh_cdf)
    return Law(0.0, std, 0.0, 2.0 * sigma, cdf=cdf)


def complex_disk_law(std: float) -> Law:
    """Return the uniform law on the disk with E|w|^2 = std^2."""
    radius = std * math.sqrt(2)
    cdf = partial(_modulus_cdf, radius, _disk_cdf)
    return Law(0.0, std, 0.0, radius, cdf=cdf)


def sphere_entry_law(radius: float, n: int, is_complex: bool) -> Law:
    """Return the law of one coordinate of a uniform point on a sphere.

    Of radius `radius` in R^n, or C^n where the modulus is meant. An entry of a Haar
    matrix is one: its square (modulus) is Beta(1/2, (n - 1)/2) or Beta(1, n - 1).
    """
    low = 0.0 if is_complex else -radius
    cdf = partial(_sphere_cdf, radius, n, is_complex)
    return Law(0.0, radius / math.sqrt(n), low, radius, cdf=cdf)


# -- cumulative distributions: functions of the module, so that a law pickles -------


def _scaled_cdf(
    origin: float, scale: float, unit: Callable[[Array], Array], x: Any
) -> Array:
    """Evaluate a scaled cdf, or the step of a point mass where the scale is 0."""
    distance = np.asarray(x, np.float64) - origin
    return unit(distance / scale) if scale else (distance >= 0).astype(np.float64)


def _modulus_cdf(scale: float, unit: Callable[[Array], Array], x: Any) -> Array:
    return unit(np.maximum(np.asarray(x, np.float64), 0.0) / scale)


def _normal_cdf(z: Array) -> Array:
    return 0.5 * _erfc(-z / math.sqrt(2))


def _uniform_cdf(z: Array) -> Array:
    return np.clip(z, 0.0, 1.0)


def _rayleigh_cdf(r: Array) -> Array:
    return -np.expm1(-r * r)


def _cut_rayleigh_cdf(r: Array) -> Array:
    return np.expm1(-(np.minimum(r, 2.0) ** 2)) / math.expm1(-4.0)


def _disk_cdf(r: Array) -> Array:
    return np.minimum(r, 1.0) ** 2


def _integer_cdf(low: int, n: int, x: Any) -> Array:
    return np.clip((np.floor(np.asarray(x, np.float64)) - low + 1) / n, 0.0, 1.0)


def _truncated_cdf(
    mean: float, sigma: float, lower: float, upper: float, x: Any
) -> Array:
    z = np.clip((np.asarray(x, np.float64) - mean) / (sigma or 1.0), lower, upper)
    return _share(lower, z, upper)


def _sphere_cdf(radius: float, n: int, is_complex: bool, x: Any) -> Array:
    z = np.asarray(x, np.float64) / (radius or 1.0)
    half = _sphere_modulus_cdf(n, is_complex, np.minimum(np.abs(z), 1.0))
    if is_complex:
        return np.where(z < 0, 0.0, half)
    return np.where(z < 0, 1 - half, 1 + half) / 2


def _sphere_modulus_cdf(n: int, is_complex: bool, r: Array) -> Array:
    if n == 1:
        return (r >= 1).astype(np.float64)
    if is_complex:
        return 1 - (1 - r * r) ** (n - 1)
    reach = min(math.pi / 2, 12 / math.sqrt(n))  # the density ends there, to exp(-72)
    nodes, weights = np.polynomial.legendre.leggauss(64)

    def mass(angle: Any) -> Any:  # of which r is the sine
        return (
            (np.cos(np.multiply.outer(angle / 2, nodes + 1)) ** (n - 2))
            @ weights
            * angle
        )

    return mass(np.minimum(np.arcsin(r), reach)) / mass(reach)


def _share(lower: float, z: Array, upper: float) -> Array:
    """Return P(Z < z) for a standard normal cut to (lower, upper), in tails too."""
    if upper < 0:
        return 1 - _share(-upper, -z, -lower)
    if lower <= TAIL:
        return _mass(lower, z) / _mass(lower, np.asarray(upper))

    def lost(x: Array) -> Array:  # 1 - Q(x) / Q(lower), Q the survival function
        x = np.minimum(x, lower + 40.0)  # beyond, the ratio is below exp(-900)
        exponent = -(x - lower) * (x + lower) / 2
        return -np.expm1(exponent + np.log(mills(x) / mills(lower)))

    return lost(z) / lost(np.asarray(upper))


def _mass(a: float, b: Array) -> Array:
    """Return P(a < Z < b) for a standard normal, without cancellation in a tail."""
    root2 = math.sqrt(2)
    if a > 0:
        return (math.erfc(a / root2) - _erfc(b / root2)) / 2
    return (_erf(b / root2) - math.erf(a / root2)) / 2


def mills(x: Any) -> Any:
    """Mills' ratio Q(x) / pdf(x) by Laplace's continued fraction, for x > TAIL."""
    tail = x
    for n in range(40, 0, -1):
        tail = x + n / tail
    return 1 / tail
