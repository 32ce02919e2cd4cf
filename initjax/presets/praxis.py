"""Praxis's `WeightInit`: every law by its scale.

Truncated ones are cut at two standard deviations and not corrected. `SqrtDim` laws
scale with the first size, whatever the rank.
"""

from __future__ import annotations

import math
from typing import Any

from .. import laws
from .._core.promise import TRUNCATED_AT_2_STDDEV
from .._fans import Fan
from .numbers import counted, squared

_CUT = TRUNCATED_AT_2_STDDEV**2  # what cutting takes of the variance
_NORMAL = "untruncated_normal"
_DIM: dict[str, Any] = {"in_axis": 0, "out_axis": (), "batch_axis": "rest"}


def Gaussian(scale: Any = 1.0, **law: Any) -> laws.RandomNormal:
    """Return N(0, scale^2)."""
    return laws.RandomNormal(0.0, scale, **law)


def Uniform(scale: float = 1.0, **law: Any) -> laws.RandomUniform:
    """Return U[-scale, scale)."""
    return laws.RandomUniform(-scale, scale, **law)


def Constant(scale: Any = 1.0, **law: Any) -> laws.Constant:
    """Return the law of the constant `scale`."""
    return laws.Constant(scale, **law)


def TruncatedGaussian(scale: Any = 1.0, **law: Any) -> laws.TruncatedNormal:
    """Return N(0, scale^2) cut at two standard deviations."""
    return laws.TruncatedNormal(0.0, scale, **law)


def Xavier(scale: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return U(-a, a), a = scale sqrt(6 / (fan_in + fan_out))."""
    return laws.VarianceScaling(squared(scale=scale), "fan_avg", "uniform", **law)


def XavierWithFixupParams(
    scale: float = 1.0, depth: int = 1, layers_per_residual_block: int = 1, **law: Any
) -> laws.VarianceScaling:
    """Return `Xavier` of scale depth^(-1 / (2 layers_per_residual_block))."""
    many = counted(layers_per_residual_block=layers_per_residual_block)
    return Xavier(scale * counted(depth=depth) ** (-0.5 / many), **law)


def GaussianSqrtDim(scale: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return N(0, scale^2 / n), n the first size."""
    return laws.VarianceScaling(squared(scale=scale), "fan_in", _NORMAL, **_DIM, **law)


def UniformSqrtDim(scale: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return U(-a, a), a = scale / sqrt(n), n the first size."""
    return laws.VarianceScaling(
        squared(scale=scale) / 3, "fan_in", "uniform", **_DIM, **law
    )


def TruncatedGaussianSqrtDim(scale: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return N(0, scale^2 / n) cut at two standard deviations, n the first size."""
    return laws.VarianceScaling(squared(scale=scale) * _CUT, **_DIM, **law)


def GaussianSqrtFanIn(scale: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return N(0, scale^2 / fan_in)."""
    return laws.VarianceScaling(squared(scale=scale), "fan_in", _NORMAL, **law)


def GaussianSqrtFanOut(scale: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return N(0, scale^2 / fan_out)."""
    return laws.VarianceScaling(squared(scale=scale), "fan_out", _NORMAL, **law)


def GaussianSqrtFanAvg(scale: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return N(0, std^2), std = scale sqrt(2 / (fan_in + fan_out))."""
    return laws.VarianceScaling(squared(scale=scale), "fan_avg", _NORMAL, **law)


def TruncatedGaussianSqrtFanIn(scale: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return N(0, scale^2 / fan_in) cut at two standard deviations."""
    return laws.VarianceScaling(squared(scale=scale) * _CUT, "fan_in", **law)


def TruncatedGaussianSqrtFanOut(scale: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return N(0, scale^2 / fan_out) cut at two standard deviations."""
    return laws.VarianceScaling(squared(scale=scale) * _CUT, "fan_out", **law)


def UniformUnitScaling(scale: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return U(-a, a), a = scale sqrt(3 / n), n all sizes but the last multiplied."""
    law = {"fan": Fan((), -1), **law}
    return laws.VarianceScaling(squared(scale=scale), "fan_in", "uniform", **law)


def UniformSqrtFanAvg(scale: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return U(-a, a), a = sqrt(6 scale / (fan_in + fan_out))."""
    return laws.VarianceScaling(scale, "fan_avg", "uniform", **law)


def ScaledDeltaOrthogonal(inputs: int, outputs: int, **law: Any) -> laws.Orthogonal:
    """Return a matrix's law: orthogonal, times max(sqrt(inputs / outputs), 1).

    For a convolution, whose inputs are at most its outputs, it is `DeltaOrthogonal()`.
    """
    ratio = counted(inputs=inputs) / counted(outputs=outputs)
    return laws.Orthogonal(max(math.sqrt(ratio), 1.0), **law)
