"""What several adapters say: a framework is missing, names are strange."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence


@contextlib.contextmanager
def needs(adapter: str, extra: str, *packages: str) -> Generator[None]:
    """Import a framework inside; where it is missing, say what to install.

    Args:
        adapter: The adapter's name.
        extra: The extra of initjax that has the framework.
        *packages: What is imported. The lack of anything else is its own error.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in packages:
            raise
        raise ImportError(
            f"initjax.adapters.{adapter} needs {packages[0]}; "
            f"pip install 'initjax[{extra}]'",
            name=error.name,
        ) from None


def listed(names: Sequence[str], most: int = 10) -> str:
    """Return names as a message shows them, the first of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
