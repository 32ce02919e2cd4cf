"""How inner code refuses: a rule and a way out; the door adds where it happened."""

from __future__ import annotations


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
