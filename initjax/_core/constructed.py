"""A law's class, or a function that makes a law, called as the law itself."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, Self, TypeVar

import jax
import numpy as np

from .._errors import shown
from .orders import is_shape, of_layers
from .streams import is_key
from .values import numeric_dtype
from .words import names_of, no_field

P = ParamSpec("P")
R = TypeVar("R")

UNDECORATED = (
    "the class is no dataclass of its own; decorate it with "
    "@dataclasses.dataclass(frozen=True)."
)


def is_undecorated(cls: type) -> bool:
    """Tell whether a law's class has the fields of its base alone."""
    return isinstance(getattr(cls, "seed", None), dataclasses.Field)


class Constructed:
    """The base of what is constructed first and called with a key and a shape then."""

    __slots__ = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Return a new object, or say that the call of a law is none of its class."""
        new = super().__new__(cls)
        if (args or kwargs) and is_undecorated(cls):
            raise TypeError(f"{cls.__name__}: {UNDECORATED}")
        if _is_call(args):
            try:  # a law of one's own may have such fields
                new.__init__(*args, **kwargs)
            except (TypeError, ValueError):
                raise _too_early("class of", cls.__name__, args) from None
        if kwargs and (unknown := kwargs.keys() - names_of(cls, kwargs)):
            name = min(unknown)
            where = f"{cls.__name__}({name}={shown(kwargs[name])})"
            raise TypeError(f"{where}: {no_field(cls, name)}")
        return new


def makes_law(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function, which says when it is called as the law that it makes."""

    @functools.wraps(function)
    def make(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (TypeError, ValueError):
            if not _is_call(args):
                raise
        raise _too_early("function that makes", function.__name__, args)

    return make


def _is_call(args: tuple[Any, ...]) -> bool:
    """Tell (key, ...), and (shape, dtype) as Keras and Haiku call, from fields."""
    if not args:
        return False
    first, *others = args
    if is_key(first):
        return True
    if isinstance(first, (jax.Array, np.ndarray)):
        return first.dtype == np.uint32 and len(others) > 0
    return bool(others) and is_shape(first) and _is_dtype(others[0])


def _is_dtype(value: Any) -> bool:
    return not isinstance(value, str) and numeric_dtype(value) is not None


def _too_early(what: str, name: str, args: tuple[Any, ...]) -> TypeError:
    given = ", ".join(map(shown, args))
    way = f"call it first, as in {name}()(key, shape), or give {name}() in its place."
    if is_shape(args[0]):
        way = f"call it first. {of_layers(f'{name}()')}"
    return TypeError(f"{name}({given}): this is the {what} the law; {way}")
