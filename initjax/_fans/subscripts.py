"""Axes from letters: einsum subscripts and layouts."""

from __future__ import annotations

from typing import Any

from .._errors import Refused, shown
from .declaration import count
from .fans import Axes

_ROLES = "iob"
_WINDOW = "hwd"


def einsum_axes(subscripts: Any, kernel: Any) -> tuple[Axes, Axes, Axes]:
    """Return the input, output and batch axes of an einsum's kernel."""
    if not isinstance(subscripts, str):
        kind = type(subscripts).__name__
        raise Refused(f"subscripts must be a str, got {kind}.", TypeError)
    left, arrow, out = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow or len(terms) < 2:
        raise Refused("needs two operands and '->', such as 'btd,dhk->bthk'.")
    if count("kernel", kernel, least=0) >= len(terms):
        raise Refused(f"kernel must be in [0, {len(terms)}), one of the operands.")
    for term in (*terms, out):
        letters = term.replace("...", "", 1)
        if letters and not (letters.isascii() and letters.isalpha()):
            raise Refused(
                f"{shown(term)} is no term of an einsum; use letters and '...'."
            )
    mine = terms[int(kernel)]
    others = "".join(term for i, term in enumerate(terms) if i != int(kernel))
    if missing := sorted({*out} - {*left}):
        raise Refused(f"the output has {missing[0]!r}, which no operand has.")
    if "." in mine:
        raise Refused("the kernel has its own axes: give letters in place of '...'.")
    axes: tuple[list[int], list[int], list[int]] = ([], [], [])
    for i, label in enumerate(mine):
        if mine.count(label) > 1:
            raise Refused(f"the kernel has {label!r} twice; give each axis a label.")
        contracted, kept = label in others, label in out
        if not contracted and not kept:
            raise Refused(f"the kernel's {label!r} is in no other term.")
        axes[2 if contracted and kept else int(kept)].append(i)
    return tuple(map(tuple, axes))  # type: ignore[return-value]


def layout_axes(roles: Any) -> tuple[Axes, Axes, Axes]:
    """Return the input, output and batch axes of a layout, one letter an axis."""
    if not isinstance(roles, str):
        kind = type(roles).__name__
        raise Refused(f"a layout is a str, got {kind}; such as 'oi'.", TypeError)
    letters = roles.lower()
    for letter in letters:
        if letter not in _ROLES + _WINDOW:
            raise Refused(
                f"{letter!r} is no role; use i (input), o (output), b (batch), and h, "
                "w, d for a window."
            )
    return tuple(  # type: ignore[return-value]
        tuple(i for i, letter in enumerate(letters) if letter == role)
        for role in _ROLES
    )
