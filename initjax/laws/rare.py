"""The rarer laws, one family a file: loaded when the first of them is asked for."""

from .continuous import Laplace as Laplace
from .continuous import LogUniform as LogUniform
from .discrete import Categorical as Categorical
from .discrete import Rademacher as Rademacher
from .features import random_fourier as random_fourier
from .features import random_fourier_phase as random_fourier_phase
from .heavy_tailed import Cauchy as Cauchy
from .heavy_tailed import StudentT as StudentT
from .recurrent import Chrono as Chrono
from .recurrent import lstm_bias as lstm_bias
from .ssm_random import MambaDt as MambaDt
from .ssm_random import Ring as Ring
