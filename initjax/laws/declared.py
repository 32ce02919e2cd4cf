"""Laws of several weights in one array, by short names for declarations."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

from .._core.initializer import Initializer
from .._errors import Refused, shown
from .._fans.fan import Fan
from .._fans.fans import is_list
from .constant import Zeros
from .per_part import PerPart
from .wrapper import as_law


def per_group(initializer: Any, groups: int, axis: int = -1) -> Initializer:
    """Return a law of equal groups side by side, each with fans and stream of its own.

    The weight of a grouped or depthwise layer: fan_out counts the outputs of a group.
    It is the law with `fan=Fan.fused(groups, axis)` of the law's own fan.

    Args:
        initializer: A law, or an identifier of one.
        groups: How many groups there are, >= 1.
        axis: The axis that they divide.

    References:
        AXLearn, `PerGroupInitializer`.
    """
    where = f"per_group({shown(initializer)}, {shown(groups)}, axis={shown(axis)})"
    law = _law(where, initializer)
    if not isinstance(groups, int):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
        kind = type(groups).__name__
        raise TypeError(f"{where}: groups must be an int, got {kind}; count them.")
    return dataclasses.replace(law, fan=Fan.fused(groups, axis, law.fan))


def stacked(initializer: Any, axis: int = 0) -> Initializer:
    """Return a law of layers along an axis, each a weight with the law's own fan.

    It is the law with `fan=Fan.stacked(axis)` of the law's own fan; `clone_initializer`
    and paths give layers that are not stacked their streams.

    Args:
        initializer: A law of one layer, or an identifier of one.
        axis: The axis that counts the layers.
    """
    where = f"stacked({shown(initializer)}, axis={shown(axis)})"
    law = _law(where, initializer)
    return dataclasses.replace(law, fan=Fan.stacked(axis, law.fan))


def concatenated(parts: Any, axis: int = -1) -> PerPart:
    """Return a law of several laws side by side, each with fans and stream of its own.

    It is `PerPart` with a declaration of the lengths: every part is drawn as its clone
    by its name, or its number.

    Args:
        parts: Pairs of a law, or an identifier of one, and a length; or a dict of such
            pairs by name.
        axis: Where they lie side by side.

    Raises:
        ValueError: No parts; a length below 0; at the call, lengths that do not add up.
        TypeError: No pairs, no laws, no lengths.
    """
    where = f"concatenated({shown(parts)}, axis={shown(axis)})"
    if isinstance(parts, Mapping):
        named = [*cast("Mapping[Any, Any]", parts).items()]
    elif is_list(parts):
        named = [*enumerate(parts)]
    else:
        kind = type(parts).__name__
        raise TypeError(
            f"{where}: parts must be pairs of a law and a length, or a dict of them, "
            f"got {kind}."
        )
    if not named:
        raise ValueError(f"{where}: there are no parts; give one or more.")
    laws: dict[Any, Initializer] = {}
    sizes: dict[Any, Any] = {}
    for name, pair in named:
        if not is_list(pair) or len(pair) != 2:
            raise TypeError(
                f"{where}: a part is a pair of a law and a length, got {shown(pair)}."
            )
        law, sizes[name] = pair
        laws[name] = _law(where, law)
    return PerPart(Zeros(), laws, fan=Fan.fused(sizes, axis))


def _law(where: str, value: Any) -> Initializer:
    try:
        return as_law(value)
    except Refused as refused:
        raise refused.at(where) from None
