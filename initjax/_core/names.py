"""The names of laws in saved configs: which class a name means, and the way back."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Generator, Mapping
from contextvars import ContextVar
from typing import Any

from .._errors import Refused

BUILT_IN: dict[str, Any] = {}  # classes of initjax, under all their names
REGISTERED: dict[str, Any] = {}  # classes of users
HIDDEN = ("Initializer", "initializer")  # found, and never suggested
_MODULES = ("keras", "tf_keras", "tensorflow", "initjax")
_CUSTOM: ContextVar[Mapping[str, Any]] = ContextVar("custom_objects")


def snake(name: str) -> str:
    """Return a class name as Keras spells its identifier: HeNormal, he_normal."""
    name = re.sub(r"(\w)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def is_built_in(cls: type) -> bool:
    """Tell whether a class is a law of initjax itself."""
    return BUILT_IN.get(cls.__name__) is cls


def name_of(cls: type) -> str:
    """Return what saved configs call a class, or refuse one that has no name."""
    if is_built_in(cls):
        return cls.__name__
    for name, known in REGISTERED.items():
        if known is cls:
            return name
    raise Refused(
        f"the class {cls.__name__} is not registered; decorate it with "
        "@initjax.register.",
        TypeError,
    )


@contextlib.contextmanager
def custom_objects(objects: Mapping[str, Any]) -> Generator[None]:
    """Look these names up first, for nested configs too."""
    token = _CUSTOM.set({**_CUSTOM.get({}), **objects})
    try:
        yield
    finally:
        _CUSTOM.reset(token)


def find(name: str, node: Mapping[str, Any]) -> Any:
    """Return the class or function that a config names, or refuse it."""
    custom = _CUSTOM.get({})
    registered = node.get("registered_name")
    for known in (custom, REGISTERED):
        for spelling in (registered, name):
            if isinstance(spelling, str) and spelling in known:
                return known[spelling]
    module = node.get("module")
    if module is not None and str(module).split(".")[0] not in _MODULES:
        raise Refused(
            f"names the module {module!r}, and initjax imports nothing from a config; "
            f"register the class {name!r} with initjax.register, or pass it in "
            "custom_objects."
        )
    if name in BUILT_IN:
        return BUILT_IN[name]
    names = [n for n in (*custom, *REGISTERED, *BUILT_IN) if n not in HIDDEN]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = "see initjax.laws for the catalogue."
    if near:
        hint = f"did you mean {' or '.join(map(repr, near))}?"
    raise Refused(
        f"unknown initializer {name!r}; {hint} "
        "A law of your own needs initjax.register, or custom_objects."
    )
