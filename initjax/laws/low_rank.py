"""Low-rank adapters: lora_a, lora_b, pissa."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .._core.fields import integer
from .._core.rounding import work_dtype
from .._errors import Refused, shown
from .constant import Zeros
from .scaling import VarianceScaling


def lora_a() -> VarianceScaling:
    """Return the law of LoRA's first factor: uniform on +-1 / sqrt(fan_in).

    That of published code, He's with the slope sqrt(5); the paper's text says normal.

    References:
        Hu et al., "LoRA: Low-rank adaptation of large language models", ICLR 2022.
    """
    return VarianceScaling(1 / 3, "fan_in", "uniform")


def lora_b() -> Zeros:
    """Return the law of LoRA's second factor: zeros, so the product begins at 0.

    References:
        Hu et al., "LoRA: Low-rank adaptation of large language models", ICLR 2022.
    """
    return Zeros()


def pissa(weight: Any, rank: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return a weight as a low-rank product and the rest: weight = a @ b + residual.

    a (..., m, rank) and b (..., rank, n) are the singular vectors of the largest
    singular values, each times their square roots; both train, the residual is frozen.
    Leading axes count matrices. Narrow floats are factorized in float32; the residual
    is what the rounded factors leave.

    Args:
        weight: An array of shape (..., m, n), of a float or complex dtype.
        rank: How many singular values, from 1 to min(m, n).

    Raises:
        ValueError: Another rank, or a weight without two axes.
        TypeError: A rank that is no int; a weight of integers.

    References:
        Meng et al., "PiSSA: Principal singular values and singular vectors adaptation
        of large language models", NeurIPS 2024, eq. 2 to 4.
    """
    try:
        w = jnp.asarray(weight)
        rank = _checked(w, rank)
    except Refused as refused:
        shape = shown(getattr(weight, "shape", type(weight)))
        raise refused.at(f"pissa(weight of {shape}, rank={shown(rank)})") from None
    complex_ = jnp.issubdtype(w.dtype, jnp.complexfloating)
    wide = w if complex_ else w.astype(work_dtype(w.dtype))
    u, s, vh = jnp.linalg.svd(wide, full_matrices=False)
    root = jnp.sqrt(s[..., :rank]).astype(wide.dtype)
    a = (u[..., :rank] * root[..., None, :]).astype(w.dtype)
    b = (root[..., None] * vh[..., :rank, :]).astype(w.dtype)
    product = jnp.matmul(
        a.astype(wide.dtype), b.astype(wide.dtype), precision="highest"
    )
    return a, b, (wide - product).astype(w.dtype)


def _checked(weight: jax.Array, rank: Any) -> int:
    if not jnp.issubdtype(weight.dtype, jnp.inexact):
        raise Refused(
            f"needs a float or complex weight, got {weight.dtype}; convert it.",
            TypeError,
        )
    if weight.ndim < 2:
        raise Refused("needs a weight of rank >= 2; give a matrix, or several.")
    try:
        whole = integer(rank)
    except Refused as refused:
        raise Refused(f"rank {refused}", TypeError) from None
    most = min(weight.shape[-2:])
    if not 1 <= whole <= most:
        raise Refused(f"needs 1 <= rank <= {most}, the shorter side; give another.")
    return whole
