"""Diagonal state matrices: S4D, Mamba."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._core.fields import checked, choice
from .._errors import Refused
from .._registry import named
from .table import Array, Table

Shape = tuple[int, ...]


@named()
@dataclass(frozen=True, slots=True, repr=False)
class S4D(Table):
    """Diagonal of a state matrix, one of each conjugate pair, along the last axis.

    Entry n of a last axis of N / 2, for a state of N: -1/2 + i pi n for "lin",
    -1/2 + i (N / pi) (N / (2 n + 1) - 1) for "inv", which is near the eigenvalues of
    the normal part of HiPPO's matrix (LegS). Mean and standard deviation are those of
    the entries; nothing is random.

    Rank 1 and more; complex dtypes; the key is ignored.

    Args:
        kind: "lin" or "inv".
        dtype: What `dtype=None` means in a call, such as "complex64".

    Raises:
        ValueError: An unknown option; at the call, a scalar.
        TypeError: No complex dtype.

    References:
        Gu et al., "On the parameterization and initialization of diagonal state space
        models", NeurIPS 2022, section 4.
    """

    kind: str = checked("lin", choice("lin", "inv"))

    def _values(self, shape: Shape) -> Array:
        n = _row(shape)
        if self.kind == "lin":
            return -0.5 + 1j * math.pi * n
        size = 2 * len(n)
        return -0.5 + 1j * size / math.pi * (size / (2 * n + 1) - 1)


@named()
@dataclass(frozen=True, slots=True, repr=False)
class MambaALog(Table):
    """log(1), log(2), ..., log(N) along the last axis.

    The layer's state matrix is -exp of it: -1, ..., -N, the eigenvalues of HiPPO's LegS
    (S4D-Real). Mean and standard deviation are those of the entries; nothing is random.

    Rank 1 and more, such as (channels, N); float and complex dtypes; the key is
    ignored.

    Args:
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: At the call, a scalar.
        TypeError: An integer or bool dtype.

    References:
        Gu and Dao, "Mamba: Linear-time sequence modeling with selective state spaces",
        2023, section 3.6.
    """

    def _values(self, shape: Shape) -> Array:
        return np.log1p(_row(shape))


def _row(shape: Shape) -> Array:
    """Return 0, 1, ... along the last axis; all other axes repeat it."""
    if not shape:
        raise Refused("a state has an axis, got a scalar; give (..., N).")
    return np.arange(shape[-1], dtype=np.float64)
