"""The rarer laws, one family a file: loaded when the first of them is asked for."""

from .bias import prior_bias as prior_bias
from .bilinear import Bilinear as Bilinear
from .convolution_aware import ConvolutionAware as ConvolutionAware
from .dirac import Dirac as Dirac
from .discrete import Rademacher as Rademacher
from .siren import Siren as Siren
from .sparse import Sparse as Sparse
from .transformer import small_init as small_init
from .transformer import sub_ln as sub_ln
from .transformer import wang_init as wang_init
