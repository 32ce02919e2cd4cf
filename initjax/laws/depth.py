"""Scales for deep residual networks: a law times a function of the depth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from .._core.fields import integer
from .._errors import Refused, shown
from .scaled import Scaled


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
    where = f"depth_scaled(layers={shown(layers)}, k={shown(k)})"
    branches = whole(where, layers) * whole(where, k)
    return Scaled(initializer, 1 / math.sqrt(branches))


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
    where = (
        f"deepnorm(encoder={shown(encoder)}, decoder={shown(decoder)}, "
        f"part={shown(part)})"
    )
    n, m = (whole(where, layers, least=0) for layers in (encoder, decoder))
    if not (n and m):
        alone = "encoder" if n else "decoder"
        if part is not None and not (isinstance(part, str) and part == alone):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
            raise ValueError(f"{where}: there is an {alone} alone; leave part out.")
        return Scaled(initializer, (8 * whole(where, n or m)) ** -0.25)
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
    where = f"fixup(branches={shown(branches)}, weights={shown(weights)})"
    power = -1 / (2 * whole(where, weights, least=2) - 2)
    return Scaled(initializer, whole(where, branches) ** power)


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
    where = f"t_fixup(layers={shown(layers)}, part={shown(part)})"
    n = whole(where, layers)
    by = {"encoder": 0.67 * n**-0.25, "decoder": (9 * n) ** -0.25}
    return Scaled(initializer, _choose(where, part, by))


def whole(
    where: str, value: Any, least: int = 1, hint: str = "count the layers"
) -> int:
    """Return a whole number that is not too small, or refuse it at `where`."""
    try:
        number = integer(value)
        if number < least:
            raise Refused(f"needs whole numbers >= {least}; {hint}.")
        if number > _MOST:
            raise Refused(f"needs whole numbers <= 10**9; {hint}.")
        return number
    except Refused as refused:
        raise refused.at(where) from None


_MOST = 10**9  # far from where powers overflow


def _choose(where: str, part: Any, options: Mapping[str, float]) -> float:
    if not isinstance(part, str) or part not in options:
        raise ValueError(f"{where}: part must be one of {tuple(options)}.")
    return options[part]
