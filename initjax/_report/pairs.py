"""Weights that are alike, and slices of a weight that are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._rules.table import grouped
from .chance import sigmas
from .rows import Finding
from .spots import FEWEST, PREFIX, Array
from .stats import Observed

_LEAST = 16  # entries by which two weights are compared
_STRONG = 0.3  # a weaker correlation is no shared stream
_SMOOTH = 0.5  # neighbours this correlated are no draws


class Weight(NamedTuple):
    """A weight among others.

    Attributes:
        path: Its path.
        shape: Its shape.
        dtype: Its dtype.
        seen: What it is.
        random: Whether chance makes it.
        independent: Whether its entries are draws of one law, each by itself.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    seen: Observed
    random: bool
    independent: bool


def slices_alike(seen: Observed) -> Iterator[Finding]:
    """Find rows or columns that are equal."""
    for axis, entries in seen.slices.items():
        rows = entries[entries.max(1) > entries.min(1)]
        whole = np.ascontiguousarray(rows).view(f"V{rows.itemsize * rows.shape[1]}")
        times = np.unique(whole, return_counts=True)[1]
        if (equal := times.max(initial=0)) > 1:
            what = _slices_of(axis, len(seen.slices))
            text = f"{equal} of {len(entries)} {what} looked at are equal"
            sure = sigmas(entries.shape[1] * _log_collision(entries))
            yield Finding("rows" if axis == 0 else "columns", text, sure)


def slice_tests(seen: Observed) -> int:
    """Return how many pairs of slices are compared."""
    return sum(math.comb(len(rows), 2) for rows in seen.slices.values())


def _slices_of(axis: int, axes: int) -> str:
    names = ("rows", "columns") if axes <= 2 else ()
    return names[axis] if axis < len(names) else f"slices along axis {axis}"


def _log_collision(x: Array) -> float:
    """Return the logarithm of how likely two entries are equal."""
    times = np.unique(x, return_counts=True)[1].astype(float)
    return math.log((float((times * (times - 1)).sum()) + 1) / (x.size * (x.size - 1)))


def weights_alike(weights: Sequence[Weight]) -> dict[str, list[Finding]]:
    """Return, by path, which weights are equal, or of one stream."""
    found: dict[str, list[Finding]] = {}
    known: set[tuple[str, str]] = set()
    for kind, text, sure, a, b in itertools.chain(_equal(weights), _related(weights)):
        if (a.path, b.path) not in known:
            known |= {(a.path, b.path)}
            for one, other in ((a, b), (b, a)):
                mine = found.setdefault(one.path, [])
                mine.append(Finding(kind, text.format(other.path), sure))
    return found


def pair_tests(weights: Sequence[Weight]) -> int:
    """Return how many pairs are compared."""
    return 2 * math.comb(len(weights), 2)


def _equal(weights: Sequence[Weight]) -> Iterator[Any]:
    """Yield pairs with the same entries, in the same order or another."""
    random = [w for w in weights if w.random and not w.seen.is_constant]
    random = [w for w in random if w.seen.finite >= FEWEST]

    def size(w: Weight) -> Any:
        return w.dtype, w.seen.finite, w.seen.low, w.seen.high

    for group in grouped(random, size):
        for a, b in itertools.combinations(group, 2):
            if _moments_differ(a.seen, b.seen):
                continue
            if np.array_equal(a.seen.sample, b.seen.sample):
                sure = sigmas(len(a.seen.sample) * _log_collision(a.seen.sample))
                yield "identical", "has the same entries as {!r}", sure, a, b
            elif len(np.unique(a.seen.sample)) > 64:
                text = "has the entries of {!r} in another order"
                yield "identical", text, math.inf, a, b


def _moments_differ(a: Observed, b: Observed) -> bool:
    off = max(abs(a.mean - b.mean) / a.std, abs(a.std / b.std - 1)) if a.std else 0.0
    return off > 1e-6


def _related(weights: Sequence[Weight]) -> Iterator[Any]:
    """Yield pairs whose first entries are correlated: of one stream, by two laws."""
    drawn = [w for w in weights if w.independent and len(w.seen.prefix) >= _LEAST]
    drawn = [w for w in drawn if np.ptp(w.seen.prefix) > 0]
    if len(drawn) < 2:
        return
    ranks = np.zeros((len(drawn), PREFIX), np.float32)
    for row, w in zip(ranks, drawn, strict=True):
        n = len(w.seen.prefix)
        row[:n] = (2 * w.seen.prefix.argsort().argsort() + 1) / n - 1
    lengths = np.array([len(w.seen.prefix) for w in drawn])
    norms = np.cumsum(ranks**2, 1)[:, lengths - 1]  # as far as the other has entries
    products = np.einsum("ik,jk->ij", ranks, ranks)
    cosine = products / np.sqrt(np.maximum(norms * norms.T, 1e-30))
    for i, j in zip(*np.nonzero(np.triu(np.abs(cosine) > _STRONG, 1)), strict=True):
        n = int(min(lengths[i], lengths[j]))
        r = min(float(abs(cosine[i, j])), 1 - 1e-7)
        sure = sigmas((n - 2) / 2 * math.log1p(-(r**2)))
        text = (
            f"begins like {{!r}} (correlation {cosine[i, j]:.2f}): drawn with one key"
        )
        yield "correlated", text, sure, drawn[i], drawn[j]


def is_smooth(seen: Observed) -> bool:
    """Tell whether neighbours are alike, as in tables and masks."""
    x = seen.prefix.astype(np.float64)
    if len(x) < FEWEST:
        return False
    x = x - x.mean()
    return abs(float(x[1:] @ x[:-1])) > _SMOOTH * float(x @ x)
