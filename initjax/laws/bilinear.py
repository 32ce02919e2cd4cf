"""Kernels of transposed convolutions that interpolate."""

from __future__ import annotations

import functools
from dataclasses import KW_ONLY, dataclass

import numpy as np

from .._core.fields import checked, flag
from .._errors import Refused
from .._registry import named
from .table import Array, Shape, Table


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Bilinear(Table):
    """Linear interpolation along every window axis, for a transposed convolution.

    The window is a product over its axes of 1 - |x / f - c|, x = 0, ..., k - 1, with
    f = ceil(k / 2) and c = (2 f - 1 - f mod 2) / (2 f). Mean and standard deviation are
    those of the entries; nothing is random. It upsamples by f, its strides, where
    k = 2 f - f mod 2: 1, 4, 5, 8, 9, ... Every pair of channels has the window, which
    is for one channel per group, a kernel (h, w, 1, channels); with `diagonal` only
    pairs of equal channels have it, for a kernel (h, w, channels, channels).

    Shapes (window..., in, out) of rank 3, 4 or 5, or as `fan` declares; float and
    complex dtypes; the key is ignored.

    Args:
        diagonal: Whether channels are kept apart.
        dtype: What `dtype=None` means in a call.

    Raises:
        ValueError: At the call, another rank.
        TypeError: An integer or bool dtype.

    References:
        Long et al., "Fully convolutional networks for semantic segmentation", CVPR
        2015, section 3.3; MXNet, `mxnet.initializer.Bilinear`, and Paddle's, which take
        f and c of the width for the height too.
    """

    _: KW_ONLY
    diagonal: bool = checked(False, flag)

    def _reads_kernel(self) -> bool:
        return True

    def _values(self, shape: Shape) -> Array:
        if len(shape) not in (3, 4, 5):
            raise Refused(
                f"needs a kernel of rank 3, 4 or 5, got rank {len(shape)}; "
                "give (window..., in, out)."
            )
        window = functools.reduce(np.multiply.outer, map(_taps, shape[:-2]))
        pairs = np.eye(shape[-2], shape[-1]) if self.diagonal else np.ones(shape[-2:])
        return np.multiply.outer(window, pairs)


def _taps(k: int) -> Array:
    """Return the tent over one axis."""
    factor = max(-(-k // 2), 1)
    centre = (2 * factor - 1 - factor % 2) / (2 * factor)
    return 1 - np.abs(np.arange(k) / factor - centre)
