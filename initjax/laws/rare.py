"""The rarer laws, one family a file: loaded when the first of them is asked for."""

from .discrete import Rademacher as Rademacher
from .gains import gain as gain
