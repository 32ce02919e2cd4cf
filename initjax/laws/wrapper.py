"""The base of laws made of a law: one stream, one declaration with what it wraps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import jax
import numpy as np

from .._core.composed import sample
from .._core.fields import checked, needed, stream
from .._core.initializer import Initializer
from .._core.promise import Law, point_law
from .._core.streams import Part, Seed, path_of
from .._errors import Refused
from .._fans.declaration import Parts
from .._fans.fans import Fans
from .._registry import get

Shape = tuple[int, ...]


def as_law(value: Any) -> Initializer:
    """Accept a law, or an identifier of one."""
    found = get(value)
    if not isinstance(found, Initializer):
        raise Refused(
            "must be a law or an identifier of one, got "
            f"{type(found).__name__}; a function has no law: subclass Initializer.",
            TypeError,
        )
    return found


def one_dtype(law: Initializer) -> Initializer:
    """Accept a law of some entries of an array, without a dtype of its own."""
    if law.dtype is not None:
        raise Refused("an array has one dtype; give it to the whole law.")
    return law


def on_stream(law: Initializer, seed: Seed, part: Part, fan: Any = None) -> Initializer:
    """Return a law on the stream of a part, made up as declared unless it says how."""
    given: dict[str, Any] = {"fan": fan if law.fan is None else law.fan}
    if hasattr(law, "seed"):
        given["seed"] = (*path_of(law.seed), *path_of(seed), part)  # type: ignore[attr-defined]
    return dataclasses.replace(law, **given)


def fixed_law(law: Initializer, shape: Shape, dtype: np.dtype[Any]) -> Law | None:
    """Return the law of the very entries, where no chance makes them."""
    draw = law._draw(shape, dtype)
    if draw.random:
        return None
    with jax.ensure_compile_time_eval():
        x = np.asarray(sample(draw, None, shape, dtype, draw.numbers))
    return point_law(x.astype(np.complex128 if x.dtype.kind == "c" else np.float64))


def axis_of(axis: int, shape: Shape, what: str) -> int:
    """Count an axis from the front, or refuse one that the shape does not have."""
    if not -len(shape) <= axis < len(shape):
        raise Refused(
            f"axis={axis} is out of range for a shape of rank {len(shape)}; "
            f"give the axis of the {what}."
        )
    return axis % len(shape)


@dataclass(frozen=True, slots=True, repr=False)
class Wrapper(Initializer):
    """The base of laws made of a law: `seed`, `fan` and `dtype` are its own.

    What the wrapped law has of them moves to the wrapper, so equal laws are equal.

    Args:
        initializer: A law, or an identifier of one.
        seed: Stream tag; appended to that of the wrapped law.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up; in place of the wrapped law's.
    """

    initializer: Any = needed(as_law)
    _: KW_ONLY
    seed: Seed = checked(None, stream)

    _MOVED: ClassVar[tuple[str, ...]] = ("seed", "fan", "dtype")

    def _validate(self) -> None:
        inner = self.initializer
        moved: dict[str, Any] = {}
        for name in self._MOVED:
            if (value := getattr(inner, name, None)) is None:
                continue
            moved[name] = None
            mine = getattr(self, name)
            if name == "seed":
                value = stream((*path_of(value), *path_of(mine)))
            if name == "seed" or mine is None:
                object.__setattr__(self, name, value)
        if moved:
            object.__setattr__(self, "initializer", dataclasses.replace(inner, **moved))

    def _needs_fan(self, shape: Shape) -> bool:
        return self._inner()._needs_fan(shape)

    def _declared_fans(self, shape: Shape) -> Fans:
        return self._inner()._declared_fans(shape)

    def _is_small(self) -> bool:
        return self.initializer._is_small()

    def _is_whole(self) -> bool:
        return self.initializer._is_whole()

    def _divided(self, parts: Parts) -> Sequence[Initializer]:
        return [
            dataclasses.replace(self, initializer=law, seed=None, fan=None)
            for law in self._inner()._divided(parts)
        ]

    def _std_at(self, shape: Shape, dtype: np.dtype[Any], fans: Fans) -> float:
        return self._inner()._std_at(shape, dtype, fans)

    def _inner(self) -> Initializer:
        """Return the wrapped law on the wrapper's stream, made up as the wrapper."""
        given: dict[str, Any] = {"fan": self.fan}
        if hasattr(self.initializer, "seed"):
            given["seed"] = self.seed
        return dataclasses.replace(self.initializer, **given)
