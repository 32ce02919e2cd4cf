"""Laws whose entries depend on their position: Identity, STFT."""

from __future__ import annotations

import dataclasses
import importlib
import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core import samplers
from .._core.arguments import needs
from .._core.compile import Draw
from .._core.fields import Real, checked, choice, flag, integer, number
from .._core.initializer import Initializer
from .._core.promise import Law, point_law
from .._core.values import ArrayValue, held
from .._errors import Refused
from .._registry import named

Shape = tuple[int, ...]


@named("IdentityInitializer", keras=2)
@dataclass(frozen=True, slots=True, repr=False)
class Identity(Initializer):
    """`gain` on the main diagonal, 0 elsewhere.

    Over an (m, n) matrix mean gain p and standard deviation gain sqrt(p (1 - p)), with
    p = 1 / max(m, n). A `shift` moves every row down by as many, the last ones to the
    top: row (r + shift) mod m is row r of the identity.

    Exactly rank 2, square or not; any numeric dtype; the key is ignored.

    Args:
        gain: Value on the diagonal, finite.
        shift: How far rows are moved down, circularly; negative is up.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: At the call, another rank; a fractional gain with an integer dtype.

    References:
        Keras, `keras.initializers.Identity`; Flux.jl, `identity_init`, for the shift,
        of whose (out, in) kernels it moves the outputs.
    """

    gain: Real = checked(1.0, number())
    _: KW_ONLY
    shift: int = checked(0, integer)

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, gain=self.gain * by)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        self._check(shape, dtype)
        shift = self.shift % max(shape[0], 1)
        options = (("shift", shift),) if shift else ()
        return Draw(samplers.eye, (held_gain(self.gain, dtype),), options, random=False)

    def _reads_kernel(self) -> bool:
        return True

    def _is_blockwise(self) -> bool:
        return True

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        self._check(shape, dtype)
        return sparse_law(float(self.gain), 1 / max(*shape, 1))

    def _check(self, shape: Shape, dtype: np.dtype[Any]) -> None:
        needs(dtype, "float", "complex", "int", "bool")
        if len(shape) != 2:
            raise Refused(
                f"an identity matrix has rank 2, got rank {len(shape)}; "
                "give (rows, columns), or use DeltaOrthogonal() for a convolution."
            )


def held_gain(gain: Real, dtype: np.dtype[Any]) -> Any:
    """Return a factor of ones and zeros for a sampler, or refuse it."""
    exact = not jnp.issubdtype(dtype, jnp.inexact)
    work = dtype if exact else samplers.work_dtype(dtype)
    if isinstance(gain, jax.Array):
        return gain.astype(work)
    held(np.asarray(gain), dtype)
    return held(np.asarray(gain), work)


def sparse_law(gain: float, share: float) -> Law:
    """Return the law of entries of which a share is `gain` and the others are 0."""
    spread = abs(gain) * math.sqrt(share * (1 - share))
    return Law(gain * share, spread, min(gain, 0.0), max(gain, 0.0))


def _window(value: Any) -> Any:
    if value is None or isinstance(value, ArrayValue):
        return value
    if isinstance(value, str):
        _get_window(value, 1, periodic=True)
        return value
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise Refused(
            "must be None, a window's name, or a sequence of numbers, "
            f"got {type(value).__name__}.",
            TypeError,
        ) from None
    if array.ndim != 1 or not np.isfinite(array).all():
        raise Refused("must be one-dimensional and finite; give one number per sample.")
    return ArrayValue.of(array)


def _get_window(name: str, length: int, *, periodic: bool) -> Any:
    try:
        signal = importlib.import_module("scipy.signal")
    except ImportError:
        raise Refused(
            f"the window {name!r} needs SciPy: pip install scipy; or give its values.",
            ImportError,
        ) from None
    try:
        return signal.get_window(name, length, fftbins=periodic)
    except ValueError:
        raise Refused(
            "scipy.signal.get_window has no such window without parameters; "
            "give another, such as 'hann', or the window's values."
        ) from None


@named("STFTInitializer", keras=3)
@dataclass(frozen=True, slots=True, repr=False)
class STFT(Initializer):
    """Real or imaginary part of a windowed discrete Fourier transform, as a kernel.

    Entry (t, 0, f) of a kernel of shape (T, 1, F) is cos or sin of
    -2 pi t f / (2 (F - 1)), times window[t] / s. The scale s is sqrt(sum window^2) for
    "density", sum |window| for "spectrum", 1 for None or without a window. Mean and
    standard deviation are those of the entries; nothing is random. The phase is reduced
    exactly before the cosine.

    Shapes (T, 1, F) only; float dtypes; the key is ignored.

    Args:
        side: "real" or "imag".
        window: Name of a `scipy.signal.get_window` window, T values, or None.
        scaling: "density", "spectrum" or None.
        periodic: Whether a named window is periodic (for spectra) or symmetric.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: An unknown option or window; at the call, another shape, or a window
            of another length.
        TypeError: A complex, integer or bool dtype.
        ImportError: A named window without SciPy.

    References:
        Keras 3, `keras.initializers.STFT`.
    """

    side: str = checked("real", choice("real", "imag"))
    window: Any = checked("hann", _window)
    scaling: str | None = checked("density", choice("density", "spectrum", None))
    periodic: bool = checked(False, flag)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        weights = self._weights(shape, dtype)
        held(np.max(np.abs(weights), initial=0), dtype)
        weights = weights.astype(samplers.work_dtype(dtype))
        return Draw(fourier, (weights,), (("side", self.side),), random=False)

    def _is_blockwise(self) -> bool:
        return True

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        weights = self._weights(shape, dtype)
        t, f = np.arange(shape[0])[:, None], np.arange(shape[2])
        phase = -2 * np.pi * (t * f % _period(shape)) / _period(shape)
        wave = np.cos(phase) if self.side == "real" else np.sin(phase)
        return point_law(wave * weights[:, None])

    def _weights(self, shape: Shape, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """Return window[t] / s for every t."""
        needs(dtype, "float")
        if len(shape) != 3 or shape[1] != 1:
            raise Refused(
                f"a Fourier kernel has a shape (T, 1, F), got {shape}; "
                "give (frame_length, 1, fft_length // 2 + 1)."
            )
        if self.window is None:
            return np.ones(shape[0])
        if isinstance(self.window, str):
            # SciPy has no window of length 0
            window = _get_window(self.window, max(shape[0], 1), periodic=self.periodic)
            window = window[: shape[0]]
        else:
            window = np.asarray(self.window)
        if window.shape != (shape[0],):
            raise Refused(
                f"the window has {window.size} values, the frame {shape[0]}; "
                "give as many, or a window's name."
            )
        scale = {
            "density": math.sqrt(float(np.sum(window**2))),
            "spectrum": float(np.sum(np.abs(window))),
            None: 1.0,
        }[self.scaling]
        return window / (scale or 1.0)


def _period(shape: Shape) -> int:
    return max(2 * (shape[2] - 1), 1)


def fourier(
    key: Any, shape: Shape, dtype: Any, weights: jax.Array, *, side: str
) -> jax.Array:
    """One side of the transform, its rows weighted."""
    del key  # nothing is random
    t, f = (lax.broadcasted_iota(jnp.uint32, shape, axis) for axis in (0, 2))
    period = _period(shape)
    turn = ((t % period) * f) % period  # exact: the phase in units of 2 pi / period
    phase = turn.astype(weights.dtype) * weights.dtype.type(-2 * math.pi / period)
    wave = jnp.cos(phase) if side == "real" else jnp.sin(phase)
    return (wave * weights[:, None, None]).astype(dtype)
