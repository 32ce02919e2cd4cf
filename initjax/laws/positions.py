"""Tables of positions: Sinusoidal, Rotary, ALiBi."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._core.fields import checked, choice
from .._errors import Refused
from .._registry import named
from .table import Array, Table, known

Shape = tuple[int, ...]
_layout = choice("interleaved", "halves")


def _phases(shape: Shape, base: float) -> Array:
    """Return p base^(-2 i / dim) for every position p and pair i of dimensions."""
    if len(shape) != 2 or shape[1] % 2:
        raise Refused(
            f"a table of positions has a shape (positions, dim) with dim even, got "
            f"{shape}; give one."
        )
    pairs = np.arange(shape[1] // 2)
    return np.outer(np.arange(shape[0]), base ** (-2 * pairs / max(shape[1], 1)))


def _side_by_side(first: Array, second: Array, layout: str) -> Array:
    """Return the two numbers of every pair, next to each other or in halves."""
    if layout == "halves":
        return np.concatenate([first, second], axis=1)
    return np.stack([first, second], axis=2).reshape(len(first), -1)


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Sinusoidal(Table):
    """Sines and cosines of positions, at wavelengths from 2 pi to 2 pi base.

    Of position p and pair i of dimensions: sin and cos of p base^(-2 i / dim), computed
    in double precision. They are entries 2 i and 2 i + 1 of the row in the layout
    "interleaved", i and dim / 2 + i in "halves". Mean and standard deviation are those
    of the entries; nothing is random.

    Shapes (positions, dim) with dim even; float and complex dtypes; the key is ignored.

    Args:
        base: >= 1.
        layout: "interleaved", the paper's, or "halves".
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: An argument out of range; at the call, another shape.
        TypeError: A traced base; an integer or bool dtype.

    References:
        Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.5.
    """

    base: float = checked(10000.0, known(least=1))
    layout: str = checked("interleaved", _layout)

    def _values(self, shape: Shape) -> Array:
        phases = _phases(shape, self.base)
        return _side_by_side(np.sin(phases), np.cos(phases), self.layout)


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Rotary(Table):
    """Cosines or sines of the angles by which positions turn pairs of features.

    The angle of position p and pair i is p base^(-2 i / dim), computed in double
    precision. A pair is features 2 i and 2 i + 1 in the layout "interleaved" (the
    paper's, GPT-J's), i and dim / 2 + i in "halves" (GPT-NeoX's, Llama's in most
    libraries); both have its number. Mean and standard deviation are those of the
    entries; nothing is random.

    Shapes (positions, dim) with dim even; float and complex dtypes; the key is ignored.

    Args:
        part: "cos" or "sin".
        base: >= 1.
        layout: "interleaved" or "halves".
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: An argument out of range; at the call, another shape.
        TypeError: A traced base; an integer or bool dtype.

    References:
        Su et al., "RoFormer: Enhanced transformer with rotary position embedding",
        2021, section 3.4.
    """

    part: str = checked("cos", choice("cos", "sin"))
    base: float = checked(10000.0, known(least=1))
    layout: str = checked("interleaved", _layout)

    def _values(self, shape: Shape) -> Array:
        phases = _phases(shape, self.base)
        wave = np.cos(phases) if self.part == "cos" else np.sin(phases)
        return _side_by_side(wave, wave, self.layout)


@named()
@dataclass(frozen=True, slots=True, repr=False)
class ALiBi(Table):
    """Slopes of heads by which attention decays with distance: 2^(-8 / n), ..., 2^-8.

    Of n heads, a power of 2, slope h is 2^(-8 (h + 1) / n). Of other numbers, with n
    the next lower power of 2: those of n heads, then every other one of 2 n heads, from
    the first. Mean and standard deviation are those of the entries; nothing is random.

    Shapes (heads,); float and complex dtypes; the key is ignored.

    Args:
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: At the call, another rank.
        TypeError: An integer or bool dtype.

    References:
        Press et al., "Train short, test long: Attention with linear biases enables
        input length extrapolation", ICLR 2022, section 3, and its published code.
    """

    def _values(self, shape: Shape) -> Array:
        if len(shape) != 1:
            raise Refused(f"slopes have a shape (heads,), got {shape}; give one.")
        heads = shape[0]
        n = 1 << max(heads.bit_length() - 1, 0)
        first, rest = np.arange(n), np.arange(heads - n)
        powers = np.concatenate([8 * (first + 1), 4 * (2 * rest + 1)]) / n
        return 2.0 ** -powers[:heads]
