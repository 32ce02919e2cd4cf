"""A law for every part of a fused weight: the bias of a forget gate."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import numpy as np

from .._core.compile import Draw
from .._core.fields import integer, needed
from .._core.initializer import Initializer
from .._core.promise import Law
from .._errors import Refused, shown
from .._fans.declaration import Name, Parts
from .._fans.fans import is_list
from .._registry import named
from .scaled import Scaled
from .wrapper import Wrapper, as_law, on_stream

Shape = tuple[int, ...]
Pairs = tuple[tuple[Name, Initializer], ...]


def _laws(value: Any) -> Pairs:
    """Accept a dict of laws, or of identifiers, by part; keep its items in order."""
    if isinstance(value, Mapping):
        value = tuple(cast("Mapping[Any, Any]", value).items())
    if not is_list(value):
        kind = type(value).__name__
        raise Refused(f"must be a dict of part names and laws, got {kind}.", TypeError)
    laws = dict(map(_pair, value))
    if any(law.dtype is not None for law in laws.values()):
        raise Refused("an array has one dtype; give it to the whole law.")
    return tuple(sorted(laws.items(), key=lambda pair: ascii(pair[0])))


def _pair(value: Any) -> tuple[Name, Initializer]:
    if not is_list(value) or len(value) != 2:
        raise Refused(
            f"must be pairs of a part and a law, got {shown(value)}.", TypeError
        )
    name, law = value
    return name if isinstance(name, str) else integer(name), as_law(law)


@named()
@dataclass(frozen=True, slots=True, repr=False)
class PerPart(Wrapper):
    """A law for weights side by side, with other laws for the parts in `parts`.

    Every part is drawn as its clone by the part's name, at the part's own fans. Mean
    and standard deviation are those of the mixture. The names are those of the
    declaration: `Fan.fused(("i", "f", "g", "o"))` for equal parts, a dict for lengths,
    0, 1, ... where parts have no names; also within `Fan.stacked`.

    Args:
        initializer: The law of all other parts, or an identifier of it.
        parts: Laws, or identifiers of them, by name; a law's own `fan` declares its
            part.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: A declaration of parts, such as `Fan.fused(("gate", "up"))`.

    Raises:
        ValueError: A law with a dtype of its own; at the call, a name that is no part,
            no declaration of parts.
        TypeError: No law, no dict.

    References:
        Jozefowicz et al., "An empirical exploration of recurrent network
        architectures", ICML 2015: forget gates with a bias of 1.
    """

    parts: Any = needed(_laws)

    def _times(self, by: Any) -> Initializer:
        parts = [(name, Scaled(law, by)) for name, law in self.parts]
        law = Scaled(self.initializer, by)
        return dataclasses.replace(self, initializer=law, parts=parts)

    def _is_small(self) -> bool:
        laws = (self.initializer, *(law for _, law in self.parts))
        return all(law._is_small() for law in laws)

    def _is_whole(self) -> bool:
        return False

    def _divided(self, parts: Parts) -> Sequence[Initializer]:
        for name, _ in self.parts:
            if name not in parts.names:
                near = difflib.get_close_matches(str(name), map(str, parts.names), n=1)
                hint = f"did you mean {near[0]!r}?" if near else "name one of them."
                raise Refused(f"has no part {shown(name)}, only {parts.names}; {hint}")
        laws = dict(zip(parts.names, self._inner()._divided(parts), strict=True))
        for name, law in self.parts:
            laws[name] = on_stream(law, self.seed, name, parts.of)
        return [*laws.values()]

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        self._refuse_undivided()

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        self._refuse_undivided()

    def _needs_fan(self, shape: Shape) -> bool:
        own = (
            law if law.fan is not None else dataclasses.replace(law, fan=self.fan)
            for _, law in self.parts
        )
        return any(law._needs_fan(shape) for law in (self._inner(), *own))

    def _refuse_undivided(self) -> NoReturn:
        raise Refused(
            f"needs a declaration of parts, got fan={self.fan!r}; give one, such as "
            "fan=Fan.fused(('i', 'f', 'g', 'o'))."
        )


def per_part(initializer: Any, parts: Any) -> PerPart:
    """Return a law with other laws for some of the parts; see `PerPart`.

    Args:
        initializer: The law of all other parts, or an identifier of it.
        parts: Laws, or identifiers of them, by the names of parts.
    """
    return PerPart(initializer, parts)
