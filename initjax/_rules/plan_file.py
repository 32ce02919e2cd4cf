"""A plan read back from its JSON; nothing is imported or evaluated."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from .._core.config import from_plain
from .._core.orders import as_shape
from .._core.values import numeric_dtype
from .._errors import Refused, shown
from .._fans.fans import Fans, is_list, mapping_of
from .._registry import deserialize
from .table import PlanRow

_TOTALS = ("fingerprint", "parameters", "bytes", "compiled", "leaves")
_FIELDS = tuple(field.name for field in dataclasses.fields(PlanRow))


def read_plan(text: Any) -> tuple[tuple[PlanRow, ...], int, str]:
    """Return rows, programs and fingerprint of a plan's JSON."""
    given = _object(_parsed(text), _TOTALS, "the plan")
    leaves = given["leaves"]
    if not is_list(leaves):
        raise Refused(f"'leaves' must be a list, got {shown(leaves)}.")
    rows = tuple(_row(leaf) for leaf in leaves)
    paths = [row.path for row in rows]
    if twice := [path for path in set(paths) if paths.count(path) > 1]:
        raise Refused(f"the plan lists {min(twice)!r} twice.")
    return rows, _count(given["compiled"], "'compiled'"), given["fingerprint"]


def _parsed(text: Any) -> Any:
    if not isinstance(text, str):
        raise Refused(
            f"needs the text that to_json returns, got {type(text).__name__}.",
            TypeError,
        )
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        why = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise Refused(f"is no JSON: {why}.") from None


def _object(x: Any, names: Sequence[str], what: str) -> Mapping[str, Any]:
    """Return an object that has these names and no others."""
    given = mapping_of(x)
    if given is None:
        raise Refused(f"{what} must be an object, got {shown(x)}.")
    if lacking := [name for name in names if name not in given]:
        raise Refused(f"{what} lacks {lacking[0]!r}; give what TreePlan.to_json wrote.")
    if unknown := [name for name in given if name not in names]:
        raise Refused(f"{what} has an unknown field {shown(unknown[0])}.")
    return given


def _row(leaf: Any) -> PlanRow:
    given = _object(leaf, _FIELDS, "a leaf")
    path = given["path"]
    if not isinstance(path, str):
        raise Refused(f"a leaf's path must be a str, got {shown(path)}.")
    try:
        return _checked_row(given)
    except Refused as refused:
        raise Refused(f"{path!r}: {refused}", refused.kind) from None


def _checked_row(given: Mapping[str, Any]) -> PlanRow:
    texts = {name: _text(given, name) for name in ("rule", "fans_from", "way")}
    dtype = numeric_dtype(given["dtype"])
    if dtype is None:
        raise Refused(f"no dtype of numbers: {shown(given['dtype'])}.")
    return PlanRow(
        path=given["path"],
        shape=as_shape(given["shape"]),
        dtype=dtype.name,
        law=_law(given["law"]),
        fans=tuple(_fans(pair) for pair in _list(given["fans"], "fans")),
        mean=_number(from_plain(given["mean"]), "mean", complex),
        std=_number(given["std"], "std", float),
        bytes=_count(given["bytes"], "'bytes'"),
        shards=_count(given["shards"], "'shards'"),
        stream=tuple(_part(part) for part in _list(given["stream"], "stream")),
        **texts,
    )


def _law(config: Any) -> Any:
    if not isinstance(config, Mapping):
        raise Refused(
            f"is made by the function {shown(config)}, which no file holds; plan "
            "with a law in its place.",
            TypeError,
        )
    try:
        return deserialize(cast("Mapping[str, Any]", config))
    except (ValueError, TypeError) as error:
        raise Refused(str(error), type(error)) from None


def _list(x: Any, name: str) -> Sequence[Any]:
    if not is_list(x):
        raise Refused(f"{name!r} must be a list, got {shown(x)}.")
    return x


def _fans(pair: Any) -> Fans:
    if not is_list(pair) or len(pair) != 2:
        raise Refused(f"fans are pairs of numbers, got {shown(pair)}.")
    return Fans(*(cast("float", _number(fan, "fans", float)) for fan in pair))


def _number(x: Any, name: str, kind: type) -> Any:
    allowed = (int, float, kind)
    if x is not None and (isinstance(x, bool) or not isinstance(x, allowed)):
        raise Refused(f"{name!r} must be a number, got {shown(x)}.")
    return x


def _count(x: Any, name: str) -> int:
    if type(x) is not int or x < 0:
        raise Refused(f"{name} must be a number of things, got {shown(x)}.")
    return x


def _text(given: Mapping[str, Any], name: str) -> str:
    if not isinstance(given[name], str):
        raise Refused(f"{name!r} must be a str, got {shown(given[name])}.")
    return given[name]


def _part(x: Any) -> str | int:
    if type(x) not in (int, str):
        raise Refused(f"a stream has parts that are str or int, got {shown(x)}.")
    return x
