"""Laws of one law by short names: masked, clipped, cast, transposed, block_diagonal."""

from __future__ import annotations

from typing import Any

from .entrywise import Cast, Clipped, Masked
from .rearranged import BlockDiagonal, Transposed


def masked(initializer: Any, mask: Any) -> Masked:
    """Return a law that is 0 where a mask is False; see `Masked`.

    Args:
        initializer: A law, or an identifier of one.
        mask: "lower", "upper", "strictly_lower", "strictly_upper", or an array.
    """
    return Masked(initializer, mask)


def clipped(initializer: Any, low: Any, high: Any) -> Clipped:
    """Return a law whose entries are put into [low, high]; see `Clipped`.

    Args:
        initializer: A law, or an identifier of one.
        low: Least value; may be -inf.
        high: Greatest value, >= low; may be inf.
    """
    return Clipped(initializer, low, high)


def cast(initializer: Any, through: Any) -> Cast:
    """Return a law drawn in another dtype than the array has; see `Cast`.

    Args:
        initializer: A law, or an identifier of one.
        through: The dtype that the law is drawn in, and rounded to.
    """
    return Cast(initializer, through)


def transposed(initializer: Any, axes: Any = None) -> Transposed:
    """Return a law drawn in another order of the axes; see `Transposed`.

    Args:
        initializer: A law, or an identifier of one.
        axes: Which axis of what is drawn becomes each axis of the array; None reverses
            them.
    """
    return Transposed(initializer, axes)


def block_diagonal(initializer: Any, blocks: int) -> BlockDiagonal:
    """Return a law of equal blocks along the diagonal, else 0; see `BlockDiagonal`.

    Args:
        initializer: A law, or an identifier of one.
        blocks: How many blocks there are, >= 1.
    """
    return BlockDiagonal(initializer, blocks)
