"""What a plan's row says about the entries of its weight."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import jax.numpy as jnp
import numpy as np

from .._core.initializer import Initializer
from .._core.promise import Law, is_alike
from .._errors import Refused
from .._rules.table import PlanRow, law_text
from ..laws.entrywise import Cast
from ..laws.icnr import ICNR
from ..laws.orthogonal import Orthogonal
from .chance import kurtosis


class Promised(NamedTuple):
    """What is known of a weight's entries.

    Attributes:
        text: The law, for people.
        law: What one entry follows; None if nothing says.
        random: Whether chance makes them.
        independent: Whether each is drawn by itself.
        alike: Whether all have one law.
        is_orthogonal: Whether the mean of their squares is exact.
        grain: The dtype that they are rounded to.
        kurtosis: Of an entry, or None.
        fans: (fan_in, fan_out), if there is one pair.
    """

    text: str
    law: Law | None
    random: bool
    independent: bool
    alike: bool
    is_orthogonal: bool
    grain: np.dtype[Any]
    kurtosis: float | None
    fans: tuple[float, float] | None = None


class Promises(dict[Any, Promised]):
    """Promises by law, shape and dtype, each asked for once."""

    def of(self, row: PlanRow, dtype: np.dtype[Any]) -> Promised:
        """Return what a row promises of a weight that has this dtype."""
        one = self[row.law, row.shape, row.dtype]
        fans = tuple(row.fans[0]) if len(row.fans) == 1 else None
        is_cast = one.grain.name != row.dtype
        grain = max(one.grain, dtype, key=_step) if is_cast else dtype
        return one._replace(fans=fans, grain=grain)

    def __missing__(self, key: Any) -> Promised:
        self[key] = promised = _promised(*key)
        return promised


def _promised(law: Any, shape: tuple[int, ...], name: str) -> Promised:
    dtype = jnp.dtype(name)
    if not isinstance(law, Initializer):
        # a function: a draw, as far as anyone knows
        return Promised(law_text(law), None, True, False, False, False, dtype, None)
    draw = law._make(shape, dtype)
    try:
        said = law._promise(shape, dtype)
    except Refused:  # a law need not promise anything
        said = None
    inner = [*_nested(law)]
    mixed = any(one._is_blockwise() or isinstance(one, ICNR) for one in inner)
    through = [jnp.dtype(one.through) for one in inner if isinstance(one, Cast)]
    is_orthogonal = isinstance(law, Orthogonal) and not draw.elementwise
    return Promised(
        law_text(law),
        said,
        draw.random,
        draw.random and draw.elementwise and not mixed,
        said is not None and is_alike(said),
        is_orthogonal,
        max([dtype, *through], key=_step),
        None if said is None else kurtosis(said, dtype.kind == "c"),
    )


def _step(dtype: np.dtype[Any]) -> float:
    """Return how far 1 and the next number are in a dtype."""
    is_whole = not jnp.issubdtype(dtype, jnp.inexact)
    return 1.0 if is_whole else float(jnp.finfo(dtype).eps)


def _nested(x: Any) -> Iterator[Initializer]:
    """Yield a law and the laws it is made of."""
    if isinstance(x, Initializer):
        yield x
        for field in dataclasses.fields(x):
            yield from _nested(getattr(x, field.name))
    elif isinstance(x, Mapping):
        yield from _nested(tuple(cast("Mapping[Any, Any]", x).values()))
    elif isinstance(x, (tuple, list)):
        for item in cast("tuple[Any, ...]", x):
            yield from _nested(item)
