"""Biases of recurrent cells: Chrono; a forget gate's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import samplers
from .._core.arguments import as_number, needs
from .._core.bits import random_bits
from .._core.compile import Draw
from .._core.fields import Real, checked, needed, number, stream
from .._core.initializer import Initializer
from .._core.promise import Law, quantile_moments
from .._core.rounding import settle
from .._core.streams import Seed
from .._errors import Refused, shown
from .._fans import Fan
from .._registry import named
from .constant import Constant, Zeros
from .continuous import numpy_of
from .per_part import PerPart

Shape = tuple[int, ...]


def _gates(value: Any) -> str:
    """Accept the letters of the gates in their order."""
    if not isinstance(value, str):
        kind = type(value).__name__
        raise Refused(f"must be a str of the gates' letters, got {kind}.", TypeError)
    if len(set(value)) < len(value) or not {*"if"} <= {*value}:
        raise Refused("must have each gate's letter once, i and f among them.")
    return str.__str__(value)


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Chrono(Initializer):
    """Bias of an LSTM whose memories last from 2 to `t_max` steps, evenly spread.

    Forget gates have b_f = log(u), u uniform on [1, t_max - 1], input gates -b_f, all
    other gates 0: over the bias mean 0, standard deviation sqrt(E b_f^2 / 2) for four
    gates. A forget gate's time constant, 1 / (1 - sigmoid(b_f)), is then uniform on
    [2, t_max]. A cell with two biases, such as PyTorch's, has Zeros for the other.

    Shapes whose last axis has the gates side by side, of equal length; the axes before
    it are further biases. Float dtypes. The bias is made on one device and then placed.

    Args:
        t_max: The longest time that the cell shall remember, in steps, finite, >= 2.
        order: The gates' letters as they lie side by side: "ifgo" in PyTorch and cuDNN,
            "ifco" in Keras; i and f among them.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: A number out of range; letters that are missing or twice there; at
            the call, a last axis that does not split into the gates.
        TypeError: A complex, integer or bool dtype.

    References:
        Tallec and Ollivier, "Can recurrent neural networks warp time?", ICLR 2018,
        its chrono initialization.
    """

    t_max: Real = needed(number(least=2))
    order: str = checked("ifgo", _gates)
    seed: Seed = checked(None, stream)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        self._check(shape, dtype)
        work, xp = samplers.work_dtype(dtype), numpy_of(self.t_max)
        width = as_number("t_max", self.t_max - 2, work)
        longest = as_number("t_max", xp.log(self.t_max - 1), work)
        options = (("order", self.order),)
        return Draw(chrono, (width, longest), options, elementwise=False)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        self._check(shape, dtype)
        width, gates = float(self.t_max) - 2, len(self.order)
        mean, std = quantile_moments(lambda u, _: np.log1p(width * u))
        high = math.log1p(width)
        cdf = partial(_chrono_cdf, width, gates)
        std = math.sqrt(2 / gates) * math.hypot(mean, std)
        return Law(0.0, std, -high, high, cdf=cdf)

    def _check(self, shape: Shape, dtype: np.dtype[Any]) -> None:
        needs(dtype, "float")
        if not shape or shape[-1] % len(self.order):
            raise Refused(
                f"the last axis of {shape} does not split into {len(self.order)} gates "
                f"({self.order}); give a multiple."
            )


def lstm_bias(forget: Any = 1.0, order: str = "ifgo") -> PerPart:
    """Return the bias of an LSTM: `forget` in the forget gate, 0 in the others.

    Args:
        forget: A finite number; 1 keeps memories at the start of training.
        order: The gates' letters as they lie side by side along the last axis.

    References:
        Jozefowicz et al., "An empirical exploration of recurrent network
        architectures", ICML 2015; Keras, `LSTM(unit_forget_bias=True)`; MXNet,
        `LSTMBias`.
    """
    try:
        gates = _gates(order)
        law = Constant(number()(forget))
    except Refused as refused:
        where = f"lstm_bias(forget={shown(forget)}, order={shown(order)})"
        raise refused.at(where) from None
    return PerPart(Zeros(), {"f": law}, fan=Fan.fused(tuple(gates), axis=-1))


def _chrono_cdf(width: float, gates: int, x: Any) -> Any:
    x = np.asarray(x, np.float64)

    def forget(b: Any) -> Any:
        b = np.minimum(b, math.log1p(width))
        return np.clip(np.expm1(b) / width, 0, 1) if width else (b >= 0) * 1.0

    others = (gates - 2) * (x >= 0)
    return (forget(x) + 1 - forget(-x) + others) / gates


def chrono(
    key: jax.Array,
    shape: Shape,
    dtype: Any,
    width: jax.Array,
    longest: jax.Array,
    *,
    order: str,
) -> jax.Array:
    """Draw the forget gates' biases, and put the gates side by side."""
    work = np.dtype(width.dtype)
    part = (*shape[:-1], shape[-1] // len(order))
    u = samplers.fine_unit(random_bits(key, part, work.itemsize * 8), work)
    b = settle(jnp.log1p(u * width), dtype, jnp.zeros_like(longest), longest)
    gates = {"f": b, "i": -b}
    rest = jnp.zeros_like(b)
    return jnp.concatenate([gates.get(gate, rest) for gate in order], axis=-1)
