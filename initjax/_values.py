"""An array as a value: immutable, hashable, equal by content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class ArrayValue:
    """The numbers of an array, kept as the bytes of its widest dtype of the kind.

    `np.asarray(value)` gives a read-only view, `value.tolist()` nested lists.
    """

    shape: tuple[int, ...]
    dtype: str
    data: bytes

    @classmethod
    def of(cls, array: Any) -> ArrayValue:
        """Keep a numeric array: bool, int64 or uint64, float64, complex128."""
        x = np.asarray(array)
        if x.dtype.kind not in "biufc":
            x = x.astype(np.float64)  # bfloat16 and its like
        wide = {"b": np.bool_, "i": np.int64, "u": np.uint64, "f": np.float64}
        x = x.astype(wide.get(x.dtype.kind, np.complex128))
        if x.dtype == np.uint64 and (x.size == 0 or x.max() < 2**63):
            x = x.astype(np.int64)
        return cls(x.shape, x.dtype.str, x.tobytes())

    @property
    def array(self) -> np.ndarray[Any, np.dtype[Any]]:
        """A read-only view of the numbers."""
        return np.frombuffer(self.data, self.dtype).reshape(self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Give NumPy the numbers."""
        del copy  # the bytes are immutable: a view never lets them change
        return self.array if dtype is None else self.array.astype(dtype)

    def tolist(self) -> Any:
        """Return nested lists of Python numbers."""
        return self.array.tolist()

    def __repr__(self) -> str:
        """Show nested lists, which build an equal value again."""
        return repr(self.tolist())
