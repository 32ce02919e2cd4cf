"""Configs as plain data: what `get_config` writes and `from_config` reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import jax
import numpy as np

from .._errors import Refused, shown
from .._fans.declaration import KINDS, Declaration
from .._fans.fans import is_list, mapping_of
from .names import find, name_of
from .values import ArrayValue

# Keras 3.16's names for fan axes; it leaves unlisted axes out of both fans
_KERAS_AXES = {"input_axes": "in_axis", "output_axes": "out_axis"}


def to_plain(value: Any) -> Any:
    """Return a field's value as JSON-able data."""
    if isinstance(value, jax.Array):
        raise Refused("holds a traced value, which is not plain data.", TypeError)
    if isinstance(value, ArrayValue):
        value = value.array
        if np.iscomplexobj(value):
            return _complex_dict(value.real.tolist(), value.imag.tolist())
        return value.tolist()
    if isinstance(value, complex):
        return _complex_dict(value.real, value.imag)
    if isinstance(value, Declaration):
        return _declaration_dict(value)
    if hasattr(type(value), "get_config"):
        return {"class_name": name_of(type(value)), "config": value.get_config()}
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, Mapping):
        return _dict_node(cast("Mapping[Any, Any]", value))
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise Refused(
        f"holds a {type(value).__name__}, which is not plain data.", TypeError
    )


def _dict_node(value: Mapping[Any, Any]) -> dict[str, Any]:
    if not all(isinstance(name, str) for name in value):
        raise Refused(
            "holds a dict whose keys are no str; JSON has no others.", TypeError
        )
    plain = {name: to_plain(item) for name, item in value.items()}
    return {"class_name": "__dict__", "config": plain}


def _declaration_dict(value: Declaration) -> dict[str, Any]:
    config = {
        field.name: to_plain(kept)
        for field in dataclasses.fields(value)
        if (kept := getattr(value, field.name)) != field.default
    }
    return {"class_name": type(value).__name__, "config": config}


def array_node(value: ArrayValue) -> dict[str, Any]:
    """Return an array as Keras 3 writes it; a complex one as `to_plain` does."""
    array = value.array
    if np.iscomplexobj(array):
        return cast("dict[str, Any]", to_plain(value))
    config = {"value": array.tolist(), "dtype": array.dtype.name}
    return {"class_name": "__numpy__", "config": config}


def _complex_dict(real: Any, imag: Any) -> dict[str, Any]:
    return {"class_name": "__complex__", "config": {"real": real, "imag": imag}}


def from_plain(value: Any) -> Any:
    """Return a field's value from JSON-able data, Keras's wrappers included."""
    try:
        return _from_plain(value)
    except RecursionError:
        raise Refused(
            "is nested too deep, or contains itself; give what `serialize` writes."
        ) from None


def _from_plain(value: Any) -> Any:
    if is_list(value):
        return [from_plain(item) for item in value]
    node = mapping_of(value)
    if node is None:
        return value
    name = node.get("class_name")
    reader = _READERS.get(name) if isinstance(name, str) else None
    if reader is None:
        return from_node(node)
    inner = mapping_of(node.get("config"))
    if inner is None:
        raise Refused(
            f"cannot read the nested object {shown(dict(node))}: it has no config."
        )
    try:
        return reader(inner)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Refused(
            f"cannot read the nested object {shown(dict(node))}: {error!r}."
        ) from None


def from_node(config: Any) -> Any:
    """Return the law of a saved config: a name, or a dict with "class_name"."""
    if isinstance(config, str):
        config = {"class_name": config, "config": {}}
    node = mapping_of(config)
    if node is None:
        kind = type(config).__name__
        raise Refused(
            f"needs a dict or a name, got {kind}; see `serialize`.", TypeError
        )
    name, fields = node.get("class_name"), node.get("config", {})
    if not isinstance(name, str):
        raise Refused(
            f"needs a class_name that is a str, got {shown(name)}; "
            "give {'class_name': ..., 'config': {...}}.",
            TypeError,
        )
    if name == "function" and isinstance(fields, str):
        name, fields = fields, {}
    given = mapping_of({} if fields is None else fields)
    if given is None:
        kind = type(fields).__name__
        raise Refused(
            f"needs a config that is a dict, got {kind}; give a dict.", TypeError
        )
    found = find(name, node)
    if not isinstance(found, type):
        return found
    extra = mapping_of(node.get("initjax", {}))
    if extra is None:
        kind = type(node["initjax"]).__name__
        raise Refused(f'needs "initjax" to be a dict, got {kind}; drop it.', TypeError)
    whole = {**given, **extra}
    build = cast("Any", getattr(found, "from_config", None))
    if build:
        return build(whole)
    try:
        return found(**whole)
    except TypeError as error:
        raise Refused(
            f"{name} does not take this config: {error}.", TypeError
        ) from None


def _read_array(inner: Mapping[str, Any]) -> Any:
    return np.asarray(inner["value"], dtype=jax.numpy.dtype(inner["dtype"]))


def _read_complex(inner: Mapping[str, Any]) -> Any:
    real = np.asarray(inner["real"], np.float64)
    array = np.empty(real.shape, np.complex128)
    array.real, array.imag = real, inner["imag"]  # 1j * inf would be NaN
    return array


def _declaration_reader(kind: type[Declaration]) -> Callable[[Mapping[str, Any]], Any]:
    def read(inner: Mapping[str, Any]) -> Any:
        return kind(**{name: from_plain(value) for name, value in inner.items()})

    return read


_READERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "__numpy__": _read_array,
    "__tensor__": _read_array,
    "__complex__": _read_complex,
    "__dict__": lambda c: {name: from_plain(value) for name, value in c.items()},
    "SeedGenerator": lambda c: c["seed"],
    **{name: _declaration_reader(kind) for name, kind in KINDS.items()},
}


def read_fields(config: Mapping[str, Any], fields: set[str]) -> dict[str, Any]:
    """Return constructor arguments from a config in Keras's spelling or ours."""
    items = mapping_of(config)
    if items is None:
        raise Refused(f"needs a dict, got {type(config).__name__}.", TypeError)
    given = {
        name if isinstance(name, str) else shown(name): from_plain(value)
        for name, value in items.items()
    }
    if "in_axis" not in fields:  # no law that scales with fans
        return given
    if not given.keys().isdisjoint(_KERAS_AXES):
        keras_axes = {ours: given.pop(name, None) for name, ours in _KERAS_AXES.items()}
        if any(axes is not None for axes in keras_axes.values()):
            given |= keras_axes | {"batch_axis": "rest"}
    name = given.get("distribution")
    if isinstance(name, str) and name.lower() == "normal":
        given["distribution"] = "truncated_normal"  # in a Keras file
    return given
