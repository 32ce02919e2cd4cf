"""How inner code refuses: a rule and a way out; the door adds where it happened."""

from __future__ import annotations

from typing import Any

_LONGEST = 200  # what a message shows of one value


class Refused(Exception):
    """A broken rule, raised by code that does not know which law was called.

    The outer door (`Initializer.__call__`, a constructor, `get`, ...) turns it into
    `kind` with the place in front: `HeNormal()(key, shape=(5,)): <message>`.
    """

    def __init__(self, message: str, kind: type[Exception] = ValueError) -> None:
        """Keep the short message and the public exception type it becomes."""
        super().__init__(message)
        self.kind = kind

    def at(self, where: str) -> Exception:
        """Return the public exception that says where the rule was broken."""
        return self.kind(f"{where}: {self}")


def shown(value: Any) -> str:
    """Return the repr of what a user gave, cut where it is long."""
    try:
        text = repr(value)
    except Exception:  # nested too deep, too many digits, or the user's own
        text = f"{type(value).__name__}(...)"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
