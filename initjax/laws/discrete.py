"""Laws on a few values: Categorical, Rademacher."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core.arguments import needs
from .._core.bits import random_bits
from .._core.compile import Draw
from .._core.fields import Check, checked, needed, number, stream
from .._core.initializer import Initializer
from .._core.promise import Law
from .._core.streams import Seed
from .._core.values import held
from .._errors import Refused
from .._fans.fans import items_of
from .._registry import named

Shape = tuple[int, ...]
Array = np.ndarray[Any, Any]


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Rademacher(Initializer):
    """-1 or 1, each with probability 1/2: mean 0, standard deviation 1.

    Entries independent. Any shape; float dtypes.

    Args:
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.

    Raises:
        TypeError: A complex, integer or bool dtype.

    References:
        `jax.random.rademacher`.
    """

    seed: Seed = checked(None, stream)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float")
        return Draw(signs)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float")
        cdf = partial(_step_cdf, np.array([-1.0, 1.0]), np.array([0.0, 0.5, 1.0]))
        return Law(0.0, 1.0, -1.0, 1.0, cdf=cdf)


def signs(key: jax.Array, shape: Shape, dtype: Any) -> jax.Array:
    """-1 or 1 by the lowest bit."""
    one = jnp.ones((), dtype)
    return jnp.where(random_bits(key, shape, 32) & 1 == 0, one, -one)


def _numbers(least: float) -> Check:
    """Accept a sequence of numbers; keep a tuple."""
    one = number(least=least)

    def check(value: Any) -> tuple[Any, ...]:
        items = items_of(value)
        if items is None:
            kind = type(value).__name__
            raise Refused(f"must be a sequence of numbers, got {kind}.", TypeError)
        numbers = tuple(map(one, items))
        if not numbers:
            raise Refused("is empty; give at least one number.")
        if any(isinstance(x, jax.Array) for x in numbers):
            raise Refused(
                "must be concrete numbers, got a tracer; make the law outside of the "
                "traced function.",
                TypeError,
            )
        return numbers

    return check


_finite = _numbers(-math.inf)
_shares = _numbers(0)


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Categorical(Initializer):
    """One of `values`, with `probabilities`.

    Mean sum(p v), standard deviation sqrt(sum(p v^2) - mean^2). Entries independent, by
    inverse cdf on 32 random bits: a probability is a multiple of 2^-32, to which it is
    rounded. Values are rounded to the dtype, as those of `Constant` are.

    Any shape; float and integer dtypes that hold the values.

    Args:
        values: Finite numbers, at least one, in any order.
        probabilities: One >= 0 for each value, with sum 1; None is equal ones.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: No values; probabilities that are not as many, or whose sum is not
            1 to six digits; at the call, a dtype that does not hold a value.
        TypeError: No sequence of numbers, a traced number; a complex or bool dtype.

    References:
        `jax.random.choice`; `torch.distributions.Categorical`, of indices.
    """

    values: Any = needed(_finite)
    probabilities: Any = checked(None, lambda x: None if x is None else _shares(x))
    seed: Seed = checked(None, stream)

    def _validate(self) -> None:
        shares = self.probabilities
        if shares is None:
            return
        if len(shares) != len(self.values):
            raise Refused(
                f"has {len(self.values)} values and {len(shares)} probabilities; "
                "give one for each."
            )
        if abs(math.fsum(shares) - 1) > 1e-6:
            raise Refused(
                f"the sum of its probabilities is {math.fsum(shares):g}; "
                "divide them by it."
            )

    def _is_small(self) -> bool:
        return len(self.values) <= 64

    def _times(self, by: Any) -> Initializer | None:
        if isinstance(by, jax.Array):
            return None  # values are static, so the entries are multiplied
        return dataclasses.replace(self, values=[value * by for value in self.values])

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float", "int")
        values, edges = self._table()
        # a tree of comparisons: as many leaves as a power of 2, the last ones alike
        leaves = 2 ** max(1, (len(values) - 1).bit_length())
        values = np.pad(held(values, dtype), (0, leaves - len(values)), "edge")
        padding = (0, leaves - 1 - len(edges))
        edges = np.pad(edges, padding, constant_values=2**32 - 1).astype(np.uint32)
        is_narrow = dtype.itemsize < 4
        if is_narrow:  # not every backend gathers those
            is_float = jnp.issubdtype(dtype, jnp.floating)
            values = values.astype(np.float32 if is_float else np.int32)
        return Draw(choices, (values, edges))

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float", "int")
        values, edges = self._table()
        shares = np.diff(edges, prepend=0, append=2**32) / 2**32
        order = np.argsort(values)
        steps = np.cumsum(shares[order])
        mean = float(shares @ values)
        std = math.sqrt(float(shares @ (values - mean) ** 2))
        cdf = partial(_step_cdf, values[order], np.append(0.0, steps))
        low, high = float(values.min()), float(values.max())
        return Law(mean, std, low, high, cdf=cdf)

    def _table(self) -> tuple[Array, Array]:
        """Return the values that have a share of 2^32 numbers, and where shares end."""
        values = np.asarray(self.values, np.float64)
        shares = self.probabilities or (1.0,) * len(values)
        ends = np.cumsum(shares) / math.fsum(shares)
        ends = np.minimum(np.rint(ends * 2**32), 2**32).astype(np.int64)
        ends[-1] = 2**32
        has_share = np.diff(ends, prepend=0) > 0
        return values[has_share], ends[has_share][:-1]


def _step_cdf(values: Array, steps: Array, x: Any) -> Array:
    return steps[np.searchsorted(values, np.asarray(x, np.float64), side="right")]


def choices(
    key: jax.Array, shape: Shape, dtype: Any, values: jax.Array, edges: jax.Array
) -> jax.Array:
    """The value between whose edges 32 random bits are, found by halving."""
    bits = random_bits(key, shape, 32)
    index, half = jnp.zeros_like(bits), len(values) // 2
    while half:
        edge = edges.at[index + (half - 1)].get(mode="promise_in_bounds")
        index = jnp.where(bits >= edge, index + half, index)
        half //= 2
    return values.at[index].get(mode="promise_in_bounds").astype(dtype)
