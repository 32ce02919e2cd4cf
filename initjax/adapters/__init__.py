"""initjax in each framework, a file each, loaded when asked for.

`ij.adapters.linen`, `nnx`, `equinox`, `haiku` and `keras` initialize models the way the
framework does things; `orbax` and `safetensors` read and write their weights. Each
needs its framework: `pip install 'initjax[equinox]'`, say.
"""

import importlib as _importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import equinox as equinox
    from . import haiku as haiku
    from . import keras as keras
    from . import linen as linen
    from . import nnx as nnx
    from . import orbax as orbax
    from . import safetensors as safetensors

__all__ = ["equinox", "haiku", "keras", "linen", "nnx", "orbax", "safetensors"]


def __getattr__(name: str) -> Any:
    """Load an adapter, and with it its framework."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _importlib.import_module(f".{name}", __name__)


def __dir__() -> list[str]:
    """Return the adapters, loaded or not."""
    return __all__
