"""Griffe extension: signatures of dataclasses and tuples as Python has them.

Fields of laws are made by functions of initjax's own, of which static reading knows no
default, and the base class gives every law some more.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import griffe

KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: griffe.ParameterKind.positional_only,
    inspect.Parameter.POSITIONAL_OR_KEYWORD: griffe.ParameterKind.positional_or_keyword,
    inspect.Parameter.VAR_POSITIONAL: griffe.ParameterKind.var_positional,
    inspect.Parameter.KEYWORD_ONLY: griffe.ParameterKind.keyword_only,
    inspect.Parameter.VAR_KEYWORD: griffe.ParameterKind.var_keyword,
}


class Signatures(griffe.Extension):
    """Give classes the signature that calling them has."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Go through all classes of a package, once it is read."""
        for cls in classes(pkg):
            for function in cls.functions.values():
                for parameter in () if function.is_alias else function.parameters:
                    if str(parameter.default) == "MISSING":  # found out by hand
                        parameter.default = None
            if "__init__" in cls.members and cls.docstring:
                cls.members["__init__"].docstring = None  # the class says it
            if made := at_runtime(cls):
                cls.set_member("__init__", init(cls, made))


def classes(obj: Any) -> Iterator[Any]:
    """Yield the classes below a module or class."""
    for member in list(obj.members.values()):
        if member.is_alias:
            continue
        if member.is_class:
            yield member
        if member.is_class or member.is_module:
            yield from classes(member)


def at_runtime(cls: Any) -> Any:
    """Return the class itself, if its signature is made of its fields."""
    path = cls.path.removeprefix(f"{cls.module.path}.").split(".")
    try:
        found = functools.reduce(
            getattr, path, importlib.import_module(cls.module.path)
        )
    except (ImportError, AttributeError):  # of a framework that is not there
        return None
    is_dataclass = dataclasses.is_dataclass(found) and "__init__" in vars(found)
    return found if is_dataclass or hasattr(found, "_field_defaults") else None


def init(cls: Any, made: Any) -> griffe.Function:
    """Return the `__init__` of a class by its fields."""
    parameters = [
        griffe.Parameter(
            parameter.name,
            kind=KINDS[parameter.kind],
            annotation=annotation(parameter.annotation),
            default=default(parameter.default),
        )
        for parameter in inspect.signature(made).parameters.values()
    ]
    this = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
    return griffe.Function(
        "__init__", parent=cls, parameters=griffe.Parameters(this, *parameters)
    )


def annotation(x: Any) -> str | None:
    """An annotation as text."""
    if x is inspect.Parameter.empty:
        return None
    return x if isinstance(x, str) else getattr(x, "__name__", str(x))


def default(x: Any) -> str | None:
    """A default as text."""
    if x is inspect.Parameter.empty:
        return None
    return "..." if "factory" in repr(x) else repr(x)
