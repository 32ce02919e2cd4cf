"""Which tensor is in which file of a checkpoint, and what the files begin with."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._core.file_dtypes import FILE_DTYPES
from .._core.values import numeric_dtype
from .._errors import Refused
from .._rules.table import PlanRow

INDEX = "model.safetensors.index.json"
_CODES = {name: code for code, name in FILE_DTYPES.items()}


class File(NamedTuple):
    """A safetensors file.

    Attributes:
        name: Its name.
        rows: Its tensors, in the order of their bytes.
        header: What it begins with.
        bytes: Its size.
    """

    name: str
    rows: tuple[PlanRow, ...]
    header: bytes
    bytes: int

    @property
    def tensors(self) -> list[str]:
        """The names of its tensors."""
        return [name_of(row) for row in self.rows]


def name_of(row: PlanRow) -> str:
    """Return a leaf's name as a tensor: its path with dots."""
    return row.path.replace("/", ".")


def files_of(
    rows: Sequence[PlanRow], file_bytes: int, metadata: Mapping[str, str]
) -> list[File]:
    """Return the files of a checkpoint, each of at most so many bytes of tensors.

    One that is larger has a file of its own.
    """
    for row in rows:
        _check(row)
    groups: list[list[PlanRow]] = []
    room = 0
    for row in rows:
        if row.bytes > room or not groups:
            groups.append([])
            room = file_bytes
        groups[-1].append(row)
        room -= row.bytes
    many = len(groups)
    names = [f"model-{i + 1:05}-of-{many:05}.safetensors" for i in range(many)]
    names = names if many > 1 else ["model.safetensors"]
    pairs = zip(names, groups, strict=True)
    return [_file(name, group, metadata) for name, group in pairs]


def _check(row: PlanRow) -> None:
    if row.dtype not in _CODES:
        raise Refused(
            f"{row.path!r} is {row.dtype}, which safetensors files do not have; give "
            "its rule a dtype that they have: Spec(law, dtype=...)."
        )
    if row.path == "__metadata__":
        raise Refused(
            "safetensors files keep '__metadata__' for themselves; rename the leaf."
        )


def _file(name: str, rows: Sequence[PlanRow], metadata: Mapping[str, str]) -> File:
    # wide entries first, so that every tensor is aligned to its own
    ordered = sorted(rows, key=lambda row: -(_itemsize(row)))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for row in ordered:
        begin, end = end, end + row.bytes
        header[name_of(row)] = {
            "dtype": _CODES[row.dtype],
            "shape": row.shape,
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    first = len(text).to_bytes(8, "little") + text
    return File(name, tuple(ordered), first, len(first) + end)


def _itemsize(row: PlanRow) -> int:
    return np.dtype(numeric_dtype(row.dtype)).itemsize


def share_of(files: Sequence[File], rank: int, count: int) -> list[File]:
    """Return the files that one of several processes writes: about as many bytes each.

    The largest go first, each to who has least so far.
    """
    loads = [0] * count
    mine: list[File] = []
    for file in sorted(files, key=lambda file: -file.bytes):
        least = loads.index(min(loads))
        loads[least] += file.bytes
        if least == rank:
            mine.append(file)
    return sorted(mine, key=lambda file: file.name)


def index_of(files: Sequence[File]) -> str:
    """Return the text of the index, as Hugging Face's loaders read it."""
    rows = [row for file in files for row in file.rows]
    index = {
        "metadata": {
            "total_parameters": sum(math.prod(row.shape) for row in rows),
            "total_size": sum(row.bytes for row in rows),
        },
        "weight_map": {name: file.name for file in files for name in file.tensors},
    }
    return json.dumps(index, indent=2, sort_keys=True) + "\n"
