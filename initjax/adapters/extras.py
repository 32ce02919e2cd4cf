"""What an adapter says where its framework is missing."""

from __future__ import annotations

import contextlib
from collections.abc import Generator


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
