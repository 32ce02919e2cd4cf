"""What is wrong with one weight."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .._core.promise import Law
from . import chance
from .promised import Promised
from .rows import Finding
from .stats import Observed

TESTS = 10  # of a weight, at most, without those of its slices

_FEWEST = 30  # entries whose mean and standard deviation are judged
_TAIL = 2**20  # entries whose extremes are: samplers have a finest step
_CERTAIN = math.inf
# what follows from others, and says no more than they do
_FOLLOWS = {
    "law": {"mean", "std", "bounds", "coarse", "zeros", "rows", "columns"},
    "coarse": {"zeros", "rows", "columns"},
}


class Checked(NamedTuple):
    """A weight held to a promise.

    Attributes:
        z_mean: How many standard errors its mean is off, or None.
        z_std: The same of its standard deviation.
        findings: What may be wrong, however likely.
    """

    z_mean: float | None
    z_std: float | None
    findings: list[Finding]


def broken(seen: Observed) -> list[Finding]:
    """Return what is wrong with entries of any law."""
    kinds = {"nan": (seen.nans, "NaN"), "inf": (seen.infs, "infinite")}
    return [
        Finding(kind, f"{many:,} entr{_are(many)} {word}", _CERTAIN)
        for kind, (many, word) in kinds.items()
        if many
    ]


def worst_first(found: Iterable[Finding], least: float) -> tuple[Finding, ...]:
    """Return what is no chance, without what only follows from it."""
    sure = [finding for finding in found if finding.certainty >= least]
    kinds = {finding.kind for finding in sure}
    own = [f for f in sure if not kinds & _FOLLOWS.get(f.kind, set())]
    return tuple(sorted(own, key=lambda finding: -finding.certainty))


def held_to(seen: Observed, promised: Promised) -> Checked:
    """Hold a weight to its law."""
    law = promised.law
    if law is None or not seen.finite:
        return Checked(None, None, [])
    near = float(chance.grain(max(abs(seen.low), abs(seen.high)), promised.grain))
    if not promised.random or law.std == 0:
        return _exact(seen, law, near)
    if seen.is_constant and seen.finite > 1:
        return _dead(seen, law)
    found = [*_outside(seen, law, near)]
    if promised.is_orthogonal:
        z = _exact_norm(seen, law, promised)
        return Checked(None, z, [*found, *_spread_finding(z, seen, law, promised)])
    if not promised.independent:
        return Checked(None, None, found)
    z_mean, z_std = _z(seen, law, promised)
    if seen.finite >= _FEWEST * max(1, _kurtosis(seen, promised) / 3):
        found += _mean_finding(z_mean, seen, law)
        found += _spread_finding(z_std, seen, law, promised)
    found += too_coarse(seen, law, promised.grain)
    found += _too_many_zeros(seen, law, promised)
    found += _distribution(seen, law, promised, near)
    return Checked(z_mean, z_std, found)


def too_coarse(seen: Observed, law: Law, dtype: np.dtype[Any]) -> Iterator[Finding]:
    """Find numbers that are there more often than the law has them."""
    sure = chance.repeats_sigmas(law, seen.sample, dtype)
    distinct, n = len(np.unique(seen.sample)), len(seen.sample)
    yield Finding(
        "coarse",
        f"only {distinct:,} different values among {n:,} entries: drawn in a narrower "
        f"dtype than {dtype.name}",
        sure,
    )


def _exact(seen: Observed, law: Law, near: float) -> Checked:
    """Hold entries without chance to what they are."""
    is_complex = isinstance(seen.mean, complex)
    ends = law.low, law.high
    if not math.isfinite(law.low) or (is_complex and law.low < 0):
        middle = abs(law.mean) if is_complex else _size(law.mean)
        ends = (seen.low, seen.high) if law.std else (middle, middle)
    size = max(map(abs, (*ends, seen.low, seen.high)))
    slack = near + 1e-6 * size
    is_off = max(abs(seen.low - ends[0]), abs(seen.high - ends[1])) > slack
    bad_mean = abs(seen.mean - law.mean) > slack
    bad_std = abs(seen.std - law.std) > slack + 1e-3 * law.std
    z_mean, z_std = (math.inf if bad else 0.0 for bad in (bad_mean, bad_std))
    if not (is_off or bad_mean or bad_std):
        return Checked(z_mean, z_std, [])
    if law.std == 0:
        text = f"is {_range(seen)}, promised {law.mean:.4g} everywhere"
    else:
        text = (
            f"mean {_size(seen.mean):.4g}, std {seen.std:.4g}, {_range(seen)}; "
            f"promised mean {_size(law.mean):.4g}, std {law.std:.4g}, {law.low:.4g} to "
            f"{law.high:.4g}"
        )
    return Checked(z_mean, z_std, [Finding("law", text, _CERTAIN)])


def _dead(seen: Observed, law: Law) -> Checked:
    kind = "dead" if seen.low else "zeros"
    text = f"every entry is {seen.low:.4g}, promised std {law.std:.4g}"
    z = math.inf if seen.mean != law.mean else 0.0
    return Checked(z, math.inf, [Finding(kind, text, _CERTAIN)])


def _outside(seen: Observed, law: Law, near: float) -> Iterator[Finding]:
    if seen.low < law.low - near or seen.high > law.high + near:
        text = f"{_range(seen)}, promised {law.low:.4g} to {law.high:.4g}"
        yield Finding("bounds", text, _CERTAIN)


def _z(
    seen: Observed, law: Law, promised: Promised
) -> tuple[float | None, float | None]:
    """Return how many standard errors mean and standard deviation are off."""
    if not 0 < law.std < math.inf:
        return None, None
    rounding = float(chance.grain(_size(law.mean), promised.grain))
    if rounding > law.std:  # the dtype hardly tells the entries apart
        return None, None
    high = max(abs(law.low), abs(law.high))
    top = float(chance.grain(high, promised.grain)) if math.isfinite(high) else 0.0
    cut = (top / law.std) ** 2  # what would be rounded to a bound stays below it
    gap = seen.mean - law.mean
    off = max(abs(gap) / law.std - cut / 16, 0)
    z_mean = math.copysign(off, gap.real) * math.sqrt(seen.finite)
    if promised.kurtosis is None and law.cdf is not None:
        return z_mean, None  # tails too heavy
    ratio = seen.variance / law.std**2
    step = float(chance.grain(law.std, promised.grain)) / law.std
    slack = (step**2 + cut) / 6 + (rounding / law.std) ** 2 / 12 + 2e-6
    ratio = 1 + math.copysign(max(abs(ratio - 1) - slack, 0), ratio - 1)
    return z_mean, chance.variance_z(ratio, seen.finite, _kurtosis(seen, promised))


def _kurtosis(seen: Observed, promised: Promised) -> float:
    if promised.kurtosis is not None:
        return promised.kurtosis
    return max(seen.fourth / (seen.variance**2 or 1), 1.0001)


def _exact_norm(seen: Observed, law: Law, promised: Promised) -> float:
    """Return 0 if the mean of squares is that of orthonormal rows or columns."""
    step = float(chance.grain(law.std, promised.grain)) / law.std
    square = seen.variance + _size(seen.mean) ** 2
    ratio = math.sqrt(square) / math.hypot(law.std, _size(law.mean))
    return math.copysign(math.inf, ratio - 1) if abs(ratio - 1) > 1e-4 + step else 0.0


def _mean_finding(z: float | None, seen: Observed, law: Law) -> Iterator[Finding]:
    if z is not None:
        text = f"mean {_size(seen.mean):.4g}, promised {_size(law.mean):.4g}"
        yield Finding("mean", text, abs(z))


def _spread_finding(
    z: float | None, seen: Observed, law: Law, promised: Promised
) -> Iterator[Finding]:
    if z is not None:
        ratio = seen.std / law.std
        text = (
            f"std {seen.std:.4g}, promised {law.std:.4g}: {ratio:.4g} times"
            f"{_hint(ratio, promised, seen)}"
        )
        yield Finding("std", text, abs(z))


def _hint(ratio: float, promised: Promised, seen: Observed) -> str:
    """Return what a wrong scale looks like."""
    error = 2 * math.sqrt((_kurtosis(seen, promised) - 1) / seen.finite) + 1e-3
    if promised.fans:
        fan_in, fan_out = (max(fan, 1) for fan in promised.fans)
        swapped = math.sqrt(fan_in / fan_out)
        if fan_in != fan_out and abs(ratio / swapped - 1) < error:
            return ", as with fan_in and fan_out exchanged"
    for name, square in (("√", ratio**2), ("1/√", ratio**-2 if ratio else 0.0)):
        whole = round(square)
        if whole >= 2 and abs(square / whole - 1) < 2 * error < 0.4 / whole:
            return f" ({name}{whole})"
    return ""


def _too_many_zeros(seen: Observed, law: Law, promised: Promised) -> Iterator[Finding]:
    if law.cdf is not None and seen.zeros:
        least = float(chance.grain(0, promised.grain))
        share = float(law.cdf(least) - law.cdf(-least)) + 2**-20
        expected = seen.finite * share
        text = f"{seen.zeros:,} entr{_are(seen.zeros)} 0, expected {expected:,.0f}"
        yield Finding("zeros", text, chance.poisson_sigmas(seen.zeros, expected))


def _distribution(
    seen: Observed, law: Law, promised: Promised, near: float
) -> Iterator[Finding]:
    """Find another distribution than promised."""
    if law.cdf is None:
        return
    sample = seen.sample[np.isfinite(seen.sample)]
    far = chance.distance(law, sample, promised.grain)
    yield Finding(
        "law",
        f"entries do not follow the law: their distribution is {far:.2g} off",
        chance.distance_sigmas(far, len(sample)),
    )
    beyond = 1 - law.cdf(np.array([seen.high + near, seen.high - near]))
    before = law.cdf(np.array([seen.low - near, seen.low + near]))
    n = min(seen.finite, _TAIL)
    inner = max(float(beyond[0]), float(before[0]))  # of the end that lacks more
    text = f"{_range(seen)}: tails lack among {seen.finite:,} entries"
    lack = n * math.log1p(-inner) if inner < 1 else -math.inf
    yield Finding("law", text, chance.sigmas(math.log(2) + lack))
    rare = 2 * seen.finite * min(float(beyond[1]), float(before[1]))
    text = f"{_range(seen)}: too far out for {seen.finite:,} entries"
    yield Finding("law", text, chance.sigmas(math.log(rare) if rare > 0 else -math.inf))


def _size(x: Any) -> float:
    return abs(x) if isinstance(x, complex) else float(x)


def _range(seen: Observed) -> str:
    if seen.is_constant:
        return f"{seen.low:.4g} everywhere"
    return f"{seen.low:.4g} to {seen.high:.4g}"


def _are(many: int) -> str:
    return "y is" if many == 1 else "ies are"
