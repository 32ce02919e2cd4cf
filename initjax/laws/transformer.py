"""Laws of transformers by their width and depth."""

from __future__ import annotations

import math
from typing import Any

from .._errors import shown
from .depth import whole
from .random import RandomNormal
from .scaled import Scaled


def small_init(dim: int) -> RandomNormal:
    """Return N(0, 2 / (5 d)): the Glorot law of a (d, 4 d) matrix, for all weights.

    Args:
        dim: d, the width of the model, >= 1.

    References:
        Nguyen and Salazar, "Transformers without tears", IWSLT 2019; GPT-NeoX,
        `small_init`, for all weights but those of `wang_init`.
    """
    d = whole(f"small_init(dim={shown(dim)})", dim, hint="give the width")
    return RandomNormal(stddev=math.sqrt(2 / (5 * d)))


def wang_init(layers: int, dim: int) -> RandomNormal:
    """Return N(0, 4 / (L^2 d)): for the last weights of residual branches.

    With attention and feed-forward side by side, L branches of two each.

    Args:
        layers: L, how many layers the model has, >= 1.
        dim: d, its width, >= 1.

    References:
        Black et al., "GPT-NeoX-20B: An open-source autoregressive language model",
        2022, after Wang 2021; GPT-NeoX, `wang_init`.
    """
    where = f"wang_init(layers={shown(layers)}, dim={shown(dim)})"
    n, d = whole(where, layers), whole(where, dim, hint="give the width")
    return RandomNormal(stddev=2 / (n * math.sqrt(d)))


def sub_ln(initializer: Any, layers: int) -> Scaled:
    """Return a law times sqrt(log(2 N)): for value, output and feed-forward weights.

    For an encoder or a decoder of N layers alone, with a normalization before each
    weight that ends a branch too. Query and key weights keep the law.

    Args:
        initializer: A law, or an identifier of one; the paper's is GlorotNormal.
        layers: N, how many layers, >= 1.

    References:
        Wang et al., "Magneto: A foundation transformer", ICML 2023; torchscale's
        `subln`.
    """
    n = whole(f"sub_ln(layers={shown(layers)})", layers)
    return Scaled(initializer, math.sqrt(math.log(2 * n)))
