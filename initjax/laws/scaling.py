"""Laws that scale with the fans: VarianceScaling and its six named cases."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import samplers
from .._core.arguments import as_number, needs
from .._core.compile import Draw
from .._core.fields import Real, axes, batch_axes, checked, choice, number, stream
from .._core.initializer import Initializer
from .._core.promise import (
    COMPLEX_TRUNCATED_AT_2_STDDEV,
    TRUNCATED_AT_2_STDDEV,
    Law,
    complex_disk_law,
    complex_normal_law,
    complex_truncated_normal_law,
    normal_law,
    truncated_normal_law,
    uniform_law,
)
from .._core.streams import Seed
from .._errors import Refused
from .._fans.declaration import vector_fans
from .._fans.fans import Fans, compute_fans
from .._registry import named

Shape = tuple[int, ...]
_NORMAL = (
    'is "truncated_normal" in Keras and "untruncated_normal" in jax.nn.initializers; '
    "name the one you mean."
)


def _fixed(value: Any) -> Any:
    """Return a field that a named case of the family does not let the user set."""
    return dataclasses.field(default=value, init=False)


@named(keras=2)
@dataclass(frozen=True, slots=True, repr=False)
class VarianceScaling(Initializer):
    """Law by the fans: mean 0, standard deviation sqrt(scale / n), entries independent.

    n is, by `mode`: fan_in, fan_out, their arithmetic mean (fan_avg) or their geometric
    mean (fan_geo_avg), and never below 1. The distribution, with s = sqrt(scale / n):

    - truncated_normal: a normal cut at two of its standard deviations, widened so that
      s is the standard deviation of what comes out; on (-2.2737 s, 2.2737 s);
    - untruncated_normal: N(0, s^2);
    - uniform: [-sqrt(3) s, sqrt(3) s).

    Complex dtypes have sqrt(E|w|^2) = s, with the modulus cut at two standard
    deviations (2.0791 s), a circular normal, and a uniform disk of radius sqrt(2) s.

    Any shape that has the axes; float and complex dtypes. Without axes fans follow
    Keras: rank 0 is (1, 1), rank 1 (n, n), rank 2 (in, out), above that the leading
    axes are a receptive field that multiplies both. With axes they follow JAX: axes
    listed nowhere are receptive field.

    Args:
        scale: Finite, > 0. A traced one is divided by n in float32, so the last bits
            may differ from those of the number itself.
        mode: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg".
        distribution: "truncated_normal", "untruncated_normal" or "uniform". The bare
            "normal" means another law in Keras than in JAX, and is refused.
        seed: Stream tag: None, an int, a str, or a path of them.
        in_axis: Axis or axes of the inputs; give both this and `out_axis`, or neither.
        out_axis: Axis or axes of the outputs.
        batch_axis: Axes that count for neither fan, or "rest": all axes listed nowhere
            else (Keras 3.16's reading of its `input_axes` and `output_axes`).
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: An argument out of range; one of the axes without the other; at the
            call, axes that overlap or that the shape does not have.
        TypeError: An integer or bool dtype.

    References:
        Keras, `keras.initializers.VarianceScaling`;
        `jax.nn.initializers.variance_scaling`, whose complex truncated normal comes out
        0.93 % too wide: it divides by 0.95311 where the standard deviation of a cut
        complex normal, sqrt((1 - 5 e^-4) / (1 - e^-4)) = 0.96196, belongs.
    """

    scale: Real = checked(1.0, number(above=0))
    mode: str = checked("fan_in", choice("fan_in", "fan_out", "fan_avg", "fan_geo_avg"))
    distribution: str = checked(
        "truncated_normal",
        choice(
            "truncated_normal",
            "untruncated_normal",
            "uniform",
            notes={"normal": _NORMAL},
        ),
    )
    seed: Seed = checked(None, stream)
    _: KW_ONLY
    in_axis: Any = checked(None, axes)
    out_axis: Any = checked(None, axes)
    batch_axis: Any = checked((), batch_axes)

    @staticmethod
    def for_activation(
        nonlinearity: Any,
        param: Any = None,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        *,
        of: Any = "second_moment",
        **options: Any,
    ) -> VarianceScaling:
        """Return the law under which an activation keeps the variance.

        Its scale is `gain(nonlinearity, param, of=of) ** 2`: by default the exact one,
        also for "tanh", "sigmoid" and "selu", where torch's rules of thumb are
        `of=None`.

        Args:
            nonlinearity: A name, such as "gelu", or an elementwise function.
            param: The slope of "leaky_relu", alpha of "elu" and "celu".
            mode: As of the class; "fan_out" goes with of="derivative".
            distribution: As of the class.
            of: What keeps its size, as of `gain`.
            **options: The other arguments of the class: `seed`, `fan`, ...
        """
        from .gains import gain

        scale = gain(nonlinearity, param, of=of) ** 2
        return VarianceScaling(scale, mode, distribution, **options)

    def _validate(self) -> None:
        given = {
            name: getattr(self, name) is not None for name in ("in_axis", "out_axis")
        }
        if len(set(given.values())) == 2:
            missing = next(name for name, is_given in given.items() if not is_given)
            raise Refused(
                f"needs {missing} too; give both in_axis and out_axis, or neither."
            )
        if self.fan is not None and self.in_axis is not None:
            raise Refused("takes fan or in_axis and out_axis, not both; drop one.")
        if self.batch_axis and self.in_axis is None:
            raise Refused("batch_axis needs in_axis and out_axis; give all three.")

    def _times(self, by: Any) -> Initializer:
        return VarianceScaling(
            self.scale * by * by, self.mode, self.distribution, self.seed,
            in_axis=self.in_axis, out_axis=self.out_axis, batch_axis=self.batch_axis,
            dtype=self.dtype, fan=self.fan,
        )  # fmt: skip

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        needs(dtype, "float", "complex")
        variance = self._variance(self._fans(shape))
        work = samplers.work_dtype(dtype)
        # in the order and precision of jax.nn.initializers, for the same bits
        xp = jnp if isinstance(variance, jax.Array) else np
        variance = as_number("scale", variance, work)
        std = xp.sqrt(variance)
        if jnp.issubdtype(dtype, jnp.complexfloating):
            if self.distribution == "truncated_normal":
                std = std / work.type(COMPLEX_TRUNCATED_AT_2_STDDEV)
                return Draw(samplers.complex_truncated_normal, (std,))
            if self.distribution == "uniform":
                return Draw(samplers.complex_disk, (std,))
            return Draw(samplers.complex_normal, (std,))
        if self.distribution == "truncated_normal":
            sigma = std / work.type(TRUNCATED_AT_2_STDDEV)
            bounds = (("lower", -2.0), ("upper", 2.0))
            return Draw(samplers.truncated_normal, (sigma,), bounds)
        if self.distribution == "uniform":
            limit = xp.sqrt(work.type(3) * variance)
            return Draw(samplers.symmetric_uniform, (limit,))
        return Draw(samplers.normal, (std,))

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        needs(dtype, "float", "complex")
        fans = self._fans(shape)
        std = math.sqrt(self._variance(fans))
        is_complex = jnp.issubdtype(dtype, jnp.complexfloating)
        if self.distribution == "truncated_normal":
            law = (
                complex_truncated_normal_law(std)
                if is_complex
                else truncated_normal_law(0.0, std / TRUNCATED_AT_2_STDDEV, -2.0, 2.0)
            )
        elif self.distribution == "uniform":
            limit = math.sqrt(3) * std
            law = complex_disk_law(std) if is_complex else uniform_law(-limit, limit)
        else:
            law = complex_normal_law(std) if is_complex else normal_law(0.0, std)
        return dataclasses.replace(law, fans=fans)

    def _needs_fan(self, shape: Shape) -> bool:
        if self.fan is not None:
            return self.fan.guesses(shape)
        return len(shape) > 2 and self.in_axis is None

    def _declared_fans(self, shape: Shape) -> Fans:
        if self.fan is None and self.in_axis is not None:
            return self._fans(shape)
        return vector_fans(self.fan, shape)

    def _std_at(self, shape: Shape, dtype: np.dtype[Any], fans: Fans) -> float:
        return 1 / math.sqrt(self._count(fans))

    def _fans(self, shape: Shape) -> Fans:
        if self.fan is not None:
            return self.fan._fans(shape)
        return compute_fans(shape, self.in_axis, self.out_axis, self.batch_axis)

    def _variance(self, fans: Fans) -> Any:
        return self.scale / self._count(fans)

    def _count(self, fans: Fans) -> float:
        """Return what the mode divides by."""
        n = {
            "fan_in": fans.fan_in,
            "fan_out": fans.fan_out,
            "fan_avg": (fans.fan_in + fans.fan_out) / 2,
            "fan_geo_avg": (fans.fan_in * fans.fan_out) ** 0.5,
        }[self.mode]
        return max(1.0, n)


@named("xavier_normal", "glorot_normalV2", keras=2)
@dataclass(frozen=True, slots=True, repr=False)
class GlorotNormal(VarianceScaling):
    """Cut normal, mean 0, standard deviation sqrt(2 / (fan_in + fan_out)).

    `VarianceScaling(1.0, "fan_avg", "truncated_normal")`: arguments from `seed`
    on, shapes, dtypes and errors are described there.

    References:
        Glorot and Bengio, "Understanding the difficulty of training deep feedforward
        neural networks", AISTATS 2010, eq. 16. Also known as Xavier.
    """

    scale: float = _fixed(1.0)
    mode: str = _fixed("fan_avg")
    distribution: str = _fixed("truncated_normal")


@named("xavier_uniform", "glorot_uniformV2", keras=2)
@dataclass(frozen=True, slots=True, repr=False)
class GlorotUniform(VarianceScaling):
    """Uniform on [-a, a), a = sqrt(6 / (fan_in + fan_out)): mean 0, std a / sqrt(3).

    `VarianceScaling(1.0, "fan_avg", "uniform")`: arguments from `seed`
    on, shapes, dtypes and errors are described there.

    References:
        Glorot and Bengio, "Understanding the difficulty of training deep feedforward
        neural networks", AISTATS 2010, eq. 16. Also known as Xavier.
    """

    scale: float = _fixed(1.0)
    mode: str = _fixed("fan_avg")
    distribution: str = _fixed("uniform")


@named("kaiming_normal", "he_normalV2", keras=2)
@dataclass(frozen=True, slots=True, repr=False)
class HeNormal(VarianceScaling):
    """Cut normal, mean 0, standard deviation sqrt(2 / fan_in).

    `VarianceScaling(2.0, "fan_in", "truncated_normal")`: arguments from `seed`
    on, shapes, dtypes and errors are described there.

    References:
        He et al., "Delving deep into rectifiers", ICCV 2015, eq. 10. Also known as
        Kaiming.
    """

    scale: float = _fixed(2.0)
    mode: str = _fixed("fan_in")
    distribution: str = _fixed("truncated_normal")


@named("kaiming_uniform", "he_uniformV2", keras=2)
@dataclass(frozen=True, slots=True, repr=False)
class HeUniform(VarianceScaling):
    """Uniform on [-a, a), a = sqrt(6 / fan_in): mean 0, std sqrt(2 / fan_in).

    `VarianceScaling(2.0, "fan_in", "uniform")`: arguments from `seed`
    on, shapes, dtypes and errors are described there.

    References:
        He et al., "Delving deep into rectifiers", ICCV 2015, eq. 10. Also known as
        Kaiming.
    """

    scale: float = _fixed(2.0)
    mode: str = _fixed("fan_in")
    distribution: str = _fixed("uniform")


@named("lecun_normalV2", keras=2)
@dataclass(frozen=True, slots=True, repr=False)
class LecunNormal(VarianceScaling):
    """Cut normal, mean 0, standard deviation sqrt(1 / fan_in).

    `VarianceScaling(1.0, "fan_in", "truncated_normal")`: arguments from `seed`
    on, shapes, dtypes and errors are described there.

    References:
        LeCun et al., "Efficient BackProp", 1998, eq. 16; Klambauer et al.,
        "Self-normalizing neural networks", NeurIPS 2017.
    """

    scale: float = _fixed(1.0)
    mode: str = _fixed("fan_in")
    distribution: str = _fixed("truncated_normal")


@named("lecun_uniformV2", keras=2)
@dataclass(frozen=True, slots=True, repr=False)
class LecunUniform(VarianceScaling):
    """Uniform on [-a, a), a = sqrt(3 / fan_in): mean 0, std sqrt(1 / fan_in).

    `VarianceScaling(1.0, "fan_in", "uniform")`: arguments from `seed`
    on, shapes, dtypes and errors are described there.

    References:
        LeCun et al., "Efficient BackProp", 1998, eq. 16; Klambauer et al.,
        "Self-normalizing neural networks", NeurIPS 2017.
    """

    scale: float = _fixed(1.0)
    mode: str = _fixed("fan_in")
    distribution: str = _fixed("uniform")
