"""Shape and axes to fans, in plain Python integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from .._errors import Refused

Axes = tuple[int, ...]
BatchAxes = Axes | Literal["rest"]


class Fans(NamedTuple):
    """How many inputs feed one output, and how many outputs one input feeds.

    Integers; a strided transposed convolution can have a fraction, on average.
    """

    fan_in: float
    fan_out: float


def compute_fans(
    shape: Sequence[int],
    in_axis: Axes | None = None,
    out_axis: Axes | None = None,
    batch_axis: BatchAxes = (),
) -> Fans:
    """Return the fans of a weight.

    Without axes Keras's rule holds: rank 0 is (1, 1), rank 1 is (n, n), rank 2 is
    (in, out), and for more the leading axes are a convolution's receptive field that
    multiplies both. With axes JAX's rule holds: axes listed nowhere are receptive
    field; `batch_axis` lists axes that count for neither, and `"rest"` puts all
    unlisted axes there (Keras 3.16's reading of `input_axes` and `output_axes`).
    """
    if in_axis is None or out_axis is None:
        return _keras_fans(shape)
    if batch_axis == "rest":
        used = resolve_axes(shape, {"in_axis": in_axis, "out_axis": out_axis})
        window = 1
    else:
        groups = {"in_axis": in_axis, "out_axis": out_axis, "batch_axis": batch_axis}
        used = resolve_axes(shape, groups)
        listed = {axis for group in used.values() for axis in group}
        window = math.prod(n for i, n in enumerate(shape) if i not in listed)
    return Fans(
        window * math.prod(shape[i] for i in used["in_axis"]),
        window * math.prod(shape[i] for i in used["out_axis"]),
    )


def _keras_fans(shape: Sequence[int]) -> Fans:
    if len(shape) < 2:
        size = math.prod(shape)
        return Fans(size, size)
    window = math.prod(shape[:-2])
    return Fans(window * shape[-2], window * shape[-1])


def resolve_axes(shape: Sequence[int], groups: dict[str, Axes]) -> dict[str, Axes]:
    """Count axes from the front; refuse those that are out of range or twice."""
    rank = len(shape)
    owner: dict[int, str] = {}
    resolved: dict[str, Axes] = {}
    for name, axes in groups.items():
        for axis in axes:
            if not -rank <= axis < rank:
                raise Refused(
                    f"{name}={axis} is out of range for a shape of rank {rank}; "
                    f"give axes in [{-rank}, {rank}), or a weight of higher rank."
                    if rank
                    else f"{name}={axis} is out of range for a shape of rank 0; "
                    f"give {' and '.join(f'{k}=()' for k in [*groups][:2])} "
                    "for a scalar."
                )
            if axis % rank in owner:
                raise Refused(
                    f"axis {axis % rank} is in both {owner[axis % rank]} and {name} "
                    f"({', '.join(f'{k}={v}' for k, v in groups.items())}); "
                    "an axis has one role: list it once."
                )
            owner[axis % rank] = name
        resolved[name] = tuple(axis % rank for axis in axes)
    return resolved
