"""A law of independent terms."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import operator
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import jax
import numpy as np

from .._core.arguments import as_number, needs
from .._core.compile import Draw
from .._core.composed import folded, sample
from .._core.derived import sum_law
from .._core.fields import checked, needed, stream
from .._core.initializer import Initializer
from .._core.own import is_traced
from .._core.promise import Law
from .._core.rounding import rounded, wide_dtype
from .._core.streams import Seed
from .._errors import Refused
from .._fans.fans import Fans, is_list
from .._registry import named
from .constant import Constant
from .random import RandomNormal
from .scaled import Scaled
from .wrapper import as_law, fixed_law, on_stream

Shape = tuple[int, ...]
Terms = tuple[Initializer, ...]


def as_term(value: Any) -> Initializer:
    """Accept a law, an identifier of one, or what Constant does."""
    if isinstance(value, (str, Mapping)) or callable(value):
        return as_law(value)
    return Constant(value)


def _terms(value: Any) -> Terms:
    """Accept a sequence of terms; those of a plain sum among them are its own."""
    if not is_list(value) or not value:
        raise Refused(
            f"must be a sequence of laws, got {type(value).__name__}; "  # pyright: ignore[reportUnknownArgumentType]  # users pass anything
            "give one or more.",
            TypeError,
        )
    opened = (_opened(as_term(term)) for term in value)
    return tuple(itertools.chain.from_iterable(opened))


def _opened(term: Initializer) -> Terms:
    """Return the terms of a sum that has neither stream nor declaration of its own."""
    if not isinstance(term, Sum) or term.seed is not None or term.fan is not None:
        return (term,)
    return tuple(
        dataclasses.replace(law, dtype=term.dtype) for law in term.initializers
    )


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Sum(Initializer):
    """The sum of independent laws: `law + law`, `law + 1`, `law + array`.

    Term i is drawn on the stream of its clone by i; all are added in float32 at least
    and rounded once. Mean the sum of the means, standard deviation the root of the sum
    of squares. Bounds add, and rounding keeps them unless a number is traced. The cdf
    is known where one term alone has spread, or all that have are normal. Where two
    terms differ from entry to entry, such as two arrays, or do not say, the law is
    known if nothing is random.

    Any shape that all terms fill; float and complex dtypes.

    Args:
        initializers: Laws, identifiers, numbers or arrays; a law's own `fan` is its.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call; a term's own is that of the whole.
        fan: How the array is made up, for terms that do not say.

    Raises:
        ValueError: Terms with several dtypes.
        TypeError: No sequence of terms; an integer or bool dtype. `law(shape)` where
            it is not known.
    """

    initializers: Any = needed(_terms)
    _: KW_ONLY
    seed: Seed = checked(None, stream)

    def _validate(self) -> None:
        dtypes = {law.dtype for law in self.initializers} - {None}
        if len(dtypes) > 1:
            raise Refused(
                f"an array has one dtype, got {' and '.join(sorted(dtypes))}; "
                "give it to the whole law."
            )
        if dtypes:
            bare = (dataclasses.replace(law, dtype=None) for law in self.initializers)
            object.__setattr__(self, "initializers", tuple(bare))
            object.__setattr__(self, "dtype", self.dtype or dtypes.pop())

    def _times(self, by: Any) -> Initializer:
        scaled = [Scaled(law, by) for law in self.initializers]
        return dataclasses.replace(self, initializers=scaled)

    def _is_small(self) -> bool:
        return all(law._is_small() for law in self.initializers)

    def _is_whole(self) -> bool:
        return True

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float", "complex")
        wide = wide_dtype(dtype)
        laws = self._own()
        draws = [folded(law, law._make(shape, wide)) for law in laws]
        options = (
            ("draws", tuple(draw._replace(numbers=()) for draw in draws)),
            ("counts", tuple(len(draw.numbers) for draw in draws)),
        )
        return Draw(
            added,
            (
                *(number for draw in draws for number in draw.numbers),
                *self._bounds(shape, dtype, wide),
            ),
            options,
            random=any(draw.random for draw in draws),
            elementwise=all(draw.elementwise for draw in draws),
            folded=True,
        )

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float", "complex")
        try:
            return self._of_terms(shape, dtype)
        except Refused:
            if (law := fixed_law(self, shape, dtype)) is None:
                raise
            return law

    def _of_terms(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        laws = [law._promise(shape, dtype) for law in self._own()]
        return sum_law(laws, dtype.kind == "c")

    def _needs_fan(self, shape: Shape) -> bool:
        return any(law._needs_fan(shape) for law in self._own())

    def _std_at(self, shape: Shape, dtype: np.dtype[Any], fans: Fans) -> float:
        raise Refused("has terms that grow apart; put MuP on each of them.")

    def _own(self) -> Terms:
        """Return the terms on streams of their own, made up as the whole."""
        return tuple(
            on_stream(law, self.seed, i, self.fan)
            for i, law in enumerate(self.initializers)
        )

    def _bounds(
        self, shape: Shape, dtype: np.dtype[Any], wide: np.dtype[Any]
    ) -> tuple[Any, ...]:
        """Return the bounds that rounding must keep, if the law promises any."""
        if wide == dtype or is_traced(self):
            return ()
        try:
            law = self._of_terms(shape, dtype)
        except Refused:  # a user's law need not promise anything
            return ()
        if not math.isfinite(law.low + law.high):
            return ()
        return tuple(as_number("the sum", end, wide) for end in (law.low, law.high))


def added(
    key: Any,
    shape: Shape,
    dtype: Any,
    *numbers: Any,
    draws: tuple[Draw, ...],
    counts: tuple[int, ...],
) -> jax.Array:
    """Draw terms in a wide dtype, add them, round once inside the bounds."""
    terms, first = [], 0
    for draw, count in zip(draws, counts, strict=True):
        mine = numbers[first : first + count]
        terms.append(sample(draw, key, shape, wide_dtype(dtype), mine))
        first += count
    return rounded(functools.reduce(operator.add, terms), dtype, *numbers[first:])


def noise_on(value: Any, stddev: Any) -> Sum:
    """Return a law, a number or an array plus N(0, stddev^2); see `Sum`.

    Copies of weights that are to be told apart: `noise_on(kernel, 0.01)`.

    Args:
        value: A law, an identifier of one, a number, or an array that broadcasts.
        stddev: Finite, >= 0.
    """
    return Sum([value, RandomNormal(stddev=stddev)])
