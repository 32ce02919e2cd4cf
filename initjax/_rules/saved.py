"""Rules as plain data: what their configs hold, and what plans say of laws."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from .._core.config import from_plain, to_plain
from .._core.initializer import Initializer
from .._errors import Refused, shown
from .._fans.fans import is_list, mapping_of
from .._registry import serialize
from .makers import name_of

# re.DEBUG prints, and re.TEMPLATE and re.LOCALE are none of a path's
_FLAGS = re.ASCII | re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.UNICODE
_KNOWN = ("rules", "default", "strict")


def pattern_config(pattern: Any) -> Any:
    """Return a pattern as plain data, or refuse a predicate."""
    if isinstance(pattern, str):
        return pattern
    if isinstance(pattern, re.Pattern):
        compiled = cast("re.Pattern[str]", pattern)
        return {"regex": compiled.pattern, "flags": int(compiled.flags)}
    raise Refused(
        f"the predicate {name_of(pattern)} is no data; give a glob or a regex.",
        TypeError,
    )


def read_pattern(config: Any) -> Any:
    """Return the pattern of `pattern_config`'s data."""
    read = mapping_of(config)
    if read is None:
        return config
    regex, flags = read.get("regex"), read.get("flags", 0)
    if not isinstance(regex, str) or not {*read} <= {"regex", "flags"}:
        raise Refused(
            f"a regex is saved as {{'regex': a str, 'flags': an int}}, got "
            f"{shown(config)}."
        )
    if type(flags) is not int or flags & ~int(_FLAGS):
        raise Refused(f"{shown(flags)} are no flags of a regex of paths.")
    try:
        return re.compile(regex, flags)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise Refused(f"the regex {shown(regex)} is malformed: {error}.") from None


def read_row(row: Any) -> tuple[Any, Any]:
    """Return the pattern and the initializer's data of a row of a config."""
    if not is_list(row) or len(row) != 2:
        raise Refused(
            f"must be a pair [pattern, initializer], got {shown(row)}.", TypeError
        )
    pattern, initializer = row
    return read_pattern(pattern), initializer


def read_spec(config: Any, fields: Iterable[str]) -> dict[str, Any]:
    """Return the arguments of a `Spec` from a config, or from an initializer's."""
    read = mapping_of(config)
    if read is None or "initializer" not in read:
        return {"initializer": config}
    given = dict(read)
    if unknown := [name for name in given if name not in fields]:
        raise Refused(f"has no field {shown(unknown[0])}; known: {', '.join(fields)}.")
    if "fan" in given:
        given["fan"] = from_plain(given["fan"])
    return given


def read_whole(config: Any) -> dict[str, Any]:
    """Return the entries of a config of rules, or refuse what is none."""
    read = mapping_of(config)
    if read is None:
        raise Refused(
            f"needs a dict, as get_config returns, got {type(config).__name__}.",
            TypeError,
        )
    given = dict(read)
    if unknown := [name for name in given if name not in _KNOWN]:
        raise Refused(f"has no field {shown(unknown[0])}; known: {', '.join(_KNOWN)}.")
    if not is_list(given.get("rules")):
        raise Refused(
            "needs 'rules', a list of pairs [pattern, initializer], got "
            f"{shown(given.get('rules'))}."
        )
    return given


def law_data(law: Any) -> Any:
    """Return what makes a leaf as plain data; functions and own classes by name."""
    if not isinstance(law, Initializer):
        return _named(law)
    try:
        return serialize(law)
    except (TypeError, ValueError):  # a class not registered, or a field that is none
        fields = [field for field in dataclasses.fields(law) if field.init]
        config = {f.name: _field_data(getattr(law, f.name)) for f in fields}
        return {"class_name": _path(type(law)), "config": config}


def _field_data(value: Any) -> Any:
    if isinstance(value, Initializer):
        return law_data(value)
    if isinstance(value, (tuple, list)):
        return [_field_data(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {str(name): _field_data(item) for name, item in items}
    try:
        return to_plain(value)
    except Refused:
        return _named(value)


def _named(x: Any) -> str:
    named = x if isinstance(getattr(x, "__qualname__", None), str) else type(x)
    return _path(named)


def _path(x: Any) -> str:
    return f"{getattr(x, '__module__', '')}.{x.__qualname__}"
