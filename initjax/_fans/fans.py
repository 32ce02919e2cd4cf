"""Shape and axes to fans, in plain Python integers."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeGuard, cast

from .._errors import Refused, shown

Axes = tuple[int, ...]
BatchAxes = Axes | Literal["rest"]


MOST_AXES = 64  # of a NumPy array


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


def is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    """Tell a list, a tuple, or what a configuration system has for them."""
    is_text = isinstance(value, (str, bytes, bytearray, memoryview))
    return isinstance(value, Sequence) and not is_text


def mapping_of(value: Any) -> Mapping[Any, Any] | None:
    """Return a dict, or what a configuration system has for one; else None."""
    if isinstance(value, Mapping):
        return cast("Mapping[Any, Any]", value)
    kind = type(value)
    return dict(value) if hasattr(kind, "keys") and hasattr(kind, "get") else None


def items_of(value: Any) -> Sequence[Any] | None:
    """Return a sequence or an array of one axis, in order; None is anything else."""
    if is_list(value):
        return value
    is_row = getattr(value, "ndim", None) == 1 and hasattr(value, "__iter__")
    return list(value) if is_row else None


def index_of(value: Any) -> int:
    """Return a Python int of any kind of integer; a bool is none."""
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)


def clean_shape(shape: Any) -> tuple[int, ...]:
    """Return the sizes of a shape."""
    try:
        sizes = tuple(map(index_of, cast("Sequence[Any]", items_of(shape))))
    except TypeError:
        hint = f"; give ({shown(shape)},)." if isinstance(shape, int) else "."
        raise Refused(
            f"shape must be a sequence of ints, got {shown(shape)}{hint}", TypeError
        ) from None
    if sizes and min(sizes) < 0:
        raise Refused(
            f"sizes must be >= 0, got {shown(min(sizes))}; give a shape without it."
        )
    if len(sizes) > MOST_AXES:
        raise Refused(
            f"an array has at most {MOST_AXES} axes, got {len(sizes)}; give fewer."
        )
    if math.prod(sizes) >= 2**63:
        raise Refused(
            f"an array has fewer than 2**63 entries, got sizes {shown(sizes)}; "
            "give smaller ones."
        )
    return sizes
