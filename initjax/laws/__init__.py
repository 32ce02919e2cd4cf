"""The catalogue of laws, one family a file; laws of laws too.

All but those that most models are made of are in `rare`, which is loaded when the first
of them is asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .._core.names import LATE as _LATE
from .constant import Constant as Constant
from .constant import Ones as Ones
from .constant import Zeros as Zeros
from .random import RandomNormal as RandomNormal
from .random import RandomUniform as RandomUniform
from .scaling import GlorotNormal as GlorotNormal
from .scaling import GlorotUniform as GlorotUniform
from .scaling import HeNormal as HeNormal
from .scaling import HeUniform as HeUniform
from .scaling import LecunNormal as LecunNormal
from .scaling import LecunUniform as LecunUniform
from .scaling import VarianceScaling as VarianceScaling

if TYPE_CHECKING:
    from .rare import *


def _rare() -> Any:
    return importlib.import_module(f"{__name__}.rare")


_LATE.append(_rare)


def __getattr__(name: str) -> Any:
    """Load the rarer laws when the first of them is asked for."""
    if name.startswith("_") or not hasattr(rare := _rare(), name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, getattr(rare, name))


def __dir__() -> list[str]:
    """Return the names of all laws and their files, loaded or not."""
    return sorted({*globals(), *(name for name in dir(_rare()) if name[0] != "_")})
