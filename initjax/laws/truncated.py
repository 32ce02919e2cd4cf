"""TruncatedNormal: a normal cut at bounds that are relative to it, or absolute."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

import jax
import numpy as np

from .._core import samplers
from .._core.arguments import as_number, needs
from .._core.compile import Draw
from .._core.fields import Real, checked, flag, number, stream
from .._core.initializer import Initializer
from .._core.promise import Law, truncated_moments, truncated_normal_law
from .._core.streams import Seed
from .._errors import Refused
from .._registry import named
from .random import shift

Shape = tuple[int, ...]
Pair = tuple[float, float]

_SIDES = {"low": ("lower", -2.0), "high": ("upper", 2.0)}
_STATIC = ("lower", "upper", "low", "high", "mean", "stddev")
_BEYOND = 40.0  # standard deviations that no draw of float64 reaches


def _bound(value: Any) -> Any:
    return None if value is None else number(infinite=True)(value)


@named(keras=2)
@dataclass(frozen=True, slots=True, repr=False)
class TruncatedNormal(Initializer):
    """Normal law cut at `lower` and `upper` stddev about the mean, or at (low, high).

    Entries independent. `stddev` is that of the normal before it is cut, as in Keras
    and JAX: with the default bounds what comes out has mean `mean` and standard
    deviation 0.8796 stddev. With `exact_stddev`, `stddev` is the standard deviation of
    what comes out, for any bounds (bounds are then in units of the wider normal). The
    law is exact far in the tails, such as (5, inf) or (-100, 100).

    `low` and `high` bound the entries themselves, whatever the mean, each in place of
    its relative bound: `TruncatedNormal(0.0, 0.02, low=-2, high=2)` is the
    `trunc_normal_(std=0.02)` of PyTorch and timm. Laws that differ in absolute bounds,
    in units of stddev, are compiled apart, unless the bounds are beyond 40 stddev.

    Any shape; float dtypes.

    Args:
        mean: Mean of the normal before it is cut, finite.
        stddev: Its standard deviation, finite, >= 0.
        seed: Stream tag: None, an int, a str, or a path of them.
        lower: Lower bound in standard deviations from the mean; may be -inf.
        upper: Upper bound, > lower; may be inf.
        exact_stddev: Whether `stddev` is what comes out. A traced one is then divided
            in float32, so the last bits may differ from those of the number itself.
        low: Least value, in place of `lower`; None leaves that; may be -inf.
        high: Greatest value, > low, in place of `upper`; may be inf.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: A number out of range; a lower bound that is not below the upper;
            two bounds for one side; `exact_stddev` with `low` or `high`.
        TypeError: A complex, integer or bool dtype; traced bounds, or with `low` or
            `high` a traced mean or stddev.

    References:
        Keras, `keras.initializers.TruncatedNormal`;
        `jax.nn.initializers.truncated_normal`; `torch.nn.init.trunc_normal_`.
    """

    mean: Real = checked(0.0, number())
    stddev: Real = checked(0.05, number(least=0))
    seed: Seed = checked(None, stream)
    _: KW_ONLY
    lower: float = checked(-2.0, number(infinite=True))
    upper: float = checked(2.0, number(infinite=True))
    exact_stddev: bool = checked(False, flag)
    low: float | None = checked(None, _bound)
    high: float | None = checked(None, _bound)

    def _validate(self) -> None:
        absolute = self._is_absolute()
        for name in _STATIC if absolute else _STATIC[:2]:
            if isinstance(getattr(self, name), jax.Array):
                beside = " beside low and high" if name in _STATIC[4:] else ""
                raise Refused(
                    f"{name} must be a concrete number{beside}, got a tracer; make "
                    "the law outside of the traced function.",
                    TypeError,
                )
        if not self.lower < self.upper:
            raise Refused(
                f"lower={self.lower} must be below upper={self.upper}; swap them."
            )
        if absolute:
            self._check_absolute()

    def _check_absolute(self) -> None:
        for side, (relative, default) in _SIDES.items():
            if getattr(self, side) is not None and getattr(self, relative) != default:
                raise Refused(f"takes {side} or {relative}, not both; drop one.")
        if self.exact_stddev:
            raise Refused(
                "exact_stddev goes with lower and upper; leave it out, and "
                "law(shape).std says what comes out."
            )
        low, high = self._ends()
        if not low < high:
            raise Refused(
                f"its lower bound {low} must be below its upper {high}; swap them."
            )
        if not self.stddev and not low <= self.mean <= high:
            raise Refused(
                f"stddev=0 puts every entry at the mean, which is not in "
                f"[{low}, {high}]; give another."
            )

    def _times(self, by: Any) -> Initializer | None:
        scaled = {"mean": self.mean * by, "stddev": self.stddev * by}
        if not self._is_absolute():
            return dataclasses.replace(self, **scaled)
        if isinstance(by, jax.Array):
            return None  # the bounds are static, so the entries are multiplied
        for side in _SIDES:
            bound = getattr(self, side)
            scaled[side] = bound if bound is None else bound * by
        return dataclasses.replace(self, **scaled)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float")
        work = samplers.work_dtype(dtype)
        lower, upper = self._cut()
        for name, bound in (("lower", lower), ("upper", upper)):
            as_number(name, bound, work)
        numbers = (as_number("stddev", self._sigma(), work),)
        if self._is_absolute():
            low, high = self._ends()
            for name, x in (("mean", self.mean), ("low", low), ("high", high)):
                numbers += (as_number(name, x, work),)
            # nothing is beyond, and laws that differ there share an executable
            if lower < -_BEYOND and upper >= 0:
                lower = -math.inf
            if upper > _BEYOND and lower <= 0:
                upper = math.inf
        else:
            numbers += shift(self.mean, work)
        options = (("lower", lower), ("upper", upper))
        return Draw(samplers.truncated_normal, numbers, options)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float")
        mean, sigma = float(self.mean), float(self._sigma())
        law = truncated_normal_law(mean, sigma, *self._cut())
        if not self._is_absolute() or not sigma:
            return law
        low, high = self._ends()
        return dataclasses.replace(law, low=low, high=high)

    def _sigma(self) -> Real:
        if not self.exact_stddev:
            return self.stddev
        return self.stddev / truncated_moments(*self._cut())[1]

    def _is_absolute(self) -> bool:
        return self.low is not None or self.high is not None

    def _ends(self) -> Pair:
        """Return the bounds of the entries, where the law has absolute ones."""
        mean, stddev = float(self.mean), float(self.stddev)
        low, high = self.low, self.high
        if low is None:
            low = mean + self.lower * stddev if stddev else -math.inf
        if high is None:
            high = mean + self.upper * stddev if stddev else math.inf
        return float(low), float(high)

    def _cut(self) -> Pair:
        """Return the bounds in standard deviations from the mean."""
        lower, upper = float(self.lower), float(self.upper)
        if self._is_absolute() and self.stddev:
            mean, stddev = float(self.mean), float(self.stddev)
            lower = lower if self.low is None else (self.low - mean) / stddev
            upper = upper if self.high is None else (self.high - mean) / stddev
        return lower, upper
