"""`flax.linen.initializers` and `flax.nnx.initializers`, and what Flax's layers have.

They are `jax.nn.initializers`, so `initjax.nn`, with `zeros_init` and `ones_init`.
"""

from __future__ import annotations

from typing import Any

from .. import laws
from ..nn import *  # noqa: F403  # the same names, signatures and bits


def zeros_init(**law: Any) -> laws.Zeros:
    """Return the law of zeros."""
    return laws.Zeros(**law)


def ones_init(**law: Any) -> laws.Ones:
    """Return the law of ones."""
    return laws.Ones(**law)


def dense(**law: Any) -> laws.LecunNormal:
    """Return what `nn.Dense` and `nn.Conv` begin with; their biases are zero."""
    return laws.LecunNormal(**law)


def embed(**law: Any) -> laws.VarianceScaling:
    """Return what `nn.Embed` begins with: N(0, 1 / features), not cut."""
    return laws.VarianceScaling(
        1.0, "fan_in", "untruncated_normal", in_axis=-1, out_axis=0, **law
    )


def lora_a(**law: Any) -> laws.HeUniform:
    """Return what `nnx.LoRA` begins its first factor with; the second is zero."""
    return laws.HeUniform(**law)


def lora_b(**law: Any) -> laws.Zeros:
    """Return what `nnx.LoRA` begins its second factor with."""
    return laws.Zeros(**law)
