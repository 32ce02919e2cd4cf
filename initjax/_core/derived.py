"""Promises of entries that are added, clipped, or of the other sign."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .._errors import Refused
from .promise import Array, Cdf, Law, is_alike, is_normal, normal_law

_LEAST = 1e-14  # a tail below is what rounding leaves of 1 - cdf
_MOST = 4096  # panels, for a cdf that is not exact


def sum_law(laws: Sequence[Law], is_complex: bool) -> Law:
    """Return the law of the sum of independent entries.

    Where two terms differ from entry to entry, their averages do not say what meets
    what, so the variance of the sum is not known.
    """
    alike = [is_alike(law) for law in laws]
    if alike.count(False) > 1:
        raise Refused(
            "promises nothing: several terms differ from entry to entry, and their "
            "averages do not tell those of the sum; ask the terms.",
            TypeError,
        )
    mean, std = sum(law.mean for law in laws), math.hypot(*(law.std for law in laws))
    low, high = (sum(getattr(law, end) for law in laws) for end in ("low", "high"))
    fans = {law.fans for law in laws} - {None}
    known = Law(mean, std, low, high, fans.pop() if len(fans) == 1 else None)
    if is_complex:  # bounds are of the modulus
        high = sum(max(abs(law.low), abs(law.high)) for law in laws)
        return dataclasses.replace(known, low=0.0, high=high, alike=all(alike))
    return dataclasses.replace(known, cdf=_sum_cdf(laws, known), alike=all(alike))


def _sum_cdf(laws: Sequence[Law], whole: Law) -> Cdf | None:
    """Return the cdf of a sum with one term that has spread, or of normal ones."""
    wide = [law for law in laws if law.std]
    if wide and all(map(is_normal, wide)):
        return normal_law(whole.mean, whole.std).cdf
    if len(wide) == 1 and wide[0].cdf is not None:
        return partial(
            _shifted_cdf, wide[0].cdf, sum(x.mean for x in laws if not x.std)
        )
    return None


def mirrored_law(law: Law, is_complex: bool) -> Law:
    """Return the law of an entry of the other sign."""
    if is_complex:  # bounds and cdf are of the modulus
        return dataclasses.replace(law, mean=-law.mean)
    cdf = law.cdf
    if is_normal(law):
        cdf = normal_law(-law.mean, law.std).cdf
    elif cdf is not None:
        cdf = partial(_mirrored_cdf, cdf)
    return dataclasses.replace(
        law, mean=-law.mean, low=-law.high, high=-law.low, cdf=cdf
    )


def clipped_law(law: Law, low: float, high: float) -> Law:
    """Return the law of an entry of a law with a cdf, put into [low, high].

    For Y the clipped entry and c a point of the interval, E[Y - c] is the integral of
    1 - cdf above c less that of cdf below, and E[(Y - c)^2] twice those of the
    distance from c times them.
    """
    least, most = (min(max(end, low), high) for end in (law.low, law.high))
    cdf = law.cdf
    if law.std == 0 or least == most:
        middle = min(max(law.mean, low), high)
        return Law(middle, 0.0, least, most, law.fans, alike=law.alike)
    if cdf is None or not math.isfinite(law.std + abs(law.mean)):
        raise Refused(
            "promises nothing: the wrapped law has no cdf with finite moments, so what "
            "clipping does to them is not known; measure an array.",
            TypeError,
        )
    centre, unit = min(max(law.mean, low), high), law.std
    above = _moments(lambda d: 1 - cdf(centre + unit * d), (most - centre) / unit)
    below = _moments(lambda d: cdf(centre - unit * d), (centre - least) / unit)
    shift, square = above[0] - below[0], 2 * (above[1] + below[1])
    std = unit * math.sqrt(max(square - shift * shift, 0.0))
    kept = partial(_clipped_cdf, cdf, low, high)
    return Law(centre + unit * shift, std, least, most, law.fans, kept, law.alike)


def _moments(tail: Callable[[Array], Array], reach: float) -> tuple[float, float]:
    """Integrate a tail, and the tail times the distance, over (0, reach).

    Over t = d / (1 + d), so that neither far ends nor infinite ones need many points;
    halves what is not exact yet, such as the steps of discrete laws.
    """
    nodes, weights = np.polynomial.legendre.leggauss(16)

    def panels(starts: Array, width: float) -> Array:
        t = starts[:, None] + width * (nodes + 1) / 2
        d = t / (1 - t)
        share = tail(d)
        weight = weights * width / 2 / (1 - t) ** 2
        first = weight * np.where(share < _LEAST, 0.0, share)
        return np.stack([first.sum(1), (first * d).sum(1)])

    stop = 1.0 if math.isinf(reach) else reach / (1 + reach)
    width, starts = stop / 8, np.linspace(0, stop, 8, endpoint=False)
    coarse, total = panels(starts, width), np.zeros(2)
    enough = 1e-12 * coarse.sum(1, keepdims=True)
    for _ in range(50):
        width /= 2
        halves = np.stack([starts, starts + width], 1)
        parts = panels(halves.ravel(), width).reshape(2, -1, 2)
        finer = parts.sum(2)
        exact = (np.abs(finer - coarse) <= enough).all(0)
        total += finer[:, exact].sum(1)
        starts, coarse = halves[~exact].ravel(), parts[:, ~exact].reshape(2, -1)
        if not 0 < starts.size < _MOST:
            break
    total += coarse.sum(1)
    return float(total[0]), float(total[1])


def _shifted_cdf(cdf: Cdf, by: float, x: Any) -> Array:
    return cdf(np.asarray(x, np.float64) - by)


def _mirrored_cdf(cdf: Cdf, x: Any) -> Array:
    """Return P(-X <= x) = 1 - P(X < -x), for laws with steps too."""
    return 1 - cdf(np.nextafter(-np.asarray(x, np.float64), -np.inf))


def _clipped_cdf(cdf: Cdf, low: float, high: float, x: Any) -> Array:
    x = np.asarray(x, np.float64)
    return np.where(x < low, 0.0, np.where(x >= high, 1.0, cdf(x)))
