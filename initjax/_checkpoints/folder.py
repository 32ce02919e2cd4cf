"""A checkpoint's directory: what is in it is whole, or known not to be.

A file is written under another name, flushed, renamed, and only then recorded with its
digest; what has no record is made anew. `initjax.json` says from the start whose
directory it is, and in the end has the digests of all files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from typing import Any, cast

from .._errors import Refused
from .layout import INDEX, File, index_of

ABOUT = "initjax.json"
_AT_ONCE = 1 << 24  # bytes read at a time


class Folder:
    """A directory that several processes may fill together."""

    def __init__(
        self, path: Path, about: Mapping[str, Any], files: Sequence[File]
    ) -> None:
        """Name a directory; nothing is read or written yet.

        Args:
            path: Where it is, or will be.
            about: What decides the bytes of the files, as plain data.
            files: All files of the checkpoint.
        """
        self.path, self.files = path, files
        rows = [{"name": x.name, "bytes": x.bytes, "tensors": x.tensors} for x in files]
        self._about: dict[str, Any] = {**about, "files": rows}
        self._identity = hashlib.sha256(_text(self._about).encode()).hexdigest()

    def begin(self) -> None:
        """Make the directory ours, or refuse one that is another's."""
        if self.path.exists() and not self.path.is_dir():
            raise self._refused("is a file; give a directory", NotADirectoryError)
        self.path.mkdir(parents=True, exist_ok=True)
        # listed first: what another process writes after its ABOUT is no stranger's
        others = sorted(x.name for x in self.path.iterdir() if _is_tensors(x.name))
        known = self._known()
        if known is None and others:
            raise self._refused(
                f"holds {others[0]}, and no {ABOUT} says that it is of this "
                "checkpoint; give another directory",
                FileExistsError,
            )
        if known is None:
            self._put(ABOUT, _text(self._about))
            known = self._known()  # another process may have put its own
        self._check(known or {})

    def _known(self) -> dict[str, Any] | None:
        """Return what the directory says that it is, or None."""
        try:
            text = (self.path / ABOUT).read_text()
        except FileNotFoundError:
            return None
        try:
            known = json.loads(text)
            if not isinstance(known, dict) or not isinstance(known["files"], list):
                raise TypeError
        except (ValueError, TypeError, KeyError):
            message = f"has a file {ABOUT} that is none of ours; give another directory"
            raise self._refused(message) from None
        return cast("dict[str, Any]", known)

    def _check(self, known: Mapping[str, Any]) -> None:
        """Refuse a directory of another checkpoint, and say in what it differs."""
        for name, what in _DIFFERENCES.items():
            theirs, ours = known.get(name), self._about[name]
            if theirs != ours:
                raise self._refused(what.format(str(theirs)[:16], str(ours)[:16]))
        if _bare(known) != _bare(self._about):
            raise self._refused(
                "was begun with another file_bytes, metadata or order of leaves; give "
                "the same, or another directory"
            )

    def _refused(self, message: str, kind: type[Exception] = ValueError) -> Refused:
        return Refused(f"{self.path} {message}.", kind)

    # -- files ---------------------------------------------------------------------

    def free(self) -> int:
        """Return how many bytes its disk has free."""
        return shutil.disk_usage(self.path).free

    def digest(self, file: File) -> str | None:
        """Return the recorded digest of a file that is there in its size, or None."""
        with contextlib.suppress(FileNotFoundError):
            if (self.path / file.name).stat().st_size == file.bytes:
                return self._recorded(file)
        return None

    def _recorded(self, file: File) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            record = json.loads((self.path / _record(file)).read_text())
            if record["of"] == self._identity:
                return record["sha256"]
        # the record is gone once its digest is here
        rows = (self._known() or self._about)["files"]
        found = (row.get("sha256") for row in rows if row["name"] == file.name)
        return next(found, None)

    def is_whole(self, file: File, report: Callable[[int], None]) -> bool:
        """Tell whether a file is there as it was written; it is read."""
        recorded = self.digest(file)
        if recorded is None:
            return False
        digest = hashlib.sha256()
        with open(self.path / file.name, "rb", buffering=0) as whole:
            while data := whole.read(_AT_ONCE):
                digest.update(data)
                report(len(data))
        return digest.hexdigest() == recorded

    def write(self, file: File, data: Iterable[Any]) -> None:
        """Write a file and record it; what it held before stays until it is whole."""
        self.sweep([file.name])
        digest = hashlib.sha256()
        with self._new(file.name) as out, ThreadPoolExecutor(1) as beside:
            for piece in data:
                hashed = beside.submit(digest.update, piece)
                store(out, piece)
                hashed.result()
                del piece  # before the next is made
        record = {"of": self._identity, "sha256": digest.hexdigest()}
        self._put(_record(file), json.dumps(record))

    def finish(self) -> bool:
        """Write what says that all is there, if it is; whoever comes may do so."""
        digests = {file.name: self.digest(file) for file in self.files}
        if None in digests.values():
            return False
        rows = [row | {"sha256": digests[row["name"]]} for row in self._about["files"]]
        texts = {ABOUT: _text({**self._about, "files": rows})}
        if len(self.files) > 1:
            texts = {INDEX: index_of(self.files)} | texts
        try:
            for name, text in texts.items():
                if not self._is(name, text):
                    self._put(name, text)
        except FileNotFoundError:  # another process has finished, and swept
            if not all(self._is(name, text) for name, text in texts.items()):
                raise
        for path in (self.path / _record(file) for file in self.files):
            if path.exists():  # what may not be written may still be asked
                path.unlink(missing_ok=True)
        self.sweep([ABOUT, INDEX, *(file.name for file in self.files)])
        return True

    def sweep(self, names: Sequence[str]) -> None:
        """Remove what writers of these files left behind."""
        for path in self.path.glob(".*.part"):
            if path.name.lstrip(".").startswith((*names,)):
                path.unlink(missing_ok=True)

    def _is(self, name: str, text: str) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return (self.path / name).read_bytes() == text.encode()
        return False

    def _put(self, name: str, text: str) -> None:
        with self._new(name) as out:
            store(out, text.encode())

    @contextlib.contextmanager
    def _new(self, name: str) -> Generator[FileIO]:
        """Give a file that has its name once it is whole and on the disk."""
        part = self.path / f".{name}.{uuid.uuid4().hex}.part"
        try:
            with open(part, "xb", buffering=0) as out:
                yield out
                os.fsync(out.fileno())
            os.replace(part, self.path / name)
            self._sync()
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    def _sync(self) -> None:
        """Flush the names of the directory, where the system can."""
        if os.name != "nt":
            place = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(place)
            finally:
                os.close(place)


_DIFFERENCES = {
    "plan": "holds another plan (fingerprint {}, not {}); give another directory",
    "key": "holds this plan under another key (digest {}, not {}); give that key, or "
    "another directory",
    "platform": "was begun on {}, and this is {}, whose last bits may differ; go on "
    "there, or give another directory",
}


def store(out: FileIO, data: Any) -> None:
    """Write all of some bytes; the system takes at most 2 GB at a time."""
    left = memoryview(data)
    while left:
        left = left[out.write(left) :]


def _is_tensors(name: str) -> bool:
    return name.endswith((".safetensors", ".safetensors.index.json"))


def _record(file: File) -> str:
    return f".{file.name}.json"


def _bare(about: Mapping[str, Any]) -> Any:
    """Return what a directory says without the digests of its files."""
    rows = [{k: v for k, v in row.items() if k != "sha256"} for row in about["files"]]
    return {**about, "files": rows}


def _text(about: Mapping[str, Any]) -> str:
    return json.dumps(about, indent=1) + "\n"
