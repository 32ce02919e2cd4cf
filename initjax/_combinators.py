"""Laws made of laws: a law scaled, as a whole or layer by layer.

Every combinator is a law itself: frozen, JSON-able, on one stream with what it wraps.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self, cast

import jax
import numpy as np

from . import _samplers as samplers
from . import laws
from ._arguments import as_number, needs
from ._compile import Draw
from ._errors import Refused
from ._fans import Fans
from ._fields import Real, checked, integer, needed, number, stream
from ._initializer import Initializer
from ._law import Law, mixture_law
from ._registry import built_in, deserialize, get, serialize
from ._streams import Seed, path_of

Shape = tuple[int, ...]


def _law(value: Any) -> Initializer:
    found = get(value)
    if not isinstance(found, Initializer):
        raise Refused(
            "must be a law or an identifier of one, got "
            f"{type(found).__name__}; a function has no law: subclass Initializer.",
            TypeError,
        )
    return found


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

    initializer: Any = needed(_law)
    _: KW_ONLY
    seed: Seed = checked(None, stream)

    def _validate(self) -> None:
        inner = self.initializer
        moved: dict[str, Any] = {}
        for name in ("seed", "fan", "dtype"):
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

    def get_config(self) -> dict[str, Any]:
        """Return the fields as JSON-able data."""
        config = Initializer.get_config(self)
        return config | {"initializer": serialize(self.initializer)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the config that `get_config` describes."""
        read = dict(config)
        if isinstance(read.get("initializer"), (str, Mapping)):
            read["initializer"] = deserialize(read["initializer"])
        base: Any = Initializer.from_config
        return base.__func__(cls, read)

    def _needs_fan(self, shape: Shape) -> bool:
        return self._inner()._needs_fan(shape)

    def _declared_fans(self, shape: Shape) -> Fans:
        return self._inner()._declared_fans(shape)

    def _inner(self) -> Initializer:
        """Return the wrapped law on the wrapper's stream, made up as the wrapper."""
        given: dict[str, Any] = {"fan": self.fan}
        if hasattr(self.initializer, "seed"):
            given["seed"] = self.seed
        return dataclasses.replace(self.initializer, **given)


@built_in
@dataclass(frozen=True, slots=True, repr=False)
class Scaled(Wrapper):
    """`by` times a law: its mean, standard deviation and bounds times `by`.

    Shapes, dtypes and errors are those of the law. Laws of initjax are scaled by their
    own parameters, so `by=1` gives their bits, and the scaled law shares their program;
    other laws are drawn in float32 and multiplied before the one rounding.

    Args:
        initializer: A law, or an identifier of one.
        by: Finite, >= 0.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up.

    Raises:
        ValueError: `by` out of range.
        TypeError: No law.
    """

    by: Real = checked(1.0, number(least=0))

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        inner = self._inner()
        if isinstance(inner, laws.RandomUniform) and not _is(self.by, 1):
            needs(dtype, "float")  # integers times a number are another law
        if (law := _times(inner, self.by)) is not None:
            return law._make(shape, dtype)
        return _multiplied(inner, self.by, shape, dtype)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        inner = self._inner()
        if (law := _times(inner, self.by)) is not None:
            return law._promise(shape, dtype)
        return _scaled_law(inner._promise(shape, dtype), float(self.by))

    def _std_at(self, shape: Shape, dtype: np.dtype[Any], fans: Fans) -> float:
        return float(self.by) * self._inner()._std_at(shape, dtype, fans)


def _scales(value: Any) -> tuple[float, ...]:
    if isinstance(value, (np.ndarray, jax.Array)):
        value = np.asarray(value).tolist()
    if not isinstance(value, (tuple, list)) or not value:
        raise Refused("must be a sequence of numbers, one per layer.", TypeError)
    check = number(least=0)
    return tuple(float(check(x)) for x in cast("Sequence[Any]", value))


@built_in
@dataclass(frozen=True, slots=True, repr=False)
class PerLayer(Wrapper):
    """A law for stacked layers, entry l along `axis` times `scales[l]`.

    Mean and standard deviation are those of a mixture over the layers. The shape has
    as many layers as there are scales; float dtypes. Drawn in float32 at least,
    multiplied, and rounded once.

    Args:
        initializer: A law, or an identifier of one.
        scales: One finite number >= 0 per layer.
        axis: The axis that counts the layers.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up, such as `Fan.stacked(0)`.

    Raises:
        ValueError: A scale out of range; at the call, another number of layers.
        TypeError: No law, no sequence of numbers.
    """

    scales: Any = checked((1.0,), _scales)
    axis: int = checked(0, integer)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float", "complex")
        axis = self._axis(shape)
        by = np.asarray(self.scales).reshape(
            [-1 if i == axis else 1 for i in range(len(shape))]
        )
        return _multiplied(self._inner(), by, shape, dtype)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        self._axis(shape)
        law = self._inner()._promise(shape, dtype)
        layers = [_scaled_law(law, by) for by in self.scales]
        return mixture_law(layers, [1.0] * len(layers))

    def _std_at(self, shape: Shape, dtype: np.dtype[Any], fans: Fans) -> float:
        square = sum(by * by for by in self.scales) / len(self.scales)
        return math.sqrt(square) * self._inner()._std_at(shape, dtype, fans)

    def _axis(self, shape: Shape) -> int:
        if not -len(shape) <= self.axis < len(shape):
            raise Refused(
                f"axis={self.axis} is out of range for a shape of rank {len(shape)}; "
                "give the axis of the layers."
            )
        axis = self.axis % len(shape)
        if shape[axis] != len(self.scales):
            raise Refused(
                f"has {len(self.scales)} scales, the shape {shape[axis]} layers along "
                f"axis {axis}; give one scale per layer."
            )
        return axis


_Config = Any
_TIMES: dict[type[Initializer], Callable[[_Config, Any], Initializer]] = {
    laws.VarianceScaling: lambda c, by: laws.VarianceScaling(
        c.scale * by * by, c.mode, c.distribution, c.seed,
        in_axis=c.in_axis, out_axis=c.out_axis, batch_axis=c.batch_axis,
        dtype=c.dtype, fan=c.fan,
    ),
    laws.RandomNormal: lambda c, by: dataclasses.replace(
        c, mean=c.mean * by, stddev=c.stddev * by
    ),
    laws.TruncatedNormal: lambda c, by: dataclasses.replace(
        c, mean=c.mean * by, stddev=c.stddev * by
    ),
    laws.RandomUniform: lambda c, by: dataclasses.replace(
        c, minval=c.minval * by, maxval=c.maxval * by
    ),
    laws.Orthogonal: lambda c, by: dataclasses.replace(c, gain=c.gain * by),
    laws.DeltaOrthogonal: lambda c, by: dataclasses.replace(c, gain=c.gain * by),
    laws.Identity: lambda c, by: dataclasses.replace(c, gain=c.gain * by),
    laws.Zeros: lambda c, by: c,
    laws.Ones: lambda c, by: laws.Constant(by, dtype=c.dtype, fan=c.fan),
    Scaled: lambda c, by: dataclasses.replace(c, by=c.by * by),
    PerLayer: lambda c, by: dataclasses.replace(c, scales=[s * by for s in c.scales]),
}  # fmt: skip
_TIMES.update(dict.fromkeys(laws.scaling.NAMED_CASES, _TIMES[laws.VarianceScaling]))


def _is(by: Any, value: float) -> bool:
    return not isinstance(by, jax.Array) and by == value


def _times(law: Initializer, by: Any) -> Initializer | None:
    """Return a law with its parameters multiplied, or None if it has none."""
    if _is(by, 0):
        return None
    times = _TIMES.get(type(law))
    return None if times is None else times(law, by)


def _multiplied(
    inner: Initializer, by: Any, shape: Shape, dtype: np.dtype[Any]
) -> Draw:
    """Return the draw of a law whose entries are multiplied before they are rounded."""
    work = samplers.work_dtype(dtype)
    wide = np.result_type(dtype, np.complex64) if dtype.kind == "c" else work
    draw = inner._make(shape, wide)
    factor = as_number("by", by, work)
    bounds = () if wide == dtype else _bounds(inner, shape, wide)
    kept = tuple(as_number("by", bound * by, work) for bound in bounds)
    options = (("draw", draw._replace(numbers=())), ("bounded", bool(bounds)))
    return draw._replace(
        sampler=multiplied, numbers=(factor, *kept, *draw.numbers), options=options
    )


def _bounds(law: Initializer, shape: Shape, dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """Return the bounds that rounding must keep, if the law promises any."""
    try:
        promise = law._promise(shape, dtype)
    except Refused:  # a user's law need not promise anything
        return ()
    return (promise.low, promise.high) if math.isfinite(promise.low) else ()


def multiplied(
    key: Any,
    shape: Shape,
    dtype: Any,
    by: Any,
    *numbers: Any,
    draw: Draw,
    bounded: bool,
) -> jax.Array:
    """Draw in a wide dtype, multiply, round once inside the bounds."""
    wide = by.dtype if np.dtype(dtype).kind != "c" else dtype
    low, high = numbers[:2] if bounded else (None, None)
    numbers = numbers[2:] if bounded else numbers
    x = draw.sampler(key, shape, wide, *numbers, **dict(draw.options))
    return samplers.rounded(x * by.astype(x.dtype), dtype, low, high)


def _scaled_law(law: Law, by: float) -> Law:
    if by == 0:
        return Law(0.0, 0.0, 0.0, 0.0, law.fans)
    cdf = law.cdf
    return Law(
        law.mean * by,
        law.std * by,
        law.low * by,
        law.high * by,
        law.fans,
        None if cdf is None else lambda x: cdf(np.asarray(x, np.float64) / by),
    )


def scaled(initializer: Any, by: Any) -> Scaled:
    """Return `by` times a law; see `Scaled`.

    Args:
        initializer: A law, or an identifier of one.
        by: Finite, >= 0.
    """
    return Scaled(initializer, by)


def per_layer(initializer: Any, scales: Any, axis: int = 0) -> PerLayer:
    """Return a law for stacked layers, each with a scale; see `PerLayer`.

    Args:
        initializer: A law, or an identifier of one.
        scales: One finite number >= 0 per layer.
        axis: The axis that counts the layers.
    """
    return PerLayer(initializer, scales, axis)
