"""The fields that a law has, and what a wrong name may mean."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Collection

_OF_CALLS = ("key", "rng", "rngs", "shape", "size", "out_sharding", "sharding")
_PEERS = {  # what other libraries call a field
    **dict.fromkeys(("std", "sigma", "sd"), "stddev"),
    **dict.fromkeys(("mu", "loc"), "mean"),
    **dict.fromkeys(("a", "low", "min", "from_"), "minval"),
    **dict.fromkeys(("b", "high", "max", "to"), "maxval"),
    **dict.fromkeys(("val", "values"), "value"),
}


@functools.cache
def _parameters(cls: type) -> tuple[frozenset[str], bool]:
    """Return what a class is constructed with by name, and whether it takes more."""
    known = inspect.signature(cls).parameters.values()
    names = frozenset(p.name for p in known if p.kind is not p.VAR_KEYWORD)
    return names, len(names) < len(known)


def names_of(cls: type, given: Collection[str] = ()) -> Collection[str]:
    """Return the names that a class is constructed with, of those given too."""
    names, takes_more = _parameters(cls)
    return {*names, *given} if takes_more else names


def no_field(cls: type, name: str) -> str:
    """Return what to say of a name that is none of a class's fields."""
    names = names_of(cls)
    peers = [n for n in (_PEERS.get(name),) if n in names]
    near = peers or difflib.get_close_matches(name, names, n=1)
    if near:
        way = f"did you mean {near[0]!r}?"
    elif name in _OF_CALLS:
        way = f"it goes to the call, {cls.__name__}(...)(key, shape, dtype)."
    else:
        way = f"known: {sorted(names)}."
    return f"has no field {name!r}; {way}"
