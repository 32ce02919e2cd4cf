"""`timm.layers.weight_init`, and what its vision transformers begin with."""

from __future__ import annotations

import math
from typing import Any, Literal

from .. import laws
from .._fans import Fan
from .numbers import counted
from .torch import trunc_normal as trunc_normal

Mode = Literal["fan_in", "fan_out", "fan_avg"]
Distribution = Literal["truncated_normal", "normal", "uniform"]


def trunc_normal_tf(
    mean: Any = 0.0, std: Any = 1.0, a: float = -2.0, b: float = 2.0, **law: Any
) -> laws.TruncatedNormal:
    """Return N(mean, std^2) cut at a and b, in standard deviations from the mean."""
    return laws.TruncatedNormal(mean, std, lower=a, upper=b, **law)


def variance_scaling(
    scale: Any = 1.0,
    mode: Mode = "fan_in",
    distribution: Distribution = "normal",
    **law: Any,
) -> laws.VarianceScaling:
    """Return the law with variance scale / n; "normal", the default, is not cut."""
    kind = "untruncated_normal" if distribution == "normal" else distribution
    return laws.VarianceScaling(scale, mode, kind, **law)


def lecun_normal(**law: Any) -> laws.LecunNormal:
    """Return the cut normal with standard deviation 1 / sqrt(fan_in), corrected."""
    return laws.LecunNormal(**law)


def qkv_moco(**law: Any) -> laws.VarianceScaling:
    """Return MoCo v3's fused query, key, value: Xavier of the three apart.

    U(-a, a), a = sqrt(6 / (fan_in + fan_out / 3)), each part on its own stream.
    """
    given: dict[str, Any] = {"fan": Fan.fused(("query", "key", "value")), **law}
    return laws.VarianceScaling(1.0, "fan_avg", "uniform", **given)


def head_bias(classes: int, **law: Any) -> laws.Constant:
    """Return the head's bias of the "nlhb" variants: -log(classes)."""
    return laws.Constant(-math.log(counted(classes=classes)), **law)
