"""Laws with fixed parameters: RandomNormal, RandomUniform."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import samplers
from .._core.arguments import as_number, needs
from .._core.compile import Draw
from .._core.fields import Real, checked, number, stream
from .._core.initializer import Initializer
from .._core.promise import (
    Law,
    complex_normal_law,
    integer_law,
    normal_law,
    uniform_law,
)
from .._core.streams import Seed
from .._errors import Refused
from .._registry import named

Shape = tuple[int, ...]


@named("normal", keras=2)
@dataclass(frozen=True, slots=True, repr=False)
class RandomNormal(Initializer):
    """Normal law, entries independent: mean `mean`, standard deviation `stddev`.

    Any shape; float dtypes, and complex ones with mean 0, where real and imaginary
    parts are independent and sqrt(E|w|^2) is `stddev`. Narrow floats saturate at their
    largest finite value.

    Args:
        mean: Any finite number.
        stddev: Finite, >= 0.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: A number out of range; a complex dtype with mean != 0.
        TypeError: An integer or bool dtype.

    References:
        Keras, `keras.initializers.RandomNormal`; `jax.nn.initializers.normal`.
    """

    mean: Real = checked(0.0, number())
    stddev: Real = checked(0.05, number(least=0))
    seed: Seed = checked(None, stream)

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, mean=self.mean * by, stddev=self.stddev * by)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float", "complex")
        work = samplers.work_dtype(dtype)
        stddev = as_number("stddev", self.stddev, work)
        if jnp.issubdtype(dtype, jnp.complexfloating):
            self._check_complex()
            return Draw(samplers.complex_normal, (stddev,))
        return Draw(samplers.normal, (stddev, *shift(self.mean, work)))

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float", "complex")
        if jnp.issubdtype(dtype, jnp.complexfloating):
            self._check_complex()
            return complex_normal_law(float(self.stddev))
        return normal_law(float(self.mean), float(self.stddev))

    def _check_complex(self) -> None:
        if shift(self.mean, np.dtype(np.float32)):
            raise Refused(
                f"a complex law is centred, got mean={self.mean!r}; "
                "give mean=0 and add the mean to the array."
            )


@named("uniform", keras=2)
@dataclass(frozen=True, slots=True, repr=False)
class RandomUniform(Initializer):
    """Uniform law on [minval, maxval), entries independent.

    Mean (minval + maxval) / 2, standard deviation (maxval - minval) / sqrt(12). With an
    integer dtype, uniform on the integers minval, ..., maxval - 1, up to its largest:
    `RandomUniform(0, 256)` in uint8. Equal bounds give that value (and are an error for
    integers, where the interval is empty).

    Any shape; float and integer dtypes.

    Args:
        minval: Finite lower bound, inclusive.
        maxval: Finite upper bound, exclusive, >= minval.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: minval > maxval; an integer dtype with bounds that are no integers.
        TypeError: A complex or bool dtype.

    References:
        Keras 2 and 3, `keras.initializers.RandomUniform`; with minval 0,
        `jax.nn.initializers.uniform`.
    """

    minval: Real = checked(-0.05, number())
    maxval: Real = checked(0.05, number())
    seed: Seed = checked(None, stream)

    def _validate(self) -> None:
        low, high = self.minval, self.maxval
        if isinstance(low, jax.Array) or isinstance(high, jax.Array):
            return
        if low > high:
            raise Refused(f"minval={low} is above maxval={high}; swap them.")

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(
            self, minval=self.minval * by, maxval=self.maxval * by
        )

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float", "int")
        if jnp.issubdtype(dtype, jnp.integer):
            return _integers(*self._bounds(dtype), dtype)
        work = samplers.work_dtype(dtype)
        low = as_number("minval", self.minval, work)
        high = as_number("maxval", self.maxval, work)
        as_number("maxval - minval", self.maxval - self.minval, work)
        return Draw(samplers.uniform, (low, high))

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float", "int")
        if jnp.issubdtype(dtype, jnp.integer):
            return integer_law(*self._bounds(dtype))
        return uniform_law(float(self.minval), float(self.maxval))

    def _bounds(self, dtype: np.dtype[Any]) -> tuple[int, int]:
        info = jnp.iinfo(dtype)
        for name, bound in (("minval", self.minval), ("maxval", self.maxval)):
            if isinstance(bound, jax.Array) or bound != int(bound):
                raise Refused(
                    f"dtype {dtype.name} needs integer bounds, got {name}={bound!r}; "
                    "give integers, such as RandomUniform(0, 10), or a float dtype."
                )
        low, high = int(self.minval), int(self.maxval)
        least, end = int(info.min), int(info.max) + 1
        if not least <= low < high <= end:
            raise Refused(
                f"dtype {dtype.name} needs {least} <= minval < maxval <= {end}, "
                f"got [{low}, {high}); give other bounds."
            )
        return low, high


def _integers(low: int, high: int, dtype: np.dtype[Any]) -> Draw:
    """Return the draw of low, ..., high - 1; `high` may be one too large to be held."""
    info = jnp.iinfo(dtype)
    # the bits of newer JAX; narrow integers of 0.7 are not uniform
    work = np.dtype(np.int32) if info.bits < 32 else dtype
    if high <= jnp.iinfo(work).max:
        bounds, sampler = (low, high), samplers.integers
    elif low > info.min:
        bounds, sampler = (low - 1, high - 1), samplers.next_integers
    else:
        bounds, sampler = (), samplers.all_integers
    return Draw(sampler, tuple(work.type(bound) for bound in bounds))


def shift(mean: Real, work: np.dtype[Any]) -> tuple[Any, ...]:
    """Return the mean as a traced number, or nothing for 0: adding 0 changes -0.0."""
    if not isinstance(mean, jax.Array) and math.copysign(mean, 1) == 0:
        return ()
    return (as_number("mean", mean, work),)
