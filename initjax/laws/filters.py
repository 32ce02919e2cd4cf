"""Fixed filters of convolutions: Gabor, DCT, HaarWavelet."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core.fields import checked, integer
from .._errors import Refused
from .._registry import named
from .kernel import KernelTable
from .table import Array, known

Shape = tuple[int, ...]


def _count(value: Any) -> int:
    if (count := integer(value)) < 1:
        raise Refused("must be a whole number >= 1.")
    return count


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Gabor(KernelTable):
    """Waves under a Gaussian, at several orientations and wavelengths; norm 1 each.

    Output o = s K + k (K orientations) is exp(-(a^2 + aspect^2 b^2) / (2 sigma^2))
    cos(2 pi a / w + phase), with a = x cos t + y sin t, b = -x sin t + y cos t, x along
    the width and y along the height from the centre; t = pi k / K,
    w = wavelength step^s, and sigma such that half the amplitude spans `bandwidth`
    octaves: w / pi sqrt(log(2) / 2) (2^bandwidth + 1) / (2^bandwidth - 1). Inputs are
    filtered alike, and the weights of an output have Euclidean norm 1. Mean and
    standard deviation are those of the entries; nothing is random.

    Shapes (height, width, in, out), or as `fan` declares, groups too; float and complex
    dtypes; the key is ignored.

    Args:
        orientations: How many, >= 1.
        wavelength: The shortest, in pixels, >= 2: below, the grid does not see it.
        step: From one wavelength to the next, >= 1.
        bandwidth: In octaves, > 0.
        aspect: Of the Gaussian, > 0; below 1 it is long across the wave.
        phase: 0 for even filters, pi / 2 for odd ones.
        dtype: What `dtype=None` means in a call.
        fan: The axes of window, inputs and outputs, such as `Fan.layout("oihw")`.

    Raises:
        ValueError: An argument out of range; at the call, another rank.
        TypeError: A traced argument; an integer or bool dtype.

    References:
        Daugman, "Uncertainty relation for resolution in space, spatial frequency, and
        orientation optimized by two-dimensional visual cortical filters", 1985.
    """

    orientations: int = checked(8, _count)
    wavelength: float = checked(4.0, known(least=2))
    step: float = checked(2.0, known(least=1))
    bandwidth: float = checked(1.0, known(above=0))
    aspect: float = checked(0.5, known(above=0))
    phase: float = checked(0.0, known())

    def _bank(self, window: Shape, inputs: int, outputs: int) -> Array:
        if len(window) != 2:
            raise Refused(
                f"needs a window of 2 axes, got {len(window)}; give "
                "(height, width, in, out)."
            )
        scale, k = np.divmod(np.arange(outputs), self.orientations)
        angle = np.pi * k / self.orientations
        wave = self.wavelength * self.step**scale
        spread = 1 / math.tanh(self.bandwidth * math.log(2) / 2)
        sigma = math.sqrt(math.log(2) / 2) / math.pi * spread
        y, x = (np.arange(n)[:, None] - (n - 1) / 2 for n in window)
        y, cos, sin = y[:, None], np.cos(angle), np.sin(angle)
        along, across = (x * cos + y * sin) / wave, (y * cos - x * sin) / wave
        square = along**2 + (self.aspect * across) ** 2
        ripple = np.cos(2 * np.pi * along + self.phase)
        filters = np.exp(-square / (2 * sigma**2)) * ripple
        return unit(filters, (0, 1))[:, :, None] / math.sqrt(max(inputs, 1))


@named()
@dataclass(frozen=True, slots=True, repr=False)
class DCT(KernelTable):
    """An orthonormal basis of cosines (DCT-II): outputs are a block's transform.

    Along an axis of n the basis is a_u cos(pi (2 t + 1) u / (2 n)), a_0 = sqrt(1 / n),
    else sqrt(2 / n); output (u_1, ..., u_d), in row-major order, is the product over
    the window's axes. Inputs are transformed alike, each over sqrt(in). Mean and
    standard deviation are those of the entries; nothing is random.

    Kernels with a window and as many outputs as taps, (8, 8, 1, 64), or as `fan`
    declares: groups have a basis each. Float and complex dtypes; the key is ignored.

    Args:
        dtype: What `dtype=None` means in a call.
        fan: The axes of window, inputs and outputs, such as `Fan.layout("oihw")`.

    Raises:
        ValueError: At the call, another number of outputs.
        TypeError: An integer or bool dtype.

    References:
        Ahmed et al., "Discrete cosine transform", 1974; `scipy.fft.dctn`,
        type 2, norm "ortho".
    """

    def _bank(self, window: Shape, inputs: int, outputs: int) -> Array:
        return _product(cosines, window, inputs, outputs)


@named()
@dataclass(frozen=True, slots=True, repr=False)
class HaarWavelet(KernelTable):
    """An orthonormal basis of Haar's steps: with window 2, averages and differences.

    Along an axis of 2 the basis is (1, 1) / sqrt(2) and (1, -1) / sqrt(2); one of 2^m
    halves the averages again, coarse steps first. Output (u_1, ..., u_d), in row-major
    order, is the product over the window's axes: of a window of 2 by 2 average, step
    along the width, along the height, along both. Inputs are transformed alike, each
    over sqrt(in). Mean and standard deviation are those of the entries; nothing is
    random.

    Kernels with window axes of powers of 2 and as many outputs as taps, (2, 2, 1, 4) or
    (2, 1, 2), or as `fan` declares: groups have a basis each. Float and complex dtypes;
    the key is ignored.

    Args:
        dtype: What `dtype=None` means in a call.
        fan: The axes of window, inputs and outputs, such as `Fan.layout("oihw")`.

    Raises:
        ValueError: At the call, another window or number of outputs.
        TypeError: An integer or bool dtype.

    References:
        Haar, "Zur Theorie der orthogonalen Funktionensysteme", 1910; Mallat, "A theory
        for multiresolution signal decomposition", 1989.
    """

    def _bank(self, window: Shape, inputs: int, outputs: int) -> Array:
        return _product(steps, window, inputs, outputs)


def _product(
    basis: Callable[[int], Array], window: Shape, inputs: int, outputs: int
) -> Array:
    """Return a bank of the products of a basis of every window axis."""
    taps = math.prod(window)
    if not window or outputs != taps:
        raise Refused(
            f"a window {window} has a basis of {taps if window else 'no'} filters, got "
            f"{outputs} outputs; give a window, and as many outputs as it has taps."
        )
    whole = unit(functools.reduce(np.kron, map(basis, window)), 1)
    return whole.T.reshape(*window, 1, outputs) / math.sqrt(max(inputs, 1))


def unit(values: Array, axes: Any) -> Array:
    """Return an array over its Euclidean norm along some axes; zeros stay zeros."""
    norm = np.sqrt(np.sum(values**2, axes, keepdims=True))
    return values / np.where(norm > 0, norm, 1.0)


def cosines(n: int) -> Array:
    """Return the DCT-II as a matrix: one cosine a row."""
    u, t = np.arange(n)[:, None], np.arange(n)
    turns = (2 * t + 1) * u % (4 * max(n, 1))  # exact, whatever the frequency
    return np.cos(np.pi * turns / (2 * max(n, 1)))


def steps(n: int) -> Array:
    """Return Haar's transform as a matrix: one wavelet a row."""
    if n < 1 or n & (n - 1):
        raise Refused(
            f"a window axis of {n} is no power of 2; give one, such as (2, 2, 1, 4)."
        )
    if n == 1:
        return np.ones((1, 1))
    coarse, fine = steps(n // 2), np.eye(n // 2)
    return np.vstack([np.kron(coarse, [1, 1]), np.kron(fine, [1, -1])])
