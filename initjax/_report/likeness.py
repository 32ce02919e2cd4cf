"""What law a weight is most like."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from .._core.promise import (
    TRUNCATED_AT_2_STDDEV,
    Law,
    normal_law,
    truncated_normal_law,
    uniform_law,
)
from .chance import distance, distance_sigmas
from .stats import Observed

Shape = tuple[int, ...]

_FEWEST = 16  # entries that tell a law
_UNLIKE = 4.0  # standard errors from which on none of the laws fits
_ERRORS = 4.0  # within which a scale is that of a rule


class Likeness(NamedTuple):
    """What a weight is like.

    Attributes:
        text: The law, for people; None if it is like none.
        law: Of an entry, where chance makes it.
    """

    text: str | None
    law: Law | None = None


def likeness(
    seen: Observed, shape: Shape, dtype: np.dtype[Any], gain: float | None
) -> Likeness:
    """Return the law that a weight is most like.

    Args:
        seen: What it is.
        shape: Its shape.
        dtype: Its dtype.
        gain: Of its orthonormal rows or columns, or None if they are not.
    """
    if not seen.finite:
        return Likeness(None)
    if seen.is_constant:
        names = {0.0: "zeros", 1.0: "ones"}
        return Likeness(names.get(seen.low, f"constant {seen.low:.4g}"))
    if gain is not None:
        return Likeness("orthogonal" + f", gain {gain:.4g}" * (abs(gain - 1) > 1e-3))
    is_real = jnp.issubdtype(dtype, jnp.floating)
    if not is_real or seen.finite < _FEWEST or seen.nans + seen.infs:
        return Likeness(None)
    name, law = max(_fits(seen), key=lambda fit: fit[2])[:2]
    off = distance_sigmas(distance(law, seen.sample, dtype), len(seen.sample))
    if off > _UNLIKE:
        return Likeness(None)
    middle = "" if _is_centred(seen) else f"mean {seen.mean:.4g}, "
    return Likeness(
        f"{name}, {middle}std {seen.std:.3g}{_rule(name, seen, shape)}", law
    )


def _fits(seen: Observed) -> Iterator[tuple[str, Law, float]]:
    """Yield laws of the weight's scale, with the likelihood of its sample."""
    mean, std = float(seen.mean.real), seen.std
    z = np.abs(seen.sample.astype(np.float64) - mean) / std
    reach = max(seen.high - mean, mean - seen.low) / std
    slack = 1 + 3 / math.sqrt(seen.finite)
    yield "normal", normal_law(mean, std), float(-(z**2).mean() / 2 - math.log(2.5066))
    sigma = std / TRUNCATED_AT_2_STDDEV
    if reach <= 2 / TRUNCATED_AT_2_STDDEV * slack:
        share = math.log(2.5066 * 0.9545 / TRUNCATED_AT_2_STDDEV)
        fit = float(-((z * TRUNCATED_AT_2_STDDEV) ** 2).mean() / 2 - share)
        yield "normal cut at 2", truncated_normal_law(mean, sigma, -2.0, 2.0), fit
    if reach <= math.sqrt(3) * slack:
        width = math.sqrt(3) * std
        fit = -math.log(2 * math.sqrt(3))
        yield "uniform", uniform_law(mean - width, mean + width), fit


def _is_centred(seen: Observed) -> bool:
    return abs(seen.mean) * math.sqrt(seen.finite) < 5 * seen.std


def _rule(name: str, seen: Observed, shape: Shape) -> str:
    """Return the rule that the scale is of, if one is near enough."""
    if len(shape) < 2 or not _is_centred(seen):
        return ""
    squares: dict[str, float] = {}
    for fan_in, fan_out, layout in _fans(shape):
        one, two = sorted((fan_in, fan_out))
        squares[f"Glorot, {one} + {two}"] = 2 / (fan_in + fan_out)
        modes = [("fan_in", fan_in), ("fan_out", fan_out)]
        for mode, fan in modes[: 1 if len(shape) == 2 else 2]:
            place = f"{mode} {fan}, {layout}"
            squares[f"He, {place}"] = 2 / fan
            squares[f"LeCun, {place}"] = 1 / fan
            if name == "uniform":
                squares[f"PyTorch's layers, {place}"] = 1 / (3 * fan)
    rules = [(abs(seen.std / v**0.5 - 1), rule) for rule, v in squares.items()]
    off, rule = min(rules, key=lambda pair: pair[0])  # of equals fan_in, which is usual
    kurtosis = seen.fourth / seen.variance**2
    error = math.sqrt(max(kurtosis - 1, 0.1) / (4 * seen.finite)) + 1e-3
    return f" ({rule})" if off < min(_ERRORS * error, 0.05) else ""


def _fans(shape: Shape) -> list[tuple[int, int, str]]:
    """Return (fan_in, fan_out, layout), with outputs last and with outputs first."""
    if len(shape) == 2:
        rows, columns = shape
        swapped = [(columns, rows, "(out, in)")] * (rows != columns)
        return [(rows, columns, "(in, out)"), *swapped]
    last, first = math.prod(shape[:-2]), math.prod(shape[2:])
    return [
        (last * shape[-2], last * shape[-1], "(..., in, out)"),
        (first * shape[1], first * shape[0], "(out, in, ...)"),
    ]
