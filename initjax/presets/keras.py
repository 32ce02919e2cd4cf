"""`keras.initializers`: initjax's own classes, with Keras's reading of "normal".

`get`, `serialize` and `deserialize` read and write its files.
"""

from __future__ import annotations

from typing import Any

from .. import laws
from ..laws import STFT as STFT
from ..laws import Constant as Constant
from ..laws import GlorotNormal as GlorotNormal
from ..laws import GlorotUniform as GlorotUniform
from ..laws import HeNormal as HeNormal
from ..laws import HeUniform as HeUniform
from ..laws import Identity as Identity
from ..laws import LecunNormal as LecunNormal
from ..laws import LecunUniform as LecunUniform
from ..laws import Ones as Ones
from ..laws import Orthogonal as Orthogonal
from ..laws import RandomNormal as RandomNormal
from ..laws import RandomUniform as RandomUniform
from ..laws import TruncatedNormal as TruncatedNormal
from ..laws import Zeros as Zeros
from ..laws.recurrent import lstm_bias as lstm_bias


def VarianceScaling(
    scale: Any = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    seed: Any = None,
    **law: Any,
) -> laws.VarianceScaling:
    """Return the law with variance scale / n; "normal" is cut, as Keras has it."""
    kind = "truncated_normal" if distribution == "normal" else distribution
    return laws.VarianceScaling(scale, mode, kind, seed, **law)
