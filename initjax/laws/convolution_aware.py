"""Convolution kernels whose filters are orthogonal in the Fourier domain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_batching import sequential_vmap

from .._core import samplers
from .._core.arguments import as_number, needs
from .._core.bits import split_in_two
from .._core.compile import Draw
from .._core.fields import Real, checked, number, stream
from .._core.initializer import Initializer
from .._core.promise import Law
from .._core.rounding import settle
from .._core.streams import Seed
from .._errors import Refused
from .._fans.declaration import fans_of
from .._fans.fans import Fans
from .._registry import named
from .haar import METHODS
from .orthogonal import Orthogonal
from .scaling import VarianceScaling

Shape = tuple[int, ...]


def _noise(value: Any) -> Any:
    value = number(least=0)(value)
    if not isinstance(value, jax.Array) and value > _MOST:
        raise Refused("must be <= 1e9, where noise alone is left; give less.")
    return value


_MOST = 1e9  # far from where squares overflow


@named()
@dataclass(frozen=True, slots=True, repr=False)
class ConvolutionAware(Initializer):
    """Filters that are orthonormal in the Fourier domain, and noise, scaled.

    For every output the filters of the inputs have real spectra that are orthonormal,
    Haar-distributed: F at a time, where F is the size of a real FFT of the window. To
    their inverse real FFT N(0, eps_std^2) is added, and the whole kernel is scaled so
    that its mean square is 2 / fan_in exactly. Mean 0, standard deviation
    sqrt(2 / fan_in).

    Along one window axis and without noise the filters of an output keep orthogonal
    spectra; of two and three the transform keeps the symmetric part of what lies at
    frequency 0 and at the highest of the last axis, as its spectrum must be.

    Shapes (window..., in, out) of rank 3, 4 or 5; with one tap the law is
    N(0, 2 / fan_in), of rank 2 it is Orthogonal(). Float dtypes. The kernel is made on
    one device and then placed.

    Args:
        eps_std: Standard deviation of the noise, before the scaling, in [0, 1e9].
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up: its axes, and its fan_in.

    Raises:
        ValueError: A number out of range; at the call, another rank.
        TypeError: A complex, integer or bool dtype.

    References:
        Aghajanyan, "Convolution aware initialization", 2017; keras-contrib,
        `ConvolutionAware`, which scales the variance about the kernel's own mean.
    """

    eps_std: Real = checked(0.05, _noise)
    seed: Seed = checked(None, stream)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        if law := self._without_window(shape, dtype):
            return law._draw(shape, dtype)
        work = samplers.work_dtype(dtype)
        eps = as_number("eps_std", self.eps_std, work)
        std = as_number("stddev", _std(fans_of(self.fan, shape)), work)
        return Draw(convolution_aware, (std, eps), elementwise=False)

    def _reads_kernel(self) -> bool:
        return True

    def _is_blockwise(self) -> bool:
        return True

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        if law := self._without_window(shape, dtype):
            return law._law(shape, dtype)
        std = _std(fans := fans_of(self.fan, shape))
        high = std * math.sqrt(math.prod(shape))
        return Law(0.0, std, -high, high, fans)

    def _needs_fan(self, shape: Shape) -> bool:
        return len(shape) > 2 if self.fan is None else self.fan.guesses(shape)

    def _std_at(self, shape: Shape, dtype: np.dtype[Any], fans: Fans) -> float:
        if law := self._without_window(shape, dtype):
            return law._std_at(shape, dtype, fans)
        return _std(fans)

    def _without_window(self, shape: Shape, dtype: np.dtype[Any]) -> Initializer | None:
        """Return the law of a shape that has nothing to transform."""
        needs(dtype, "float")
        if len(shape) not in (2, 3, 4, 5):
            raise Refused(
                f"needs a kernel of rank 2 to 5, got rank {len(shape)}; "
                "give (window..., in, out)."
            )
        if len(shape) == 2:
            return Orthogonal(fan=self.fan)
        if math.prod(shape[:-2]) == 1:
            return VarianceScaling(2.0, distribution=_NORMAL, fan=self.fan)
        return None


_NORMAL = "untruncated_normal"


def _std(fans: Fans) -> float:
    return math.sqrt(2 / max(fans.fan_in, 1))


def convolution_aware(
    key: jax.Array, shape: Shape, dtype: Any, std: jax.Array, eps: jax.Array
) -> jax.Array:
    """Filters of orthonormal spectra for every output, and noise, scaled together."""
    if 0 in shape:
        return jnp.zeros(shape, dtype)
    *window, inputs, outputs = shape
    size = math.prod((*window[:-1], window[-1] // 2 + 1))
    matrices = (outputs * -(-inputs // size), size, min(inputs, size))
    first, second = split_in_two(key)
    z = samplers.normal(first, matrices, std.dtype, jnp.ones((), std.dtype))
    noise = samplers.normal(second, (outputs, inputs, *window), std.dtype, eps)
    high = std * jnp.sqrt(jnp.asarray(math.prod(shape), std.dtype))
    return settle(_kernel(z, noise, std), dtype, -high, high)


@sequential_vmap  # products and transforms of batches round otherwise
def _kernel(z: jax.Array, noise: jax.Array, std: jax.Array) -> jax.Array:
    """Return a kernel of root mean square `std`."""
    outputs, inputs, *window = noise.shape
    # many small matrices: LAPACK takes a tenth of the reflections' time
    basis = jax.vmap(METHODS["qr"])(z).mT
    # added between transforms, where no fusion contracts the sum
    spectra = lax.fft(noise, lax.FftType.RFFT, tuple(window))
    real = basis.reshape(outputs, -1, *spectra.shape[2:])[:, :inputs]
    spectra += lax.complex(real, jnp.zeros_like(real))
    x = lax.fft(spectra, lax.FftType.IRFFT, tuple(window))
    return jnp.moveaxis(x * (std / jnp.sqrt(jnp.mean(x * x))), (0, 1), (-1, -2))
