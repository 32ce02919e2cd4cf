"""`haiku.initializers`, and what Haiku's layers begin with."""

from __future__ import annotations

from typing import Any, Literal

from .. import laws
from .._core.promise import TRUNCATED_AT_2_STDDEV
from .._fans import Fan
from .numbers import squared

Mode = Literal["fan_in", "fan_out", "fan_avg"]
Distribution = Literal["truncated_normal", "normal", "uniform"]


def Constant(constant: Any, **law: Any) -> laws.Constant:
    """Return the law of a constant, or of an array that broadcasts."""
    return laws.Constant(constant, **law)


def Identity(gain: Any = 1.0, **law: Any) -> laws.Identity:
    """Return gain times the identity matrix; of a batch, with `fan=Fan.stacked(0)`."""
    return laws.Identity(gain, **law)


def Orthogonal(scale: Any = 1.0, axis: int = -1, **law: Any) -> laws.Orthogonal:
    """Return scale times a matrix with orthonormal rows or columns, `axis` columns."""
    return laws.Orthogonal(scale, column_axis=axis, **law)


def RandomNormal(stddev: Any = 1.0, mean: Any = 0.0, **law: Any) -> laws.RandomNormal:
    """Return N(mean, stddev^2), the standard deviation first."""
    return laws.RandomNormal(mean, stddev, **law)


def RandomUniform(
    minval: Any = 0.0, maxval: Any = 1.0, **law: Any
) -> laws.RandomUniform:
    """Return U[minval, maxval)."""
    return laws.RandomUniform(minval, maxval, **law)


def TruncatedNormal(
    stddev: Any = 1.0,
    mean: Any = 0.0,
    lower: float = -2.0,
    upper: float = 2.0,
    **law: Any,
) -> laws.TruncatedNormal:
    """Return N(mean, stddev^2) cut at `lower` and `upper`, in standard deviations."""
    return laws.TruncatedNormal(mean, stddev, lower=lower, upper=upper, **law)


def UniformScaling(scale: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return U(-a, a), a = scale sqrt(3 / n), n all sizes but the last multiplied."""
    law = {"fan": Fan((), -1), **law}
    return laws.VarianceScaling(squared(scale=scale), "fan_in", "uniform", **law)


def VarianceScaling(
    scale: Any = 1.0,
    mode: Mode = "fan_in",
    distribution: Distribution = "truncated_normal",
    fan_in_axes: Any = None,
    **law: Any,
) -> laws.VarianceScaling:
    """Return the law with variance scale / n; "normal" is not cut.

    Args:
        scale: Finite, > 0.
        mode: What n is: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal", "normal" or "uniform".
        fan_in_axes: The axes of the inputs, for "fan_in" alone; else give `fan`.
        **law: seed, dtype, fan.

    Raises:
        ValueError: `fan_in_axes` with another mode.
    """
    if fan_in_axes is not None:
        if mode != "fan_in":
            raise ValueError(
                f"presets.haiku.VarianceScaling(mode={mode!r}): fan_in_axes goes with "
                "'fan_in'; give fan=Fan(in_axes, out_axes)."
            )
        law |= {"in_axis": fan_in_axes, "out_axis": (), "batch_axis": "rest"}
    kind = "untruncated_normal" if distribution == "normal" else distribution
    return laws.VarianceScaling(scale, mode, kind, **law)


def Linear(**law: Any) -> laws.VarianceScaling:
    """Return what `hk.Linear` and `hk.Conv2D` begin with: a cut normal, uncorrected.

    N(0, 1 / fan_in) cut at two of its standard deviations, so that of what comes out is
    0.8796 / sqrt(fan_in).
    """
    return laws.VarianceScaling(TRUNCATED_AT_2_STDDEV**2, **law)
