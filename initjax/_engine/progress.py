"""A bar for long work."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from .execute import Report


@contextlib.contextmanager
def bar(arrays: int, size: int, caller: str) -> Generator[Report]:
    """Show how many of the arrays, and of their bytes, are done, and when all will be.

    Args:
        caller: Who shows it, for the error.
        arrays: How many there are.
        size: Their bytes.

    Raises:
        ImportError: rich is not installed.
    """
    try:
        from rich import progress  # an extra, so imported where it is used
    except ImportError:
        raise ImportError(
            f"{caller}(progress=True) draws its bar with rich; "
            "pip install 'initjax[progress]'"
        ) from None
    columns = (
        progress.TextColumn("{task.fields[done]}/{task.fields[arrays]} arrays"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, transient=True) as shown:
        task = shown.add_task("", total=size, arrays=arrays, done=0)
        done = 0

        def report(more: int, more_bytes: int) -> None:
            nonlocal done
            done += more
            shown.update(task, advance=more_bytes, done=done)

        yield report
