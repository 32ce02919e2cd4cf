"""What several adapters need: errors of what is missing, names, places of leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence

from jax.sharding import Sharding

from .._errors import Refused
from .._rules.init_tree import placed_at
from .._rules.paths import Leaf


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


def place_of(leaf: Leaf) -> Sharding | None:
    """Return where a leaf lives, or refuse by its name what does not fit it."""
    try:
        return placed_at(leaf.sharding, leaf)
    except Refused as refused:
        raise Refused(f"{leaf.name!r}: {refused}", refused.kind) from None
