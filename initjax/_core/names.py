"""The names of laws in saved configs: which class a name means, and the way back."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from typing import Any

from .._errors import Refused, shown

BUILT_IN: dict[str, Any] = {}  # classes of initjax, under all their names
REGISTERED: dict[str, Any] = {}  # classes of users
LATE: list[Callable[[], Any]] = []  # what loads the laws that are not loaded yet
HIDDEN = ("Initializer", "initializer")  # found, and never suggested
_MODULES = ("keras", "tf_keras", "tensorflow", "initjax")
_CUSTOM: ContextVar[Mapping[str, Any]] = ContextVar("custom_objects")


def snake(name: str) -> str:
    """Return a class name as Keras spells its identifier: HeNormal, he_normal."""
    name = re.sub(r"(\w)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def built_in(name: str) -> Any:
    """Return the class of initjax that has this name, loaded or not; None is none."""
    if name not in BUILT_IN:
        for load in LATE:
            load()
    return BUILT_IN.get(name)


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
    if not isinstance(objects, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
        raise Refused(
            f"custom_objects must be a dict by name, got {shown(objects)}.", TypeError
        )
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
    if module is not None and _package(module) not in _MODULES:
        raise Refused(
            f"names the module {shown(module)}, and initjax imports nothing from a "
            f"config; register the class {shown(name)} with initjax.register, or pass "
            "it in custom_objects."
        )
    if (known := built_in(name)) is not None:
        return known
    raise Refused(
        f"unknown initializer {shown(name)}; {_hint(name, custom)} "
        "A law of your own needs initjax.register, or custom_objects."
    )


def _hint(name: str, custom: Mapping[str, Any]) -> str:
    """Return the known names that an unknown one may mean."""
    last = name[-_LONG:].strip().rpartition(".")[2]
    last = re.sub(r"_?initializers?$", "", last, flags=re.IGNORECASE)
    if name.startswith("jax.") and (ours := _JAX.get(last)):
        return f"did you mean {ours}?"
    names = [n for n in (*custom, *REGISTERED, *BUILT_IN) if n not in HIDDEN]
    letters = _letters(last)
    same = [n for n in names if _letters(n) == letters]
    near = same or difflib.get_close_matches(last, names, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return "see initjax.laws for the catalogue."


def _package(module: Any) -> str | None:
    return module.split(".")[0] if isinstance(module, str) else None


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


_LONG = 64  # no name of ours is longer
# where JAX's names mean other laws than Keras's
_JAX = {"normal": "initjax.nn.normal()", "uniform": "initjax.nn.uniform()"}
