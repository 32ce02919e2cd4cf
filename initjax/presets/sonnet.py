"""`sonnet.initializers` of Sonnet 2, and what its layers begin with."""

from __future__ import annotations

from typing import Any

from .. import laws
from .haiku import Identity as Identity
from .haiku import Linear as Linear
from .haiku import VarianceScaling as VarianceScaling


def Constant(value: Any, **law: Any) -> laws.Constant:
    """Return the law of a constant."""
    return laws.Constant(value, **law)


def Ones(**law: Any) -> laws.Ones:
    """Return the law of ones."""
    return laws.Ones(**law)


def Zeros(**law: Any) -> laws.Zeros:
    """Return the law of zeros."""
    return laws.Zeros(**law)


def Orthogonal(gain: Any = 1.0, **law: Any) -> laws.Orthogonal:
    """Return gain times a matrix with orthonormal rows or columns."""
    return laws.Orthogonal(gain, **law)


def RandomNormal(mean: Any = 0.0, stddev: Any = 1.0, **law: Any) -> laws.RandomNormal:
    """Return N(mean, stddev^2)."""
    return laws.RandomNormal(mean, stddev, **law)


def RandomUniform(minval: Any = 0, maxval: Any = 1, **law: Any) -> laws.RandomUniform:
    """Return U[minval, maxval)."""
    return laws.RandomUniform(minval, maxval, **law)


def TruncatedNormal(
    mean: Any = 0.0, stddev: Any = 1.0, **law: Any
) -> laws.TruncatedNormal:
    """Return N(mean, stddev^2) cut at two standard deviations, uncorrected."""
    return laws.TruncatedNormal(mean, stddev, **law)
