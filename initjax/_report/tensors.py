"""Files of tensors (safetensors), checked and mapped: read where they are looked at."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard, cast

import jax.numpy as jnp
import numpy as np

from .._core.file_dtypes import FILE_DTYPES
from .._errors import Refused, shown
from .._fans.fans import is_list, mapping_of

File = str | os.PathLike[str]
Host = np.ndarray[Any, Any]

_LENGTH = 8  # bytes that say how long the header is
_LONGEST = 100_000_000  # bytes of a header, as the safetensors library has it
_AXES = 32  # what every NumPy holds
_SIZES = range(2**63)


class Place(NamedTuple):
    """Where in a file a tensor is, behind the header."""

    begin: int
    end: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def mapped(paths: Sequence[File]) -> dict[str, Host]:
    """Return the tensors of files by name, in memory that is read when looked at.

    Every byte of a file belongs to one tensor, as the format has it; a header that says
    anything else is refused before it is used. Nothing is imported or evaluated.
    """
    found: dict[str, Host] = {}
    for path in paths:
        try:
            tensors = _mapped(path)
        except Refused as refused:
            where = f"{os.fspath(path)} cannot be read as safetensors"
            raise Refused(f"{where}: {refused}") from None
        if twice := [name for name in tensors if name in found]:
            raise Refused(f"two files have {shown(twice[0])}; give one of them.")
        found.update(tensors)
    return found


def _mapped(path: File) -> dict[str, Host]:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise Refused("it is no file.")
    if status.st_size < _LENGTH:
        raise Refused(f"it has {status.st_size} bytes, a header needs {_LENGTH}.")
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
        start = _LENGTH + length
        most = min(_LONGEST, status.st_size - _LENGTH)
        if length > most:
            raise Refused(f"its header would have {length:,} bytes, at most {most:,}.")
        places = _places(file.read(length), status.st_size - start)
    raw: Host = np.memmap(path, np.uint8, "r")
    return {
        name: raw[start + at.begin : start + at.end].view(at.dtype).reshape(at.shape)
        for name, at in places.items()
    }


def _places(text: bytes, size: int) -> dict[str, Place]:
    """Return where the tensors of a header are, in `size` bytes of numbers."""
    header = _header(text)
    _check_metadata(header.pop("__metadata__", {}))
    places = {name: _place(name, row) for name, row in header.items()}
    _check_order(sorted((at.begin, at.end) for at in places.values()), size)
    return places


def _check_order(spans: Sequence[tuple[int, int]], size: int) -> None:
    """Refuse tensors that are not side by side from the first byte to the last."""
    last = 0
    for begin, end in spans:
        if begin != last:
            what = "overlap" if begin < last else "leave a gap"
            raise Refused(f"its tensors {what} at byte {min(begin, last):,}.")
        last = end
    if last != size:
        raise Refused(f"its tensors have {last:,} bytes, and it has {size:,} for them.")


def _header(text: bytes) -> dict[str, Any]:
    try:
        read = json.loads(text.decode(), object_pairs_hook=_unique)
    except UnicodeDecodeError:
        raise Refused("its header is no UTF-8.") from None
    except (ValueError, RecursionError) as error:  # numerals too long, nested too deep
        raise Refused(f"its header is no JSON: {error}.") from None
    if mapping_of(read) is None:
        raise Refused(f"its header is no object of tensors by name: {shown(read)}.")
    return cast("dict[str, Any]", read)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, value in pairs:
        if name in read:
            raise Refused(f"its header has {shown(name)} twice.")
        read[name] = value
    return read


def _check_metadata(metadata: Any) -> None:
    texts = mapping_of(metadata)
    if texts is None or not all(isinstance(text, str) for text in texts.values()):
        raise Refused(f"its metadata are no texts by name: {shown(metadata)}.")


def _place(name: str, row: Any) -> Place:
    """Return where a tensor is, or refuse what says none, or one it does not fit."""
    if not name.isprintable():
        raise Refused(f"{shown(name)} is no name of a tensor.")
    read: Mapping[str, Any] = mapping_of(row) or {}
    kind, shape, offsets = (read.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(kind, str) or not _are_sizes(shape) or not _are_sizes(offsets, 2):
        raise Refused(
            f"{shown(name)} must have a dtype, a shape and data_offsets, got "
            f"{shown(row)}."
        )
    if kind not in FILE_DTYPES:
        raise Refused(f"{shown(name)} is {shown(kind)}, which JAX does not have.")
    dtype: np.dtype[Any] = jnp.dtype(FILE_DTYPES[kind])
    begin, end = offsets
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise Refused(
            f"{shown(name)} is {kind}{shown(shape)}, and has {end - begin:,} bytes."
        )
    return Place(begin, end, dtype, (*shape,))


def _are_sizes(value: Any, count: int | None = None) -> TypeGuard[Sequence[int]]:
    return (
        is_list(value)
        and (len(value) == count if count else len(value) <= _AXES)
        and all(type(size) is int and size in _SIZES for size in value)
    )
