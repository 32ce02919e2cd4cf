"""Laws as values: what their fields may hold, and when two laws are equal."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import (
    Callable,
    Hashable,
    Mapping,
    MutableMapping,
    MutableSequence,
    Sequence,
)
from typing import Any, NoReturn, TypeGuard, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._errors import Refused
from .._fans.fans import is_list


class Frozen(dict[Any, Any]):
    """A dict that nobody changes: hashable, and equal to a dict of the same items."""

    def __hash__(self) -> int:  # type: ignore[override]
        """Hash the items, in any order."""
        return hash(frozenset(self.items()))

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("a field of a law is a value; give another law another dict.")

    __setitem__ = __delitem__ = __ior__ = _refuse  # type: ignore[assignment]
    clear = pop = popitem = setdefault = update = _refuse  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the dict that it is made of."""
        return type(self), (dict(self),)


def kept(value: Any) -> Any:
    """Return what a field without a check stores, or refuse what is no value.

    Lists become tuples, dicts frozen ones, concrete scalars Python numbers.
    """
    if isinstance(value, Tracer):
        return value
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        if np.ndim(value):
            raise Refused(
                "is an array, and a law is a value; give a tuple, such as "
                "array.tolist(), and make the array of it in _sample.",
                TypeError,
            )
        if not jnp.issubdtype(value.dtype, jax.dtypes.extended):
            return np.asarray(value).item()
    if _is_plain_list(value):
        return tuple(map(kept, value))
    if isinstance(value, MutableMapping):
        items = cast("MutableMapping[Any, Any]", value).items()
        return Frozen({name: kept(item) for name, item in items})
    if isinstance(value, set):
        return frozenset(cast("set[Any]", value))
    try:
        hash(value)
    except TypeError:
        kind = type(value).__name__
        raise Refused(
            f"is of type {kind}, which cannot be hashed, and a law is a value; give "
            "numbers, text, tuples, dicts or laws.",
            TypeError,
        ) from None
    return value


def _is_plain_list(value: Any) -> TypeGuard[Sequence[Any]]:
    """Tell what can change, and tuples, from what is a value of a kind of its own."""
    return is_list(value) and (
        type(value) is tuple or isinstance(value, MutableSequence)
    )


class Itself:
    """Stands for a value that is equal to itself alone, such as a traced number."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        """Keep the value, so that its identity stays its own."""
        self.value = value

    def __eq__(self, other: object) -> bool:
        """Compare by identity."""
        return isinstance(other, Itself) and self.value is other.value

    def __hash__(self) -> int:
        """Hash the identity."""
        return id(self.value)


def typed(value: Any) -> Hashable:
    """Return what two fields have in common if they are one value: 1 is not True."""
    if isinstance(value, jax.Array):
        return Itself(value)
    if type(value) is tuple:
        return tuple(map(typed, cast("tuple[Any, ...]", value)))
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return frozenset((typed(name), typed(item)) for name, item in items)
    if isinstance(value, (float, complex)):
        return type(value), repr(value)  # -0.0 is not 0.0, NaN is NaN
    return type(value), value


def is_traced(value: Any) -> bool:
    """Tell whether a law, or what is made of laws, holds a traced number."""
    if type(value) in _PLAIN:
        return False
    if isinstance(value, Value):
        return any(map(is_traced, _layout(type(value))[0](value)))
    if isinstance(value, tuple):
        return any(map(is_traced, cast("tuple[Any, ...]", value)))
    if isinstance(value, Frozen):
        return any(map(is_traced, value.values()))
    return isinstance(value, Tracer)


_PLAIN = frozenset({type(None), bool, int, float, str})


class Value:
    """The base of a frozen dataclass that is equal by class and fields.

    Fields without a check, those of a law of one's own, are compared by type too.
    """

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Keep the dataclass decorator from writing its own methods."""
        super().__init_subclass__(**kwargs)
        for name in ("__eq__", "__hash__", "__repr__"):
            if name not in vars(cls):
                setattr(cls, name, getattr(cls, name))

    def __eq__(self, other: object) -> bool:
        """Compare class and fields."""
        if type(other) is not type(self):
            return NotImplemented
        return self is other or _fields(self) == _fields(other)

    def __hash__(self) -> int:
        """Hash the fields, a traced number by its identity."""
        values, own = _layout(type(self))
        if not own:
            try:
                return hash(values(self))
            except TypeError:  # a traced number
                pass
        return hash(_fields(self))


def _fields(x: Any) -> Hashable:
    values, own = _layout(type(x))
    return tuple(
        typed(value) if i in own or isinstance(value, jax.Array) else value
        for i, value in enumerate(values(x))
    )


@functools.cache
def _layout(cls: Any) -> tuple[Callable[[Any], Any], frozenset[int]]:
    """Return what reads the fields of a class, and which of them have no check."""
    fields = [field for field in dataclasses.fields(cls) if field.compare]
    own = (i for i, f in enumerate(fields) if f.init and "check" not in f.metadata)
    return operator.attrgetter(*(f.name for f in fields)), frozenset(own)
