"""The rarer laws, one family a file: loaded when the first of them is asked for."""

from .block_orthogonal import BlockOrthogonal as BlockOrthogonal
from .discrete import Rademacher as Rademacher
from .filters import DCT as DCT
from .filters import Gabor as Gabor
from .filters import HaarWavelet as HaarWavelet
from .hadamard import ZerO as ZerO
from .hippo import HiPPO as HiPPO
from .identity_maps import IDInit as IDInit
from .low_rank import lora_a as lora_a
from .low_rank import lora_b as lora_b
from .low_rank import pissa as pissa
from .mimetic import Mimetic as Mimetic
from .positions import ALiBi as ALiBi
from .positions import Rotary as Rotary
from .positions import Sinusoidal as Sinusoidal
from .s4d import S4D as S4D
from .s4d import MambaALog as MambaALog
from .spectral import Spectral as Spectral
from .toeplitz import Circulant as Circulant
from .toeplitz import Toeplitz as Toeplitz
