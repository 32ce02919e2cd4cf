"""What `+`, `-`, `*` and `/` mean between laws and numbers."""

from __future__ import annotations

from numbers import Number
from typing import Any, NoReturn

import jax
import numpy as np

from .._errors import shown
from .names import built_in


class Operators:
    """The base of what is multiplied by numbers, and added to laws and numbers.

    `2 * law`, `law / 2` and `-law` are `Scaled`; `law + law`, `law - law`, `law + 1`
    and `law + array` are `Sum`, whose terms are independent. All else is a TypeError.
    """

    __slots__ = ()
    __array_ufunc__ = None  # NumPy's numbers and arrays leave the operators to laws

    def __mul__(self, other: Any) -> Any:
        """Return the law times a number."""
        if isinstance(other, Operators):
            _refuse(self, "*", other)
        return built_in("Scaled")(self, other) if _is_number(other) else NotImplemented

    def __rmul__(self, other: Any) -> Any:
        """Return the law times a number."""
        return self.__mul__(other)

    def __truediv__(self, other: Any) -> Any:
        """Return the law divided by a number."""
        if isinstance(other, Operators):
            _refuse(self, "/", other)
        return self * (1 / other) if _is_number(other) else NotImplemented

    def __neg__(self) -> Any:
        """Return the law of the entries with the other sign."""
        return self * -1.0

    def __add__(self, other: Any) -> Any:
        """Return the law of the sum with an independent law, a number or an array."""
        return built_in("Sum")([self, other]) if _is_term(other) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        """Return the law of the sum with a number or an array."""
        return built_in("Sum")([other, self]) if _is_term(other) else NotImplemented

    def __sub__(self, other: Any) -> Any:
        """Return the law of the difference to a law, a number or an array."""
        return self + -_as_law(other) if _is_term(other) else NotImplemented

    def __rsub__(self, other: Any) -> Any:
        """Return the law of the difference from a number or an array."""
        return other + -self if _is_term(other) else NotImplemented


def _is_number(value: Any) -> bool:
    """Tell whether a value is a number or an array; a field's check does the rest."""
    return isinstance(value, (Number, np.generic, np.ndarray, jax.Array))


def _is_term(value: Any) -> bool:
    return isinstance(value, Operators) or _is_number(value)


def _as_law(value: Any) -> Any:
    return value if isinstance(value, Operators) else built_in("Constant")(value)


def _refuse(one: Any, sign: str, other: Any) -> NoReturn:
    raise TypeError(
        f"{shown(one)} {sign} {shown(other)}: the other factor of a law is a number; "
        "give one, or add laws by +."
    )
