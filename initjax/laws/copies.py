"""Weights made of trained ones: experts of a dense layer, a wider layer of a narrow."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core.initializer import Initializer
from .._core.streams import as_key
from .._errors import Refused
from .constant import Constant
from .random import RandomNormal
from .sum import noise_on

Kernels = tuple[jax.Array, jax.Array | None, jax.Array]


def upcycled(kernel: Any, noise: Any = 0.0) -> Initializer:
    """Return the law of experts that begin as copies of a dense layer's kernel.

    For shapes (experts, *kernel.shape), or more axes in front: a `Constant` of the
    kernel, and with `noise` a `Sum` with N(0, noise^2), which tells the experts apart.
    The router is a new weight.

    Args:
        kernel: The kernel, an array.
        noise: Standard deviation of what is added, finite, >= 0.

    References:
        Komatsuzaki et al., "Sparse upcycling: Training mixture-of-experts from dense
        checkpoints", ICLR 2023.
    """
    is_exact = not isinstance(noise, jax.Array) and noise == 0
    return Constant(kernel) if is_exact else noise_on(Constant(kernel), noise)


def net2wider(
    kernel_in: Any,
    kernel_out: Any,
    width: int,
    key: jax.Array,
    bias: Any = None,
    noise: float = 0.0,
) -> Kernels:
    """Return a wider layer, and the next one, that together compute what they did.

    The units beyond the first n are copies of units drawn with replacement, and what
    the next layer takes from a unit is divided among its copies. For layers with an
    activation that works entry by entry in between: dense kernels (in, out), and
    convolutions (*window, in, out). A pure function, in `jax.jit` too.

    Args:
        kernel_in: The kernel whose outputs become wider, n on its last axis.
        kernel_out: The kernel of the next layer, n inputs on its last axis but one.
        width: How many units there are to be, >= n.
        key: One PRNG key, typed or raw.
        bias: The bias of the wider layer, n on its last axis, or None.
        noise: Standard deviation of what is added to the incoming kernel of every
            copy, so that copies learn to differ; what is computed then changes by it.

    Returns:
        The incoming kernel, the bias or None, and the outgoing kernel.

    Raises:
        ValueError: Kernels that do not fit each other; width < n; a batch of keys.
        TypeError: No key.

    References:
        Chen, Goodfellow and Shlens, "Net2Net: Accelerating learning via knowledge
        transfer", ICLR 2016, algorithm 1.
    """
    first, last = jnp.asarray(kernel_in), jnp.asarray(kernel_out)
    middle = None if bias is None else jnp.asarray(bias)
    where = (
        f"net2wider(kernel_in of {first.shape}, kernel_out of {last.shape}, "
        f"width={width!r})"
    )
    try:
        typed = as_key(key)
        n = _width(first, middle, last, width)
    except Refused as refused:
        raise refused.at(where) from None
    units, noises = jax.random.split(typed)
    copied = jax.random.randint(units, (width - n,), 0, n)
    of = jnp.concatenate([jnp.arange(n), copied])  # the unit that each is a copy of
    copies = jnp.bincount(of, length=n)[of].astype(last.dtype)
    wide = first[..., of]
    if isinstance(noise, jax.Array) or noise:
        added = RandomNormal(stddev=noise)(noises, wide.shape, wide.dtype)
        is_first = jnp.broadcast_to(jnp.arange(width) < n, wide.shape)
        wide = jnp.where(is_first, wide, wide + added)
    share = jnp.broadcast_to(copies[:, None], (width, last.shape[-1]))
    out = last[..., of, :]
    return (
        wide,
        None if middle is None else middle[..., of],
        out / jnp.broadcast_to(share, out.shape),
    )


def _width(
    first: jax.Array, middle: jax.Array | None, last: jax.Array, width: Any
) -> int:
    """Return how many units there are, or refuse what does not fit."""
    if first.ndim < 2 or last.ndim < 2:
        raise Refused("kernels have two axes and more, (..., in, out); give such.")
    if not all(jnp.issubdtype(x.dtype, jnp.inexact) for x in (first, last)):
        raise Refused("kernels are arrays of floats; cast them.", TypeError)
    n = first.shape[-1]
    if last.shape[-2] != n or (middle is not None and middle.shape[-1:] != (n,)):
        raise Refused(
            f"kernel_in has {n} outputs, so kernel_out has as many inputs, and a bias "
            "as many entries; give layers that follow each other."
        )
    if isinstance(width, bool) or not isinstance(width, (int, np.integer)):
        raise Refused(f"width must be an int, got {type(width).__name__}.", TypeError)
    if width < n or not n:
        raise Refused(f"a layer of {n} units becomes none of {width}; give more.")
    return n
