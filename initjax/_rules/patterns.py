"""Which leaves a pattern means: globs over paths, regular expressions, predicates."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from .._errors import Refused, shown
from .._fans.fans import is_list
from .makers import name_of
from .paths import Chooser, Leaf, is_box_class

Predicate = Callable[[str, tuple[int, ...], Any], Any]
Pattern = str | re.Pattern[str] | Predicate | type


def chooser(pattern: Any) -> Chooser:
    """Return what tells whether a leaf matches, or refuse the pattern.

    A str is a glob over the whole path: `*` is a part or a piece of one, `**` any
    number of parts, `?` a character, `[abc]` one of them, `{a,b}` alternatives; a dot
    separates like a slash. A regular expression is searched for in the path. A class
    of Flax's variables, such as `nnx.LoRAParam`, means the leaves that it holds.
    Anything callable is a predicate of (path, shape, dtype).
    """
    if isinstance(pattern, str):
        found = glob_regex(pattern).fullmatch
        return lambda leaf: found(leaf.name) is not None
    if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):  # pyright: ignore[reportUnknownMemberType]  # str or bytes
        search = cast("re.Pattern[str]", pattern).search
        return lambda leaf: search(leaf.name) is not None
    if isinstance(pattern, type):
        if is_box_class(pattern):
            return lambda leaf: leaf.kind is not None and issubclass(leaf.kind, pattern)
    elif callable(pattern):
        return functools.partial(_asked, pattern)
    raise Refused(
        "a pattern is a glob, a compiled regex, a predicate of (path, shape, dtype), or"
        f" a class of Flax's variables, got {shown(pattern)}.",
        TypeError,
    )


def _asked(predicate: Predicate, leaf: Leaf) -> bool:
    """Return what a predicate says of a leaf."""
    who = f"the predicate {name_of(predicate)}"
    try:
        said = predicate(leaf.name, leaf.shape, leaf.dtype)
    except Exception as error:
        raise Refused(
            f"{who} raised {shown(error)} for {leaf.name!r}; it is called as "
            "(path, shape, dtype)."
        ) from None
    if not isinstance(said, (bool, np.bool_)):
        raise Refused(
            f"{who} returned {shown(said)} for {leaf.name!r}; return True or False.",
            TypeError,
        )
    return bool(said)


def any_of(patterns: Any) -> Chooser:
    """Return what tells whether a leaf matches a pattern, or one of a list."""
    if not is_list(patterns):
        return chooser(patterns)
    choosers = [chooser(pattern) for pattern in patterns]
    return lambda leaf: any(matches(leaf) for matches in choosers)


def choose(leaves: Sequence[Leaf], only: Any, name: str = "only") -> list[Leaf]:
    """Return the leaves that `only` means; None is all. Refuse one that finds none."""
    if only is None:
        return list(leaves)
    matches = any_of(only)
    chosen = [leaf for leaf in leaves if matches(leaf)]
    if not chosen:
        raise Refused(
            f"{name}={shown(only)} matches none of {len(leaves)} leaves"
            f"{_such(leaves)}; give another."
        )
    return chosen


def _such(leaves: Sequence[Leaf]) -> str:
    names = ", ".join(repr(leaf.name) for leaf in leaves[:3])
    return f", such as {names}" if names else ""


def exactly(name: str) -> str:
    """Return the glob that matches one path and nothing else."""
    return re.sub(r"([*?\[\]{}])", r"[\1]", name)


@functools.lru_cache(maxsize=4096)
def glob_regex(glob: str) -> re.Pattern[str]:
    """Return a glob as a regular expression for a whole path."""
    text = re.sub(r"\.(?![^\[]*\])", "/", glob)
    if not text or text.startswith("/") or text.endswith("/") or "//" in text:
        raise _malformed(glob, "has an empty part; give 'encoder/*/kernel', say")
    regex, position, depth = "", 0, 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        assert token is not None  # its last alternative is any character
        piece, position = token[0], token.end()
        if piece.strip("/") == "**":
            regex += _any_parts(piece)
        elif "**" in piece:
            raise _malformed(glob, "has '**' beside other text; it is a whole part")
        elif piece in "{}":
            depth += 1 if piece == "{" else -1
            if depth not in (0, 1):
                raise _malformed(glob, "has unbalanced or nested braces")
            regex += "(?:" if piece == "{" else ")"
        elif piece in "[]":
            raise _malformed(glob, "has a bracket without its other one")
        elif piece == "," and depth:
            regex += "|"
        else:
            regex += _SIMPLE.get(piece) or _one_of(piece) or re.escape(piece)
    if depth:
        raise _malformed(glob, "has unbalanced or nested braces")
    return re.compile(regex)


_TOKEN = re.compile(
    r"^\*\*/|^\*\*$|/\*\*/|/\*\*$|[^/{},]*\*\*[^/{},]*|\[!?(?:\][^\]/]*|[^\]/]+)\]|.",
    re.DOTALL,
)
_SIMPLE = {"*": "[^/]*", "?": "[^/]"}


def _any_parts(piece: str) -> str:
    if piece == "**":
        return ".*"
    if piece == "/**":
        return "(?:/.*)?"
    return "(?:.*/)?" if piece == "**/" else "/(?:.*/)?"


def _one_of(piece: str) -> str | None:
    if len(piece) < 3:
        return None
    inside = piece[1:-1]
    negated = inside.startswith("!")
    inside = re.sub(r"([\\\]^\[&~|])", r"\\\1", inside[negated:])
    return f"[{'^/' if negated else ''}{inside}]"


def _malformed(glob: str, why: str) -> Refused:
    return Refused(f"the glob {glob!r} {why}.")
