"""Values of biases that say how probable an output is."""

from __future__ import annotations

import math
from typing import Any

import jax

from .._core.fields import number
from .._errors import Refused, shown
from .constant import Constant


def prior_bias(probability: Any) -> Constant:
    """Return the constant bias whose sigmoid is a probability: -log((1 - p) / p).

    A detector begins with the rate of its rare class, and its loss without the many
    easy examples. A head of n classes begins at -log(n) with p = 1 / (n + 1).

    Args:
        probability: p, in (0, 1).

    Raises:
        ValueError: A probability out of range.
        TypeError: No number, or a traced one.

    References:
        Lin et al., "Focal loss for dense object detection", ICCV 2017, section 4.1;
        mmengine, `bias_init_with_prob`; timm's "nlhb" heads.
    """
    try:
        p = number()(probability)
        if isinstance(p, jax.Array):
            raise Refused("needs a number, got a traced one; give the bias.", TypeError)
        if not 0 < p < 1:
            raise Refused("must be in (0, 1); give the rate of the rare class.")
    except Refused as refused:
        raise refused.at(f"prior_bias(probability={shown(probability)})") from None
    return Constant(math.log(p) - math.log1p(-p))
