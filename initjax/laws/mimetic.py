"""Attention weights in pairs whose products are near the identity: Mimetic."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from .._core import samplers
from .._core.arguments import as_number, needs
from .._core.bits import split_in_two
from .._core.compile import Draw
from .._core.fields import Real, checked, choice, needed, number, stream
from .._core.initializer import Initializer
from .._core.promise import Law
from .._core.streams import Seed
from .._errors import Refused
from .._fans.fan import Fan
from .._fans.fans import Axes
from .._fans.roles import roles_of
from .._registry import named
from .discrete import signs

Shape = tuple[int, ...]
Part = Literal["query", "key", "value", "output"]
_OTHER = {"query": "key", "key": "query", "value": "output", "output": "value"}


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Mimetic(Initializer):
    """One of two attention weights whose product is near plus or minus the identity.

    With Z normal of variance 1 / d, d the model's dimension, the product of query and
    key, W_Q W_K^T, is that of the best approximation of alpha Z + beta I which a head
    holds, one Z a head; the product of value and output, W_V W_O, of alpha Z - beta I,
    over all heads. Each weight has the singular vectors of its side, times the square
    roots of the singular values.

    Both weights of a pair need one key, or clones of one name: with the keys of two
    weights they are unrelated. In rules, name the stream of one for the other:
    `("q", Mimetic("query")), ("k", Spec(Mimetic("key"), stream="q"))`.

    Query, key and value are (d, k) or (d, heads, k), output is (k, d) or (heads, k, d);
    or as `fan` declares, such as `Fan.layout("oi")`, and `Fan.fused(heads)` for query
    and key of shape (d, heads * k). Both weights of a pair have as many heads, and at
    most d columns in a product. Float dtypes. Mean 0, standard deviation sqrt(s / d),
    with s the mean singular value that is kept, in the limit of large d: at d = 8 it is
    within 1 %.

    Args:
        part: "query", "key", "value" or "output".
        alpha: Scale of the noise, finite, >= 0.
        beta: Scale of the identity, finite.
        seed: Stream tag, the same for both: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up.

    Raises:
        ValueError: An argument out of range; at the call, another rank, a window, or
            more columns than d.
        TypeError: A complex, integer or bool dtype.

    References:
        Trockman and Kolter, "Mimetic initialization of self-attention layers", ICML
        2023; Biane, "On the free convolution with a semi-circular distribution", 1997,
        for s.
    """

    part: Part = needed(choice("query", "key", "value", "output"))
    alpha: Real = checked(0.7, number(least=0))
    beta: Real = checked(0.7, number())
    seed: Seed = checked(None, stream)

    def _times(self, by: Any) -> Initializer:
        square = by * by  # by on each of two factors
        return dataclasses.replace(
            self, alpha=self.alpha * square, beta=self.beta * square
        )

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        axes, work = self._axes(shape, dtype), samplers.work_dtype(dtype)
        stddev = self.alpha / math.sqrt(max(_size(shape, axes[1]), 1))
        beta = self.beta if self._is_of_heads() else -self.beta
        numbers = as_number("alpha", stddev, work), as_number("beta", beta, work)
        is_left = self.part in ("query", "value")
        options = (("axes", axes), ("is_left", is_left))
        return Draw(mimetic, numbers, options, elementwise=False)

    def _is_blockwise(self) -> bool:
        return True

    def _is_made_with(self, other: Initializer) -> bool:
        if not isinstance(other, Mimetic) or other.part != _OTHER[self.part]:
            return False
        mine = {"part": self.part, "fan": self.fan, "dtype": self.dtype}
        return dataclasses.replace(other, **mine) == self

    def _is_of_heads(self) -> bool:
        """Tell whether every head has a product of its own."""
        return self.part in ("query", "key")

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        _, model, inner = self._axes(shape, dtype)
        d, k = _size(shape, model), _size(shape, inner)
        if not d * k:
            return Law(0.0, 0.0)
        alpha, beta = float(self.alpha), abs(float(self.beta))
        return Law(0.0, math.sqrt(mean_of_largest(alpha, beta, k / d) / d))

    def _axes(self, shape: Shape, dtype: np.dtype[Any]) -> tuple[Axes, Axes, Axes]:
        """Return the axes of heads with a product each, of d, and of what is summed."""
        needs(dtype, "float")
        fan = self.fan
        if not isinstance(fan, Fan):
            if len(shape) not in (2, 3):
                raise Refused(
                    f"needs a shape of rank 2 or 3, got rank {len(shape)}; "
                    "give (d, k) or (d, heads, k), or declare the axes by fan."
                )
            inputs = len(shape) - 1 if self.part == "output" else 1
            fan = Fan.dense_general(inputs, len(shape) - inputs)
        window, inputs, outputs = roles_of(fan, shape)
        if window:
            raise Refused(f"needs no window, got {shape}; declare heads as outputs.")
        model, inner = (outputs, inputs) if self.part == "output" else (inputs, outputs)
        split = len(inner) - 1 if self._is_of_heads() else 0
        heads, inner = inner[:split], inner[split:]
        d, k = _size(shape, model), _size(shape, inner)
        if k > d:
            raise Refused(
                f"needs at most d={d} columns in a product, got {k}; "
                "declare heads, such as fan=Fan.fused(heads), or give fewer."
            )
        return heads, model, inner


def _size(shape: Shape, axes: Axes) -> int:
    return math.prod(shape[axis] for axis in axes)


def mimetic(
    key: jax.Array,
    shape: Shape,
    dtype: Any,
    stddev: jax.Array,
    beta: jax.Array,
    *,
    axes: tuple[Axes, Axes, Axes],
    is_left: bool,
) -> jax.Array:
    """Split products by their singular values, one for each head."""
    many, d, k = (_size(shape, part) for part in axes)
    if 0 in shape:
        return jnp.zeros(shape, dtype)

    def one(key: jax.Array) -> jax.Array:
        noise_key, sign_key = split_in_two(key)
        noise = samplers.normal(noise_key, (d, d), beta.dtype, stddev)
        u, s, vt = jnp.linalg.svd(noise + beta * jnp.eye(d, dtype=beta.dtype))
        # fair signs, the same in both weights: a solver's depend on how it is called
        largest = jnp.take_along_axis(u, jnp.argmax(jnp.abs(u), 0)[None], 0)[:, :k]
        fair = signs(sign_key, (1, k), beta.dtype) * jnp.sign(largest)
        scale = jnp.sqrt(s[None, :k]) * fair
        return (u if is_left else vt.T)[:, :k] * scale

    x = jax.vmap(one)(jax.random.split(key, many))
    order = tuple(axis for part in axes for axis in part)
    x = x.reshape(*(shape[axis] for axis in order))
    x = x.transpose(*(order.index(axis) for axis in range(len(shape))))
    return samplers.settle(x, dtype)


@functools.lru_cache
def mean_of_largest(alpha: float, beta: float, share: float) -> float:
    """Return the mean of the largest singular values of alpha Z + beta I, d large.

    With both signs they are +-beta convolved freely with a semicircle of variance
    alpha^2. Biane: at psi(u) the density is v(u) / (pi alpha^2), where v^2 solves
    mean of 1 / ((u -+ beta)^2 + v^2) = 1 / alpha^2, here a quadratic.
    """
    size = alpha + beta
    if not alpha or not size:
        return beta
    variance, b = (alpha / size) ** 2, beta / size
    reach = alpha / size  # v = 0 farther from beta
    u = np.linspace(max(b - reach, 0.0), b + reach, 20_001)
    near, far = (u - b) ** 2, (u + b) ** 2
    half = (near + far - variance) / 2
    rest = near * far - variance * (near + far) / 2
    v2 = np.maximum(np.sqrt(np.maximum(half**2 - rest, 0)) - half, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        pull = (u - b) / (near + v2) + (u + b) / (far + v2)
    s = u + variance / 2 * np.nan_to_num(pull)
    density = np.sqrt(v2)
    middle = (s[1:] + s[:-1]) / 2
    mass = np.cumsum((density[1:] + density[:-1]) * np.diff(s))
    kept = np.maximum(np.concatenate([[0.0], mass / mass[-1]]) - (1 - share), 0)
    return size * float(middle @ np.diff(kept)) / share
