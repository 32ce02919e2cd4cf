"""`mlx.nn.init`, and what MLX's layers begin with.

MLX gives `mode` and `gain` at the call, here they are arguments; its He laws have gain
1, so their variance is half of what others call He.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from .. import laws
from .numbers import counted, squared

Mode = Literal["fan_in", "fan_out"]


def constant(value: Any, **law: Any) -> laws.Constant:
    """Return the law of a constant."""
    return laws.Constant(value, **law)


def normal(mean: Any = 0.0, std: Any = 1.0, **law: Any) -> laws.RandomNormal:
    """Return N(mean, std^2)."""
    return laws.RandomNormal(mean, std, **law)


def uniform(low: Any = 0.0, high: Any = 1.0, **law: Any) -> laws.RandomUniform:
    """Return U[low, high)."""
    return laws.RandomUniform(low, high, **law)


def identity(**law: Any) -> laws.Identity:
    """Return the identity matrix; MLX's is square."""
    return laws.Identity(**law)


def glorot_normal(gain: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return N(0, std^2), std = gain sqrt(2 / (fan_in + fan_out)); it is not cut."""
    return laws.VarianceScaling(
        squared(gain=gain), "fan_avg", "untruncated_normal", **law
    )


def glorot_uniform(gain: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return U(-a, a), a = gain sqrt(6 / (fan_in + fan_out))."""
    return laws.VarianceScaling(squared(gain=gain), "fan_avg", "uniform", **law)


def he_normal(
    mode: Mode = "fan_in", gain: float = 1.0, **law: Any
) -> laws.VarianceScaling:
    """Return N(0, std^2), std = gain / sqrt(fan): gain 1, not sqrt(2)."""
    return laws.VarianceScaling(squared(gain=gain), mode, "untruncated_normal", **law)


def he_uniform(
    mode: Mode = "fan_in", gain: float = 1.0, **law: Any
) -> laws.VarianceScaling:
    """Return U(-a, a), a = gain sqrt(3 / fan): gain 1, not sqrt(2)."""
    return laws.VarianceScaling(squared(gain=gain), mode, "uniform", **law)


def sparse(
    sparsity: float, mean: float = 0.0, std: Any = 1.0, **law: Any
) -> laws.Sparse:
    """Return N(0, std^2), of every output's weights the share `sparsity` zero.

    Args:
        sparsity: In [0, 1].
        mean: 0: the zeros would be none of the law otherwise.
        std: Finite, >= 0.
        **law: seed, dtype.

    Raises:
        ValueError: Another mean.
    """
    if mean != 0:
        raise ValueError(
            f"presets.mlx.sparse(mean={mean!r}): a sparse law is centred; give mean=0."
        )
    return laws.Sparse(sparsity, std, axis=-2, **law)


def orthogonal(gain: Any = 1.0, **law: Any) -> laws.Orthogonal:
    """Return gain times a matrix with orthonormal rows or columns."""
    return laws.Orthogonal(gain, **law)


def linear(**law: Any) -> laws.VarianceScaling:
    """Return what `nn.Linear` and its bias, and `nn.Conv2d`, begin with.

    U(-1/sqrt(fan_in), 1/sqrt(fan_in)); a convolution's bias is zero.
    """
    return laws.VarianceScaling(1 / 3, "fan_in", "uniform", **law)


def embedding(dims: int, **law: Any) -> laws.RandomNormal:
    """Return what `nn.Embedding` of `dims` features begins with: N(0, 1 / dims)."""
    return laws.RandomNormal(0.0, 1 / math.sqrt(counted(dims=dims)), **law)
