"""Orthogonal convolutions: BlockOrthogonal."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import sequential_vmap

from .._core import samplers
from .._core.arguments import as_number, needs
from .._core.bits import random_bits, split_in_two
from .._core.compile import Draw
from .._core.fields import Real, checked, number, stream
from .._core.initializer import Initializer
from .._core.promise import Law
from .._core.streams import Seed
from .._errors import Refused
from .._fans.fan import Fan
from .._fans.fans import Fans
from .._fans.roles import Roles, roles_of
from .._registry import named
from .haar import by_reflections, matmul
from .orthogonal import normal

Shape = tuple[int, ...]


@named()
@dataclass(frozen=True, slots=True, repr=False)
class BlockOrthogonal(Initializer):
    """An orthogonal convolution kernel on all its taps, times gain.

    An orthogonal matrix, then k - 1 convolutions with two taps P and I - P along every
    window axis, each P a projection that keeps any direction of a random frame with
    probability 1/2. The layer multiplies the norm of every signal by gain if the signal
    goes round (circular padding); at other edges a part is lost. An entry lies in
    [-gain, gain], with mean 0 and standard deviation gain / sqrt(taps * out).

    Shapes (window, in, out) of rank 3, 4 or 5 with in <= out, or as `fan` declares;
    float and complex dtypes.

    Args:
        gain: Factor of the kernel, finite.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up, such as `Fan.conv(layout="OIHW")`.

    Raises:
        ValueError: At the call, another rank, in > out, or a grouped convolution.
        TypeError: An integer or bool dtype.

    References:
        Xiao et al., "Dynamical isometry and a mean field theory of CNNs", ICML 2018,
        algorithm 1; Kautsky and Turcajova, "A matrix approach to discrete wavelets",
        1994; TF1, `ConvolutionOrthogonal2D`.
    """

    gain: Real = checked(1.0, number())
    seed: Seed = checked(None, stream)

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, gain=self.gain * by)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        roles = self._roles(shape, dtype)
        gain = as_number("gain", self.gain, samplers.work_dtype(dtype))
        return Draw(block_orthogonal, (gain,), (("roles", roles),), elementwise=False)

    def _is_blockwise(self) -> bool:
        return True

    def _std_at(self, shape: Shape, dtype: np.dtype[Any], fans: Fans) -> float:
        return 1 / math.sqrt(max(fans.fan_out, 1))

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        window, _, outputs = self._roles(shape, dtype)
        gain = abs(float(self.gain))
        std = gain / math.sqrt(max(_size(shape, (*window, *outputs)), 1))
        is_complex = jnp.issubdtype(dtype, jnp.complexfloating)
        return Law(0.0, std, 0.0 if is_complex else -gain, gain)

    def _roles(self, shape: Shape, dtype: np.dtype[Any]) -> Roles:
        needs(dtype, "float", "complex")
        if len(shape) not in (3, 4, 5):
            raise Refused(
                f"needs a convolution kernel of rank 3, 4 or 5, got rank {len(shape)}; "
                "for a matrix use Orthogonal()."
            )
        if isinstance(self.fan, Fan) and self.fan.groups * self.fan.in_groups > 1:
            raise Refused(
                "a grouped kernel is several; draw each and put them side by side: "
                "fan=Fan.fused(groups, axis=-1)."
            )
        roles = roles_of(self.fan, shape)
        n_in, n_out = _size(shape, roles.inputs), _size(shape, roles.outputs)
        if n_in > n_out:
            raise Refused(
                f"needs in <= out, got in={n_in} and out={n_out}; "
                "use Orthogonal(), or more output channels."
            )
        return roles


def _size(shape: Shape, axes: Sequence[int]) -> int:
    return math.prod(shape[axis] for axis in axes)


def block_orthogonal(
    key: jax.Array, shape: Shape, dtype: Any, gain: jax.Array, *, roles: Roles
) -> jax.Array:
    """Convolve an orthogonal matrix with pairs of complementary projections."""
    if 0 in shape:
        return jnp.zeros(shape, dtype)
    window, inputs, outputs = roles
    taps = [shape[axis] for axis in window]
    n_in, n_out = _size(shape, inputs), _size(shape, outputs)
    # one tap more along every axis in turn, as the published algorithm goes
    turns = range(max(taps, default=1) - 1)
    steps = [a for turn in turns for a, k in enumerate(taps) if turn < k - 1]
    matrices_key, choice_key = split_in_two(key)
    keys = jax.random.split(matrices_key, 1 + len(steps))
    matrices = jax.vmap(partial(_haar, n=n_out, dtype=dtype))(keys)
    chosen = random_bits(choice_key, (len(steps), 1, n_out), 32) & 1 == 1
    frames = jnp.where(chosen, matrices[1:], jnp.zeros_like(matrices[1:]))
    head = matrices[0, :n_in].reshape(*(1,) * len(taps), n_in, n_out)
    kernel = sequential_vmap(partial(_grown, steps))(head, frames)
    order = (*window, *inputs, *outputs)
    kernel = kernel.reshape(*(shape[axis] for axis in order))
    kernel = kernel.transpose(*(order.index(axis) for axis in range(len(shape))))
    return (gain.astype(kernel.dtype) * kernel).astype(dtype)


def _haar(key: jax.Array, *, n: int, dtype: Any) -> jax.Array:
    return by_reflections(normal(key, (n, n), dtype))


def _grown(steps: list[int], kernel: jax.Array, frames: jax.Array) -> jax.Array:
    """Convolve with the taps P, I - P along each axis, P = C C^H of a frame's columns.

    A batch is done one by one, since products of batches round otherwise.
    """
    for axis, frame in zip(steps, frames, strict=True):
        first, second = (
            jnp.pad(
                kernel, [beside if a == axis else (0, 0) for a in range(kernel.ndim)]
            )
            for beside in ((0, 1), (1, 0))
        )
        projection = matmul(frame, frame.conj().T)
        kernel = second + matmul(first - second, projection)
    return kernel
