"""`write_checkpoint`: sharded safetensors files from a plan, in bounded memory."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import hashlib
import json
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Sharding, SingleDeviceSharding

from .._core.arguments import as_dtype
from .._core.tables import human_bytes
from .._engine.execute import Report
from .._engine.progress import bar
from .._errors import Refused, shown
from .._rules.pieces import Piece, in_pieces
from .._rules.plan import TreePlan
from .._rules.recipe import Job, fillings_of
from .._rules.roots import Root, root_of
from .._rules.table import PlanRow
from .folder import Folder
from .layout import File, files_of, share_of

_FORMAT = {"format": "pt"}  # without it older loaders of Hugging Face refuse a file


@dataclasses.dataclass(frozen=True)
class Written:
    """What `write_checkpoint` did.

    Attributes:
        files: The files of this process: all where it is alone.
        kept: Those of them that were there, whole.
        bytes: The bytes of `files`.
        complete: Whether the files of all processes are there, and the index.
    """

    files: tuple[Path, ...]
    kept: tuple[Path, ...]
    bytes: int
    complete: bool


def write_checkpoint(
    plan: TreePlan,
    key: jax.Array,
    directory: str | os.PathLike[str],
    *,
    file_bytes: int = 5_000_000_000,
    rank: int = 0,
    count: int = 1,
    metadata: Mapping[str, str] | None = None,
    progress: bool | None = None,
) -> Written:
    """Fill a checkpoint of any size: safetensors files, as Hugging Face's loaders read.

    The tensors have the bits of `init_tree(rules, tree, key)` for the rules and the
    tree of the plan, and their paths with dots as names. They are drawn in pieces on
    their way to the disk; only what a plan makes by a "program" and no kernel draws is
    made whole, one at a time where it is large.

    A call that was killed, or found the disk full, is repeated: files that are whole,
    by their digests, are kept, and the result has the same bytes. Nothing of another
    plan or key is ever overwritten.

    Args:
        plan: What to make: the result of `ij.plan`.
        key: As of `init_tree`.
        directory: Where; it is made. `model-00001-of-00002.safetensors` and so on with
            `model.safetensors.index.json`, or `model.safetensors` alone, and
            `initjax.json`: the plan's fingerprint, a digest of the key, and of every
            file its tensors and its SHA-256.
        file_bytes: How many bytes of tensors a file has at most; a larger tensor has a
            file of its own.
        rank: Which of `count` processes this is, from 0.
        count: How many processes share the work, each with files of its own, in one
            directory. Who comes last writes the index.
        metadata: Texts by name for the headers of the files; None is {"format": "pt"}.
        progress: Whether to show a bar: bytes, rate and time left.

    Returns:
        The files of this process, which of them were kept, and whether the checkpoint
        is complete.

    Raises:
        ValueError: A plan without leaves, a dtype that files do not have, a directory
            of another plan or key, `rank` or `count` or `file_bytes` out of range, a
            call inside of `jax.jit`.
        TypeError: Arguments of a wrong kind.
        OSError: A disk that is or would be full, a directory that cannot be written.
        ImportError: `progress=True` and rich is not installed.
    """
    try:
        if progress not in (None, True, False):
            message = f"progress is True, False or None, got {shown(progress)}."
            raise Refused(message, TypeError)
        texts = _texts(metadata)
        files = files_of(_rows(plan), _number("file_bytes", file_bytes, 1), texts)
        if _number("rank", rank, 0) >= _number("count", count, 1):
            raise Refused(f"rank must be below count={count}, got {rank}.")
        root = root_of(key)
        if root.is_traced:
            raise Refused("runs outside of jax.jit, with a concrete key.")
        folder = Folder(_path(directory), _about(plan, root, texts), files)
        return _written(folder, share_of(files, rank, count), root, bool(progress))
    except Refused as refused:
        raise refused.at("write_checkpoint") from None
    except OSError as error:
        raise _told(error, directory) from None


def _written(
    folder: Folder, mine: Sequence[File], root: Root, progress: bool
) -> Written:
    arrays, size = sum(len(x.rows) for x in mine), sum(x.bytes for x in mine)
    shown = bar(arrays, size, "write_checkpoint") if progress else _unseen()
    with shown as report:
        folder.begin()
        kept = [file for file in mine if _is_kept(folder, file, report)]
        lacking = [file for file in mine if file not in kept]
        folder.sweep([file.name for file in lacking])
        needed, free = sum(file.bytes for file in lacking), folder.free()
        if needed > free:
            message = (
                f"{human_bytes(needed)} are to be written, {human_bytes(free)} are free"
            )
            raise OSError(errno.ENOSPC, message)
        _write(folder, lacking, root, report)
    return Written(
        tuple(folder.path / file.name for file in mine),
        tuple(folder.path / file.name for file in kept),
        size,
        folder.finish(),
    )


@contextlib.contextmanager
def _unseen() -> Generator[Report]:
    yield lambda more, more_bytes: None


def _is_kept(folder: Folder, file: File, report: Report) -> bool:
    if not folder.is_whole(file, functools.partial(report, 0)):
        return False
    report(len(file.rows), 0)
    return True


def _write(folder: Folder, files: Sequence[File], root: Root, report: Report) -> None:
    rows = [row for file in files for row in file.rows]
    fillings = fillings_of([_job(row) for row in rows], root.kind, _home(root))
    with in_pieces(fillings, root.fold_in([row.stream for row in rows])) as pieces:
        for file in files:
            folder.write(file, _contents(file, pieces, report))


def _contents(file: File, pieces: Iterator[Piece], report: Report) -> Iterator[Any]:
    """Yield the bytes of a file; those that are yielded are let go before the next."""
    yield file.header
    report(0, len(file.header))
    for _ in file.rows:
        is_last = False
        while not is_last:
            entries, is_last = next(pieces)
            yield entries.view(np.uint8)
            report(int(is_last), entries.nbytes)
            del entries


def _job(row: PlanRow) -> Job:
    where = f"{row.path!r} by rule {row.rule}"
    try:
        return Job(where, row.law, row.shape, as_dtype(row.dtype), None)
    except Refused as refused:
        raise Refused(f"{where}: {refused}", refused.kind) from None


def _home(root: Root) -> Sharding | None:
    """Return the device that draws: the key's, one of several."""
    home = root.home
    if home is None or len(home.device_set) == 1:
        return home
    first = min(home.addressable_devices, key=lambda device: device.id)
    return SingleDeviceSharding(first)


def _about(plan: TreePlan, root: Root, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return what decides the bytes, and what else a directory says of itself."""
    home = _home(root)
    devices = jax.device_put(np.float32(0), home).devices()
    partitionable = jax.config.jax_threefry_partitionable  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time
    words = np.asarray(root.words).tolist()
    kept = json.dumps([str(root.kind.impl), partitionable, words])
    return {
        "format": 1,
        "plan": plan.fingerprint,
        "key": hashlib.sha256(kept.encode()).hexdigest(),
        "platform": next(iter(devices)).platform,
        "metadata": dict(metadata),
    }


# -- arguments -------------------------------------------------------------------


def _rows(plan: Any) -> Sequence[PlanRow]:
    if not isinstance(plan, TreePlan):
        kind = type(plan).__name__
        message = f"the first argument is the result of ij.plan, got {kind}."
        raise Refused(message, TypeError)
    if not plan.rows:
        raise Refused("the plan has no leaves.")
    return plan.rows


def _number(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise Refused(f"{name} is an int, got {shown(value)}.", TypeError)
    if value < least:
        raise Refused(f"{name} must be at least {least}, got {value}.")
    return int(value)


def _texts(metadata: Any) -> Mapping[str, str]:
    if metadata is None:
        return _FORMAT
    if not isinstance(metadata, Mapping) or not all(
        isinstance(text, str) for pair in metadata.items() for text in pair
    ):
        raise Refused(
            f"metadata are texts by name, got {shown(metadata)}; give str() of each.",
            TypeError,
        )
    return dict(sorted(metadata.items()))


def _path(directory: Any) -> Path:
    try:
        path = os.fsdecode(directory)
        if "\0" in path:
            raise ValueError
    except (TypeError, ValueError):
        message = f"directory is a path, got {shown(directory)}."
        raise Refused(message, TypeError) from None
    if "://" in path:
        raise Refused(f"{path} is no directory that is mounted here; write to one.")
    return Path(path)


_FULL = "make room and call again: files that are whole are kept"
_CLOSED = "give a directory that can be written"
_WAYS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _FULL),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _CLOSED),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG), _CLOSED),
}


def _told(error: OSError, directory: Any) -> OSError:
    """Return an error that says where, and what to do."""
    way = _WAYS.get(error.errno or 0, "call again: files that are whole are kept")
    text = (
        f"write_checkpoint: {os.fsdecode(directory)}: {error.strerror or error}; {way}."
    )
    return OSError(error.errno, text)
