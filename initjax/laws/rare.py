"""The rarer laws, one family a file: loaded when the first of them is asked for."""

from .block_orthogonal import BlockOrthogonal as BlockOrthogonal
from .discrete import Rademacher as Rademacher
from .low_rank import lora_a as lora_a
from .low_rank import lora_b as lora_b
from .low_rank import pissa as pissa
from .mimetic import Mimetic as Mimetic
from .spectral import Spectral as Spectral
