"""Arguments: a parser whose errors are one line, and what arguments may be."""

from __future__ import annotations

import argparse
import json
import re
from typing import Any, NoReturn

FOUND = 1  # the exit code of a fault or a difference

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


class Wrong(Exception):
    """What a user is told in one line: a wrong argument, or a file of no use."""


class Parser(argparse.ArgumentParser):
    """A parser of one command; what is wrong it raises."""

    def __init__(self, prog: str, description: str, examples: str, **more: Any) -> None:
        """Keep what its help says."""
        lines = "".join(f"\n  {line}" for line in examples.splitlines())
        super().__init__(
            prog,
            description=description,
            epilog=f"examples:{lines}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **more,
        )

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print and exit by."""
        raise Wrong(f"{message}; see {self.prog} --help.")


def _refuse(message: str) -> NoReturn:
    raise argparse.ArgumentTypeError(message)


def shape(text: str) -> tuple[int, ...]:
    """Read "512,512"; "" is a scalar."""
    if not re.fullmatch(r"(\d{1,18}([,x]\d{1,18})*)?", text, re.ASCII):
        _refuse(f"sizes like 512,512 are needed, got {text!r}")
    return tuple(map(int, re.findall(r"\d+", text)))


def whole(text: str) -> int:
    """Read a number from 0 on."""
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        _refuse(f"a whole number from 0 on is needed, got {text!r}")
    return int(text)


def seed(text: str) -> int:
    """Read a seed, of which JAX reads 32 bits."""
    if (number := whole(text)) >= 2**32:
        _refuse(f"a seed is below 2^32, got {text}")
    return number


def size(text: str) -> int:
    """Read "5GB": bytes, in powers of 1000."""
    read = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?([kmgt]?)b?", text.lower(), re.ASCII)
    if read is None or not float(read[1]):
        _refuse(f"a size like 5GB or 500MB is needed, got {text!r}")
    return round(float(read[1]) * _UNITS[read[2]])


def one_of(*known: str) -> Any:
    """Return what reads one of a few words."""

    def word(text: str) -> str:
        if text not in known:
            _refuse(f"one of {', '.join(known)} is needed, got {text!r}")
        return text

    return word


def dtype(text: str) -> str:
    """Read a dtype's name."""
    from .._core.values import numeric_dtype

    if (found := numeric_dtype(text)) is None:
        _refuse(f"a dtype like bfloat16 is needed, got {text!r}")
    return found.name


def config(text: str) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as error:
        _refuse(f"no JSON: {error}")
    if not isinstance(read, dict):
        _refuse(f'a JSON object like {{"scale": 2}} is needed, got {text!r}')
    return read  # pyright: ignore[reportUnknownVariableType]  # JSON's


def setting(text: str) -> tuple[str, Any]:
    """Read "style=timm", the value as JSON or else as text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        _refuse(f"NAME=VALUE is needed, got {text!r}")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value
