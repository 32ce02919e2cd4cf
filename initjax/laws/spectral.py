"""Matrices of a given operator norm: Spectral."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from .._core import samplers
from .._core.arguments import as_number, needs
from .._core.compile import Draw
from .._core.fields import Real, checked, choice, number, stream
from .._core.initializer import Initializer
from .._core.promise import Law, complex_normal_law, normal_law, sphere_entry_law
from .._core.streams import Seed
from .._errors import Refused
from .._fans.fans import Fans
from .._fans.given import Given
from .._fans.roles import roles_of
from .._registry import named
from .orthogonal import orthogonal

Shape = tuple[int, ...]


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Spectral(Initializer):
    """A matrix of operator norm r = gain sqrt(out / in), for feature learning.

    Inputs of entries about 1 give outputs of entries about gain, at any width. The
    weight is read as a matrix: `in` counts its inputs and window (fan_in), `out` its
    output channels. Mean 0 and standard deviation r / sqrt(max(in, out)):

    - orthogonal: r times an orthogonal matrix, the norm exact;
    - normal: independent normal entries, of standard deviation r / (sqrt(in) +
      sqrt(out)); the norm is r up to a few parts of min(in, out)^(-2/3).

    DKS's scaled orthogonal law is this one for in <= out and `Orthogonal()` for
    in > out. Praxis's is `Orthogonal(max(sqrt(in / out), 1))`, and `DeltaOrthogonal()`
    for kernels, whose in <= out makes the factor 1.

    Rank 2 and more, or any that `fan` declares; float and complex dtypes.

    Args:
        gain: Factor of the matrix, finite, >= 0.
        distribution: "orthogonal" or "normal".
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up; a pair of numbers stands for (in, out).

    Raises:
        ValueError: An argument out of range; at the call, rank below 2 undeclared.
        TypeError: An integer or bool dtype.

    References:
        Yang et al., "A spectral condition for feature learning", 2023;
        Martens et al., "Rapid training of deep neural networks without skip connections
        or normalization layers using deep kernel shaping", 2021.
    """

    gain: Real = checked(1.0, number(least=0))
    distribution: Literal["orthogonal", "normal"] = checked(
        "orthogonal", choice("orthogonal", "normal")
    )
    seed: Seed = checked(None, stream)

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, gain=self.gain * by)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        self._check(shape, dtype)
        fans, work = self._declared_fans(shape), samplers.work_dtype(dtype)
        if self.distribution == "orthogonal":
            norm = as_number("gain", self.gain * self._norm(shape, fans), work)
            columns = roles_of(self.fan, shape).outputs
            options = (("columns", columns), ("method", "reflections"))
            return Draw(orthogonal, (norm,), options, elementwise=False)
        std = as_number("gain", self.gain * self._std_at(shape, dtype, fans), work)
        is_complex = jnp.issubdtype(dtype, jnp.complexfloating)
        return Draw(samplers.complex_normal if is_complex else samplers.normal, (std,))

    def _is_blockwise(self) -> bool:
        return self.distribution == "orthogonal"

    def _needs_fan(self, shape: Shape) -> bool:
        return len(shape) > 2 if self.fan is None else self.fan.guesses(shape)

    def _std_at(self, shape: Shape, dtype: np.dtype[Any], fans: Fans) -> float:
        n_in, n_out = self._sides(shape, fans)
        if self.distribution == "orthogonal":
            return self._norm(shape, fans) / math.sqrt(max(n_in, n_out))
        return self._norm(shape, fans) / (math.sqrt(n_in) + math.sqrt(n_out))

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        self._check(shape, dtype)
        fans, gain = self._declared_fans(shape), float(self.gain)
        is_complex = jnp.issubdtype(dtype, jnp.complexfloating)
        if self.distribution == "orthogonal":
            columns = math.prod(shape[a] for a in roles_of(self.fan, shape).outputs)
            longest = max(columns, math.prod(shape) // max(columns, 1), 1)
            radius = gain * self._norm(shape, fans)
            law = sphere_entry_law(radius, longest, is_complex)
        else:
            std = gain * self._std_at(shape, dtype, fans)
            law = complex_normal_law(std) if is_complex else normal_law(0.0, std)
        return dataclasses.replace(law, fans=fans)

    def _norm(self, shape: Shape, fans: Fans) -> float:
        n_in, n_out = self._sides(shape, fans)
        return math.sqrt(n_out / n_in)

    def _sides(self, shape: Shape, fans: Fans) -> tuple[float, float]:
        """Return the inputs of the matrix, and its outputs without the window."""
        window = roles_of(self.fan, shape).window
        taps = 1 if isinstance(self.fan, Given) else math.prod(shape[a] for a in window)
        return max(fans.fan_in, 1), max(fans.fan_out / max(taps, 1), 1)

    def _check(self, shape: Shape, dtype: np.dtype[Any]) -> None:
        needs(dtype, "float", "complex")
        if len(shape) < 2 and self.fan is None:
            raise Refused(
                f"needs a shape of rank >= 2, got rank {len(shape)}; "
                "for a vector declare its axis, such as fan=Fan((), 0)."
            )
