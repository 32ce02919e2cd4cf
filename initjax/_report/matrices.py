"""Weights as matrices, their last axis against all others: singular values."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .stats import held

# else in 10 bits on GPUs
tensordot = functools.partial(jnp.tensordot, precision="highest")

_FEW = 16  # rows or columns that are held to be orthogonal
_SURE = 0.02  # of what the products of random ones are, with rounding
_MOST = 200  # steps of the power iteration
_STILL = 1e-5  # a step that changes less is the last


def is_matrix(shape: tuple[int, ...]) -> bool:
    """Tell whether a weight has rows and columns."""
    return len(shape) > 1 and shape[-1] > 1 and math.prod(shape[:-1]) > 1


def gain_of(x: Any) -> float | None:
    """Return the gain of orthonormal rows or columns, or None if they are not.

    A few of the shorter side are looked at: random ones are never so orthogonal.
    """
    is_tall = math.prod(x.shape[:-1]) >= x.shape[-1]
    part = x[..., :_FEW] if is_tall else x[(0,) * (x.ndim - 2)][:_FEW].T
    if part.shape[-1] < 3:
        return None
    gram = jax.device_get(_gram(part if isinstance(x, jax.Array) else held(part)))
    square = float(np.trace(gram)) / len(gram)
    slack = _SURE / math.sqrt(math.prod(part.shape[:-1])) + 1e-5
    if not square or np.abs(gram / square - np.eye(len(gram))).max() > slack:
        return None
    return math.sqrt(square)


@jax.jit
def _gram(part: Any) -> jax.Array:
    x = jnp.asarray(part).astype(jnp.float32)
    axes = [*range(x.ndim - 1)]
    return tensordot(x, x, (axes, axes))


def largest_singular_value(x: Any) -> float:
    """Return it by power iteration, a little too small where several are near."""
    part = x if isinstance(x, jax.Array) else held(np.asarray(x))
    return float(_norm(part))


@jax.jit
def _norm(x: Any) -> jax.Array:
    x = jnp.asarray(x)
    is_complex = jnp.issubdtype(x.dtype, jnp.complexfloating)
    x = x.astype(jnp.complex64 if is_complex else jnp.float32)
    axes = [*range(x.ndim - 1)]

    def step(state: tuple[Any, Any, Any, Any]) -> tuple[Any, Any, Any, Any]:
        v, norm, _, count = state
        y = tensordot(x, v, 1)
        size = jnp.linalg.norm(y.ravel())
        v = tensordot(x.conj(), y, (axes, axes))
        long = jnp.linalg.norm(v)
        v = v / jnp.where(long > 0, long, 1).astype(v.dtype)
        return v, size, norm, count + 1

    def goes_on(state: tuple[Any, Any, Any, Any]) -> Any:
        _, norm, before, count = state
        return (count < _MOST) & (jnp.abs(norm - before) > _STILL * norm)

    n = x.shape[-1]
    v = np.random.default_rng(0).standard_normal(n).astype(x.dtype)
    v = jnp.asarray(v / np.linalg.norm(v))
    first = (v, jnp.float32(1), jnp.float32(0), 0)
    return lax.while_loop(goes_on, step, first)[1]
