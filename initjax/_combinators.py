"""Laws made of laws: a law scaled, by layer, by depth, by width.

Every combinator is a law itself: frozen, JSON-able, on one stream with what it wraps.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, NamedTuple, Self, cast

import jax
import numpy as np

from . import _samplers as samplers
from . import laws
from ._arguments import as_number
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


class Growth(NamedTuple):
    """How often the base model's fans go into those of a wider one, and what grows."""

    fan_in: float
    fan_out: float
    role: Literal["input", "hidden", "output", "fixed"]


def growth_of(fans: Fans, base: Fans) -> Growth:
    """Return how a weight has grown, and its row of the muP table."""
    grown = (fans.fan_in != base.fan_in, fans.fan_out != base.fan_out)
    role = {(True, True): "hidden", (True, False): "output", (False, True): "input"}
    return Growth(
        fans.fan_in / base.fan_in,
        fans.fan_out / base.fan_out,
        cast("Any", role.get(grown, "fixed")),
    )


def _pair(value: Any) -> tuple[float, float]:
    items = cast("Any", tuple(value) if isinstance(value, (tuple, list)) else (value,))
    check = number(above=0)
    if len(items) != 2:
        raise Refused("must be a pair (fan_in, fan_out) of the base model.", TypeError)
    return check(items[0]), check(items[1])


@built_in
@dataclass(frozen=True, slots=True, repr=False)
class MuP(Wrapper):
    """A law in the maximal update parametrization, relative to a base model.

    The standard deviation is that of the law at the base fans, times, by the dimensions
    that differ from the base (m_in = fan_in / base fan_in):

    - input weights and biases (only fan_out grows): 1;
    - hidden weights (both grow): m_in^(-1/2);
    - output weights (only fan_in grows): 1 / m_in.

    At the base fans it is the law, bit for bit. Vectors count as fan_in 1. Constants
    are left alone. The model divides its attention logits by the head's dimension
    instead of its square root, if that dimension grows; learning rates follow
    `mup_learning_rates`.

    Args:
        initializer: A law, or an identifier of one.
        base_fan: The pair (fan_in, fan_out) of the same weight in the base model.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up.

    Raises:
        ValueError: A base fan that is not positive.
        TypeError: No law; no pair.

    References:
        Yang et al., "Tensor Programs V: Tuning large neural networks via zero-shot
        hyperparameter transfer", 2022, table 3.
    """

    base_fan: Any = needed(_pair)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        return self._scaled(shape, dtype)._draw(shape, dtype)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        return self._scaled(shape, dtype)._law(shape, dtype)

    def _needs_fan(self, shape: Shape) -> bool:
        if self.fan is not None:
            return self.fan.guesses(shape)
        in_axis = getattr(self.initializer, "in_axis", None)
        return len(shape) > 2 and in_axis is None

    def _scaled(self, shape: Shape, dtype: np.dtype[Any]) -> Scaled:
        inner, base_fans = self._inner(), Fans(*self.base_fan)
        fans = inner._declared_fans(shape)
        growth = growth_of(fans, base_fans)
        power = {"hidden": -0.5, "output": -1.0}.get(growth.role, 0.0)
        if self.fan is None and len(shape) < 2:  # for its law a vector is n to n
            fans, base_fans = (Fans(f.fan_out, f.fan_out) for f in (fans, base_fans))
        here = inner._std_at(shape, dtype, fans)
        base = inner._std_at(shape, dtype, base_fans)
        by = growth.fan_in**power * base / here if here else 1.0
        return Scaled(inner, by)


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


def _times(law: Initializer, by: Any) -> Initializer | None:
    """Return a law with its parameters multiplied, or None if it has none."""
    if not isinstance(by, jax.Array) and by == 0:
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
    options = (("draw", draw._replace(numbers=())),)
    return draw._replace(
        sampler=multiplied, numbers=(factor, *draw.numbers), options=options
    )


def multiplied(
    key: Any, shape: Shape, dtype: Any, by: Any, *numbers: Any, draw: Draw
) -> jax.Array:
    """Draw in a wide dtype, multiply, round once."""
    wide = by.dtype if np.dtype(dtype).kind != "c" else dtype
    x = draw.sampler(key, shape, wide, *numbers, **dict(draw.options))
    return samplers.rounded(x * by.astype(x.dtype), dtype)


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


def mup(initializer: Any, base_fan: Any) -> MuP:
    """Return a law in the maximal update parametrization; see `MuP`.

    Args:
        initializer: A law, or an identifier of one.
        base_fan: The pair (fan_in, fan_out) of the same weight in the base model.
    """
    return MuP(initializer, base_fan)


def depth_scaled(initializer: Any, layers: int, k: int = 2) -> Scaled:
    """Return a law over sqrt(k layers): for the last weight of a residual branch.

    The sum of k branches per layer then has the variance of one.

    Args:
        initializer: A law, or an identifier of one.
        layers: How many layers, >= 1.
        k: Residual branches per layer: 2 in a transformer.

    References:
        Radford et al., "Language models are unsupervised multitask learners", 2019
        (GPT-2); Shoeybi et al., "Megatron-LM", 2019.
    """
    where = f"depth_scaled(layers={layers!r}, k={k!r})"
    return Scaled(initializer, 1 / math.sqrt(_positive(where, layers * k)))


def deepnorm(
    initializer: Any,
    encoder: int = 0,
    decoder: int = 0,
    part: Literal["encoder", "decoder"] | None = None,
) -> Scaled:
    """Return a law times DeepNorm's beta: for value, output and feed-forward weights.

    beta is (8 N)^(-1/4) for an encoder or a decoder of N layers alone; with both, of N
    and M layers, 0.87 (N^4 M)^(-1/16) in the encoder and (12 M)^(-1/4) in the decoder.
    Query and key weights keep the law (the paper's is GlorotNormal). The model scales
    its residual by alpha: (2 N)^(1/4) alone; with both 0.81 (N^4 M)^(1/16) in the
    encoder and (3 M)^(1/4) in the decoder.

    Args:
        initializer: A law, or an identifier of one.
        encoder: Layers of the encoder.
        decoder: Layers of the decoder.
        part: Where the weight is, if the model has both.

    References:
        Wang et al., "DeepNet: Scaling transformers to 1,000 layers", 2022, figure 2.
    """
    where = f"deepnorm(encoder={encoder!r}, decoder={decoder!r}, part={part!r})"
    if not (encoder and decoder):
        layers = _positive(where, encoder or decoder)
        return Scaled(initializer, (8 * layers) ** -0.25)
    n, m = _positive(where, encoder), _positive(where, decoder)
    betas = {"encoder": 0.87 * (n**4 * m) ** (-1 / 16), "decoder": (12 * m) ** -0.25}
    return Scaled(initializer, _choose(where, part, betas))


def fixup(initializer: Any, branches: int, weights: int = 2) -> Scaled:
    """Return a law times L^(-1 / (2 m - 2)): for weights inside a residual branch.

    L is the number of branches, m of weights in one. The last weight of a branch and
    the classifier are Zeros; a multiplier and biases are added to the model.

    Args:
        initializer: A law, or an identifier of one; the paper's is HeNormal.
        branches: Residual branches of the network, >= 1.
        weights: Weight layers in one branch, >= 2.

    References:
        Zhang et al., "Fixup initialization", ICLR 2019.
    """
    where = f"fixup(branches={branches!r}, weights={weights!r})"
    power = -1 / (2 * _positive(where, weights, least=2) - 2)
    return Scaled(initializer, _positive(where, branches) ** power)


def t_fixup(
    initializer: Any, layers: int, part: Literal["encoder", "decoder"] = "encoder"
) -> Scaled:
    """Return a law times T-Fixup's factor: for value, output and MLP weights.

    0.67 N^(-1/4) in an encoder of N layers, (9 N)^(-1/4) in a decoder; the decoder's
    factor also for both embeddings, drawn N(0, 1 / d). All other weights are
    GlorotNormal, and the model has no layer normalization.

    Args:
        initializer: A law, or an identifier of one; the paper's is GlorotNormal.
        layers: Layers of the encoder or the decoder, >= 1.
        part: Which of the two.

    References:
        Huang et al., "Improving transformer optimization through better
        initialization", ICML 2020.
    """
    where = f"t_fixup(layers={layers!r}, part={part!r})"
    n = _positive(where, layers)
    by = {"encoder": 0.67 * n**-0.25, "decoder": (9 * n) ** -0.25}
    return Scaled(initializer, _choose(where, part, by))


def _positive(where: str, value: Any, least: int = 1) -> int:
    try:
        if integer(value) < least:
            raise Refused(f"needs whole numbers >= {least}; count the layers.")
        return integer(value)
    except Refused as refused:
        raise refused.at(where) from None


def _choose(where: str, part: Any, options: Mapping[str, float]) -> float:
    if part not in options:
        raise ValueError(f"{where}: part must be one of {tuple(options)}.")
    return options[part]
