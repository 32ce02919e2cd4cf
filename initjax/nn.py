"""`jax.nn.initializers`, name for name: the same signatures and defaults.

`import initjax.nn as initializers` is a drop-in: every function returns a config, whose
float32 and float64 arrays have the bits of a jitted `jax.nn.initializers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from jax.nn.initializers import Initializer as Initializer

from . import laws
from ._core.constructed import makes_law as _makes_law

Axes = int | Sequence[int]
Mode = Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
Distribution = Literal["truncated_normal", "normal", "uniform"]

zeros = laws.Zeros()
ones = laws.Ones()


@_makes_law
def constant(value: Any, dtype: Any = None) -> laws.Constant:
    """Return the law of the constant `value`."""
    return laws.Constant(value, dtype=dtype)


@_makes_law
def uniform(scale: Any = 1e-2, dtype: Any = None) -> laws.RandomUniform:
    """Return the uniform law on [0, scale); mean scale / 2, std scale / sqrt(12)."""
    return laws.RandomUniform(0.0, scale, dtype=dtype)


@_makes_law
def normal(stddev: Any = 1e-2, dtype: Any = None) -> laws.RandomNormal:
    """Return the normal law with mean 0 and standard deviation `stddev`."""
    return laws.RandomNormal(0.0, stddev, dtype=dtype)


@_makes_law
def truncated_normal(
    stddev: Any = 1e-2, dtype: Any = None, lower: Any = -2.0, upper: Any = 2.0
) -> laws.TruncatedNormal:
    """Return N(0, stddev^2) cut to (lower stddev, upper stddev).

    `stddev` is that of the normal before it is cut.
    """
    return laws.TruncatedNormal(0.0, stddev, dtype=dtype, lower=lower, upper=upper)


@_makes_law
def variance_scaling(
    scale: Any,
    mode: Mode,
    distribution: Distribution,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = None,
) -> laws.VarianceScaling:
    """Return the centred law with standard deviation sqrt(scale / n), n by `mode`.

    As in JAX, "normal" is the uncut normal; axes listed nowhere are receptive field.
    """
    is_uncut = isinstance(distribution, str) and distribution == "normal"  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
    name = "untruncated_normal" if is_uncut else distribution
    return laws.VarianceScaling(
        scale, mode, name,
        in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis, dtype=dtype,
    )  # fmt: skip


@_makes_law
def glorot_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> laws.GlorotNormal:
    """Return the cut normal law with std sqrt(2 / (fan_in + fan_out))."""
    return laws.GlorotNormal(
        in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis, dtype=dtype
    )


@_makes_law
def glorot_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> laws.GlorotUniform:
    """Return the uniform law with std sqrt(2 / (fan_in + fan_out))."""
    return laws.GlorotUniform(
        in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis, dtype=dtype
    )


@_makes_law
def lecun_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> laws.LecunNormal:
    """Return the cut normal law with std sqrt(1 / fan_in)."""
    return laws.LecunNormal(
        in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis, dtype=dtype
    )


@_makes_law
def lecun_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> laws.LecunUniform:
    """Return the uniform law with std sqrt(1 / fan_in)."""
    return laws.LecunUniform(
        in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis, dtype=dtype
    )


@_makes_law
def he_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> laws.HeNormal:
    """Return the cut normal law with std sqrt(2 / fan_in)."""
    return laws.HeNormal(
        in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis, dtype=dtype
    )


@_makes_law
def he_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> laws.HeUniform:
    """Return the uniform law with std sqrt(2 / fan_in)."""
    return laws.HeUniform(
        in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis, dtype=dtype
    )


xavier_normal, xavier_uniform = glorot_normal, glorot_uniform
kaiming_normal, kaiming_uniform = he_normal, he_uniform


@_makes_law
def orthogonal(
    scale: Any = 1.0, column_axis: int = -1, dtype: Any = None
) -> laws.Orthogonal:
    """Return the law of `scale` times a matrix with orthonormal rows or columns."""
    return laws.Orthogonal(scale, column_axis=column_axis, dtype=dtype, method="qr")


@_makes_law
def delta_orthogonal(
    scale: Any = 1.0, column_axis: int = -1, dtype: Any = None
) -> laws.DeltaOrthogonal:
    """Return the law of a kernel that is an orthogonal matrix in its central tap."""
    return laws.DeltaOrthogonal(
        scale, column_axis=column_axis, dtype=dtype, method="qr"
    )
