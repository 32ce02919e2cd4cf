"""State matrices that remember by orthogonal polynomials: HiPPO."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._core.fields import checked, choice
from .._errors import Refused
from .._registry import named
from .table import Array, Table

Shape = tuple[int, ...]
_part = choice("a", "b")


@named()
@dataclass(frozen=True, slots=True, repr=False)
class HiPPO(Table):
    """A or B of x' = A x + B u, whose state is Legendre coefficients of the past.

    In the orthonormal basis, with n and k from 0 and r = sqrt(2 n + 1): B is r_n, and

    - "legs", scaled Legendre, all of the past (x' = (A x + B u) / t, or S4's without
      1 / t): A is -r_n r_k below the diagonal, -(n + 1) on it, 0 above;
    - "legt", translated Legendre, a window of length 1: A is -r_n r_k on and below the
      diagonal, -(-1)^(n - k) r_n r_k above. Of a window of length w both are over w; S4
      has w = 2.

    Mean and standard deviation are those of the entries; nothing is random.

    Shapes (N, N) for A, (N,) or (N, 1) for B; float and complex dtypes; the key is
    ignored.

    Args:
        measure: "legs" or "legt".
        part: "A" or "B".
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: An unknown option; at the call, another shape.
        TypeError: An integer or bool dtype.

    References:
        Gu et al., "HiPPO: Recurrent memory with optimal polynomial projections",
        NeurIPS 2020, theorems 1 and 2; scaled as in Gu et al., "How to train your
        HiPPO", ICLR 2023.
    """

    measure: str = checked("legs", choice("legs", "legt"))
    part: str = checked("A", lambda value: _part(value).upper())

    def _values(self, shape: Shape) -> Array:
        size = shape[0] if shape else 0
        shapes = {"A": ((size, size),), "B": ((size,), (size, 1))}[self.part]
        if shape not in shapes:
            wanted = {"A": "(N, N)", "B": "(N,) or (N, 1)"}[self.part]
            raise Refused(
                f"part {self.part!r} has a shape {wanted}, got {shape}; give one."
            )
        n = np.arange(size, dtype=np.float64)
        if self.part == "B":
            return np.sqrt(2 * n + 1).reshape(shape)
        scale = np.sqrt(np.outer(2 * n + 1, 2 * n + 1))  # whole on the diagonal
        below = np.tril(scale)
        if self.measure == "legs":
            return np.diag(n) - below
        signs = (-1.0) ** (n[:, None] - n)
        return -below - np.triu(signs * scale, 1)
