"""The catalogue of laws, one family a file; laws of laws too."""

from .constant import Constant as Constant
from .constant import Ones as Ones
from .constant import Zeros as Zeros
from .icnr import ICNR as ICNR
from .mup import MuP as MuP
from .orthogonal import DeltaOrthogonal as DeltaOrthogonal
from .orthogonal import Orthogonal as Orthogonal
from .per_layer import PerLayer as PerLayer
from .per_part import PerPart as PerPart
from .random import RandomNormal as RandomNormal
from .random import RandomUniform as RandomUniform
from .scaled import Scaled as Scaled
from .scaling import GlorotNormal as GlorotNormal
from .scaling import GlorotUniform as GlorotUniform
from .scaling import HeNormal as HeNormal
from .scaling import HeUniform as HeUniform
from .scaling import LecunNormal as LecunNormal
from .scaling import LecunUniform as LecunUniform
from .scaling import VarianceScaling as VarianceScaling
from .structured import STFT as STFT
from .structured import Identity as Identity
from .truncated import TruncatedNormal as TruncatedNormal
from .with_row import WithRow as WithRow
