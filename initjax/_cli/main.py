"""The command line's door: arguments to functions, errors to one line."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    raise NotImplementedError
