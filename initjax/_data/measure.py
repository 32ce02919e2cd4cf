"""What is measured on a batch, and when it can be made what was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._core.fields import number
from .._errors import Refused

Change = Callable[[Any], Any]


class Found(NamedTuple):
    """What a leaf was set by.

    Attributes:
        std: The smallest standard deviation that was measured; 0 is a constant.
        misfit: How far what the leaf can do is from what it had to, relatively.
    """

    std: Any
    misfit: Any = 0.0


def work_dtype(dtype: Any) -> Any:
    """Return the dtype to compute in: at least float32."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(dtype, jnp.float32)


def deviation(values: Any, mean: Change, wide: Change = lambda x: x) -> Any:
    """Return standard deviations, and 0 where values differ by no more than rounding.

    Args:
        values: An array.
        mean: The means that are taken of such arrays.
        wide: Means as an array that is subtracted from `values`.
    """
    middle = mean(values)
    variance = mean(jnp.abs(values - wide(middle)) ** 2)
    noise = (8 * jnp.finfo(values.dtype).eps * jnp.abs(middle)) ** 2
    return jnp.where(variance <= noise, 0, jnp.sqrt(variance))


def as_std(std: Any) -> float:
    """Accept a number that a standard deviation can be made."""
    try:
        value = number(above=0)(std)
    except Refused as refused:
        raise Refused(f"std {refused}", refused.kind) from None
    if isinstance(value, jax.Array):
        raise Refused("std is traced; give a number.", TypeError)
    return float(value)


def check(found: Mapping[int, Found], names: Mapping[int, str]) -> None:
    """Refuse what no factor makes right: the first of the leaves, as they are used."""
    for leaf, (std, misfit) in found.items():
        if not np.isfinite(std):
            raise Refused(
                f"the output of {names[leaf]!r} is not finite on the batch; look at "
                "the batch, and at the weights before."
            )
        if std == 0:
            raise Refused(
                f"the output of {names[leaf]!r} is constant on the batch, and no "
                "factor changes that; give other weights or a larger batch, or leave "
                "the leaf out."
            )
        if not misfit < _FITS:
            raise Refused(
                f"{names[leaf]!r} does not scale each output channel by itself; leave "
                "it out."
            )


_FITS = 1e-3
