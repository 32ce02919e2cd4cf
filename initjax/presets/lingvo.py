"""Lingvo's `WeightInit`: Praxis's laws, and some of its own."""

from __future__ import annotations

import math
from typing import Any

from .. import laws
from .numbers import counted, squared
from .praxis import Constant as Constant
from .praxis import Gaussian as Gaussian
from .praxis import GaussianSqrtDim as GaussianSqrtDim
from .praxis import GaussianSqrtFanAvg as GaussianSqrtFanAvg
from .praxis import GaussianSqrtFanIn as GaussianSqrtFanIn
from .praxis import GaussianSqrtFanOut as GaussianSqrtFanOut
from .praxis import TruncatedGaussian as TruncatedGaussian
from .praxis import TruncatedGaussianSqrtDim as TruncatedGaussianSqrtDim
from .praxis import TruncatedGaussianSqrtFanIn as TruncatedGaussianSqrtFanIn
from .praxis import TruncatedGaussianSqrtFanOut as TruncatedGaussianSqrtFanOut
from .praxis import Uniform as Uniform
from .praxis import UniformSqrtDim as UniformSqrtDim
from .praxis import UniformSqrtFanAvg
from .praxis import UniformUnitScaling as UniformUnitScaling
from .praxis import Xavier as Xavier
from .praxis import XavierWithFixupParams as XavierWithFixupParams

UniformUnitScalingFanAvg = UniformSqrtFanAvg


def UniformPositive(scale: float = 1.0, **law: Any) -> laws.RandomUniform:
    """Return U[0, scale)."""
    return laws.RandomUniform(0.0, scale, **law)


def Category(scale: int = 2, **law: Any) -> laws.Categorical:
    """Return the numbers 0, ..., scale - 1, equally likely."""
    return laws.Categorical(tuple(range(counted(scale=scale))), **law)


def GeoMeanXavier(scale: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return U(-a, a), a = scale sqrt(3 / sqrt(fan_in fan_out))."""
    return laws.VarianceScaling(squared(scale=scale), "fan_geo_avg", "uniform", **law)


def KaimingUniformFanInRelu(scale: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return U(-a, a), a = sqrt(6 / fan_in); Lingvo does not use the scale."""
    del scale
    return laws.VarianceScaling(2.0, "fan_in", "uniform", **law)


def KaimingUniformFanInLeakyRelu(
    scale: float = math.sqrt(5.0), **law: Any
) -> laws.VarianceScaling:
    """Return U(-a, a), a = sqrt(6 / ((1 + scale^2) fan_in)): scale is the slope."""
    return laws.VarianceScaling(2 / (1 + scale * scale), "fan_in", "uniform", **law)
