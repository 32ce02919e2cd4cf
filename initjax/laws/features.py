"""Random Fourier features: weights and phases of a Gaussian kernel."""

from __future__ import annotations

import math
from typing import Any

from .._core.fields import number
from .._errors import Refused, shown
from .random import RandomNormal, RandomUniform

_bandwidth = number(above=0)


def random_fourier(bandwidth: Any = 1.0) -> RandomNormal:
    """Return N(0, 1 / bandwidth^2): the frequencies w of a Gaussian kernel.

    With phases b of `random_fourier_phase`, the mean of 2 cos(w x + b) cos(w y + b) is
    exp(-|x - y|^2 / (2 bandwidth^2)); so sqrt(2 / D) cos(x W + b) of D columns are
    features whose products estimate the kernel. Both are kept as they are drawn.

    Args:
        bandwidth: Standard deviation of the kernel, finite, > 0.

    References:
        Rahimi and Recht, "Random features for large-scale kernel machines", NeurIPS
        2007, algorithm 1.
    """
    try:
        return RandomNormal(0.0, 1 / _bandwidth(bandwidth))
    except Refused as refused:
        raise refused.at(f"random_fourier(bandwidth={shown(bandwidth)})") from None


def random_fourier_phase() -> RandomUniform:
    """Return the uniform law on [0, 2 pi): the phases of random Fourier features.

    References:
        Rahimi and Recht, "Random features for large-scale kernel machines", NeurIPS
        2007, algorithm 1.
    """
    return RandomUniform(0.0, 2 * math.pi)
