"""Laws of matrices with orthonormal rows or columns: Orthogonal, DeltaOrthogonal."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from .._core import samplers
from .._core.arguments import as_number, needs
from .._core.compile import Draw
from .._core.fields import Real, checked, choice, integer, number, stream
from .._core.initializer import Initializer
from .._core.promise import Law, sphere_entry_law
from .._core.streams import Seed
from .._errors import Refused
from .._fans.fans import Fans
from .._registry import named
from .haar import METHODS

Shape = tuple[int, ...]
Method = Literal["reflections", "qr"]


@named("OrthogonalInitializer", keras=2)
@dataclass(frozen=True, slots=True, repr=False)
class Orthogonal(Initializer):
    """Gain times a matrix with orthonormal rows or columns, Haar-distributed.

    The shape is read as a matrix with `column_axis` as columns and all other axes as
    rows; the shorter side is orthonormal. An entry lies in [-gain, gain], with mean 0
    and standard deviation gain / sqrt(max(rows, columns)). Complex dtypes give unitary
    matrices. Floats narrower than 32 bits are made in float32 and rounded once.

    Rank 2 and more; float and complex dtypes. The matrix is made on one device and
    then placed, so `out_sharding` changes no bit outside `jax.jit`; inside, the last
    bits may differ across meshes.

    Args:
        gain: Factor of the matrix, finite.
        seed: Stream tag: None, an int, a str, or a path of them.
        column_axis: Axis of the columns.
        method: "reflections" multiplies random reflections, in matrix products; "qr"
            takes Q of a normal matrix by LAPACK or the accelerator's solver, which has
            the bits of `jax.nn.initializers` and is slower. The law is the same.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: At the call, rank below 2, or an axis that the shape does not have.
        TypeError: An integer or bool dtype.

    References:
        Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep
        linear neural networks", ICLR 2014; Stewart, "The efficient generation of random
        orthogonal matrices with an application to condition estimators", 1980, for the
        reflections; Mezzadri, "How to generate random matrices from the classical
        compact groups", 2007, for the signs.
    """

    gain: Real = checked(1.0, number())
    seed: Seed = checked(None, stream)
    _: KW_ONLY
    column_axis: int = checked(-1, integer)
    method: Method = checked("reflections", choice(*METHODS))

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, gain=self.gain * by)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        self._matrix(shape, dtype)
        columns = self._columns(shape)
        return Draw(
            orthogonal,
            (as_number("gain", self.gain, samplers.work_dtype(dtype)),),
            (("columns", columns), ("method", self.method)),
            elementwise=False,
        )

    def _is_blockwise(self) -> bool:
        return True

    def _std_at(self, shape: Shape, dtype: np.dtype[Any], fans: Fans) -> float:
        if self.fan is not None and (axes := self.fan.blocks(shape)):
            block = dataclasses.replace(self, fan=self.fan.block(shape))
            one = tuple(n for i, n in enumerate(shape) if i not in axes)
            return block._std_at(one, dtype, fans)
        columns = max(self._matrix(shape, dtype)[1], 1)
        window = self._declared_fans(shape).fan_out / columns
        return 1 / math.sqrt(max(fans.fan_in, fans.fan_out / (window or 1), 1))

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        sides = self._matrix(shape, dtype)
        is_complex = jnp.issubdtype(dtype, jnp.complexfloating)
        return sphere_entry_law(abs(float(self.gain)), max(*sides, 1), is_complex)

    def _matrix(self, shape: Shape, dtype: np.dtype[Any]) -> tuple[int, int]:
        needs(dtype, "float", "complex")
        if len(shape) < 2:
            raise Refused(
                f"needs a shape of rank >= 2, got rank {len(shape)}; "
                "for a vector use RandomNormal(stddev=n ** -0.5)."
            )
        return _sides(shape, self._columns(shape))

    def _columns(self, shape: Shape) -> tuple[int, ...]:
        matrix = None if self.fan is None else self.fan.matrix(shape)
        if matrix is not None:
            return matrix.columns
        return (_column(shape, self.column_axis),)


@named()
@dataclass(frozen=True, slots=True, repr=False)
class DeltaOrthogonal(Initializer):
    """A convolution kernel that is an orthogonal matrix at its centre, 0 elsewhere.

    The matrix is `Orthogonal(gain)` of shape (in, out) at position (k - 1) // 2 of
    every spatial axis: the layer keeps norms. Over the kernel mean 0 and standard
    deviation gain / sqrt(taps * out).

    Shapes of rank 3, 4 or 5 with in <= out, (window..., in, out) or as `fan` declares;
    float and complex dtypes.

    Args:
        gain: Factor of the matrix, finite.
        seed: Stream tag: None, an int, a str, or a path of them.
        column_axis: Axis of the columns, among the last two.
        method: "reflections" or "qr", as for `Orthogonal`.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: At the call, another rank, or in > out.
        TypeError: An integer or bool dtype.

    References:
        Xiao et al., "Dynamical isometry and a mean field theory of CNNs", ICML 2018;
        `jax.nn.initializers.delta_orthogonal`.
    """

    gain: Real = checked(1.0, number())
    seed: Seed = checked(None, stream)
    _: KW_ONLY
    column_axis: int = checked(-1, integer)
    method: Method = checked("reflections", choice(*METHODS))

    def _validate(self) -> None:
        if self.column_axis not in (-2, -1):
            raise Refused("column_axis counts from the end here; give -1 or -2.")

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, gain=self.gain * by)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        self._check(shape, dtype)
        return Draw(
            delta_orthogonal,
            (as_number("gain", self.gain, samplers.work_dtype(dtype)),),
            (("column_axis", self.column_axis), ("method", self.method)),
            elementwise=False,
        )

    def _reads_kernel(self) -> bool:
        return True

    def _is_blockwise(self) -> bool:
        return True

    def _std_at(self, shape: Shape, dtype: np.dtype[Any], fans: Fans) -> float:
        return 1 / math.sqrt(max(fans.fan_out, 1))

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        self._check(shape, dtype)
        gain, taps = abs(float(self.gain)), math.prod(shape[:-2])
        std = gain / math.sqrt(max(taps * shape[-1], 1))
        is_complex = jnp.issubdtype(dtype, jnp.complexfloating)
        return Law(0.0, std, 0.0 if is_complex else -gain, gain)

    def _check(self, shape: Shape, dtype: np.dtype[Any]) -> None:
        needs(dtype, "float", "complex")
        if len(shape) not in (3, 4, 5):
            raise Refused(
                f"needs a convolution kernel of rank 3, 4 or 5, got rank {len(shape)}; "
                "for a matrix use Orthogonal()."
            )
        if shape[-2] > shape[-1]:
            raise Refused(
                f"needs in <= out, got in={shape[-2]} and out={shape[-1]}; "
                "use Orthogonal(), or more output channels."
            )


def _column(shape: Shape, column_axis: int) -> int:
    """Count the axis from the front, or refuse it."""
    if not -len(shape) <= column_axis < len(shape):
        raise Refused(
            f"column_axis={column_axis} is out of range for rank {len(shape)}; "
            f"give an axis in [{-len(shape)}, {len(shape)})."
        )
    return column_axis % len(shape)


def _sides(shape: Shape, columns: tuple[int, ...]) -> tuple[int, int]:
    """Return rows and columns of the shape read as a matrix."""
    rows = math.prod(n for i, n in enumerate(shape) if i not in columns)
    return rows, math.prod(shape[i] for i in columns)


def orthogonal(
    key: jax.Array,
    shape: Shape,
    dtype: Any,
    gain: jax.Array,
    *,
    columns: tuple[int, ...],
    method: str,
) -> jax.Array:
    """A Haar matrix of the shorter side's rank, by a method of `METHODS`."""
    m, n = _sides(shape, columns)
    if m * n == 0:
        return jnp.zeros(shape, dtype)
    wide = m < n
    q = METHODS[method](normal(key, (max(m, n), min(m, n)), dtype))
    matrix = q.T if wide else q
    rows = tuple(i for i in range(len(shape)) if i not in columns)
    order = (*rows, *columns)
    matrix = matrix.reshape(*(shape[i] for i in order))
    matrix = matrix.transpose(*(order.index(i) for i in range(len(shape))))
    return (gain.astype(matrix.dtype) * matrix).astype(dtype)


def delta_orthogonal(
    key: jax.Array,
    shape: Shape,
    dtype: Any,
    gain: jax.Array,
    *,
    column_axis: int,
    method: str,
) -> jax.Array:
    """An orthogonal matrix in the central tap of a kernel of zeros."""
    columns = (column_axis % 2,)
    matrix = orthogonal(key, shape[-2:], dtype, gain, columns=columns, method=method)
    if math.prod(shape[:-2]) == 0:
        return jnp.zeros(shape, dtype)
    centre = tuple((k - 1) // 2 for k in shape[:-2])
    return jnp.zeros(shape, dtype).at[centre].set(matrix)


def normal(key: jax.Array, shape: Shape, dtype: Any) -> jax.Array:
    """Standard normal numbers, in the dtype that matrices are made in."""
    work = samplers.work_dtype(dtype)
    one = jnp.ones((), work)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return samplers.complex_normal(key, shape, dtype, one)
    return samplers.normal(key, shape, work, one)
