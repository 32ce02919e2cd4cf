"""The maximal update parametrization of one weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import numpy as np

from .._core.compile import Draw
from .._core.fields import needed, number
from .._core.initializer import Initializer
from .._core.own import is_traced
from .._core.promise import Law
from .._errors import Refused
from .._fans.fans import Fans, is_list
from .._registry import named
from .constant import Constant, Ones, Zeros
from .scaled import Scaled
from .wrapper import Wrapper

Shape = tuple[int, ...]

_POWERS = {"hidden": -0.5, "output": -1.0}  # of m_in, by what grows


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
        fans.fan_in / base.fan_in or 1.0,  # without inputs there are no entries
        fans.fan_out / base.fan_out,
        cast("Any", role.get(grown, "fixed")),
    )


def _pair(value: Any) -> tuple[float, float]:
    items = value if is_list(value) else (value,)
    check = number(above=0)
    if len(items) != 2:
        raise Refused("must be a pair (fan_in, fan_out) of the base model.", TypeError)
    return check(items[0]), check(items[1])


@named()
@dataclass(frozen=True, slots=True, repr=False)
class MuP(Wrapper):
    """A law in the maximal update parametrization, relative to a base model.

    Mean and standard deviation are those of the law at the base fans, times, by the
    dimensions that differ from the base (m_in = fan_in / base fan_in):

    - input weights and biases (only fan_out grows): 1;
    - hidden weights (both grow): m_in^(-1/2);
    - output weights (only fan_in grows): 1 / m_in.

    At the base fans it is the law, bit for bit. Vectors count as fan_in 1. Constants
    are left alone. The model divides its attention logits by the head's dimension
    instead of its square root, if that dimension grows; learning rates follow
    `mup_learning_rates`. Where the law has a traced number, the last bits may differ
    from those of the number itself, as with `Scaled`.

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
        if isinstance(self.initializer, (Zeros, Ones, Constant)):
            return False
        if self.fan is not None:
            return self.fan.guesses(shape)
        in_axis = getattr(self.initializer, "in_axis", None)
        return len(shape) > 2 and in_axis is None

    def _scaled(self, shape: Shape, dtype: np.dtype[Any]) -> Scaled:
        inner, base_fans = self._inner(), Fans(*self.base_fan)
        fans = inner._declared_fans(shape)
        growth = growth_of(fans, base_fans)
        power = _POWERS.get(growth.role, 0.0)
        if self.fan is None and len(shape) < 2:  # for its law a vector is n to n
            fans, base_fans = (Fans(f.fan_out, f.fan_out) for f in (fans, base_fans))
        here = inner._std_at(shape, dtype, fans)
        base = inner._std_at(shape, dtype, base_fans)
        still = _is_still(inner, shape, dtype)
        return Scaled(inner, 1.0 if still else growth.fan_in**power * base / here)

    def _std_at(self, shape: Shape, dtype: np.dtype[Any], fans: Fans) -> float:
        base = Fans(*self.base_fan)
        growth = growth_of(fans, base)
        power = _POWERS.get(growth.role, 0.0)
        return growth.fan_in**power * self._inner()._std_at(shape, dtype, base)


def _is_still(law: Initializer, shape: Shape, dtype: np.dtype[Any]) -> bool:
    """Tell whether a law has no spread; one with a traced number counts as having."""
    if not law._make(shape, dtype).random:
        return True
    return not is_traced(law) and law._promise(shape, dtype).std == 0


def mup(initializer: Any, base_fan: Any) -> MuP:
    """Return a law in the maximal update parametrization; see `MuP`.

    Args:
        initializer: A law, or an identifier of one.
        base_fan: The pair (fan_in, fan_out) of the same weight in the base model.
    """
    return MuP(initializer, base_fan)
