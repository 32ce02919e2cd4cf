"""Parameter initialization for JAX: laws, streams, setup."""

import importlib as _importlib
from typing import TYPE_CHECKING, Any

from . import laws as laws
from ._core.clone import clone_initializer as clone_initializer
from ._core.initializer import Initializer as Initializer
from ._core.promise import Law as Law
from ._core.streams import fold_in_path as fold_in_path
from ._core.streams import fold_in_paths as fold_in_paths
from ._fans import Beside as Beside
from ._fans import Fan as Fan
from ._fans import Fused as Fused
from ._fans import Given as Given
from ._fans import Stacked as Stacked
from ._registry import deserialize as deserialize
from ._registry import get as get
from ._registry import register as register
from ._registry import serialize as serialize
from .laws import Constant as Constant
from .laws import GlorotNormal as GlorotNormal
from .laws import GlorotUniform as GlorotUniform
from .laws import HeNormal as HeNormal
from .laws import HeUniform as HeUniform
from .laws import LecunNormal as LecunNormal
from .laws import LecunUniform as LecunUniform
from .laws import Ones as Ones
from .laws import RandomNormal as RandomNormal
from .laws import RandomUniform as RandomUniform
from .laws import VarianceScaling as VarianceScaling
from .laws import Zeros as Zeros

if TYPE_CHECKING:
    from . import nn as nn
    from . import typing as typing
    from ._models import *
    from .laws.rare import *

__all__ = [
    "DCT",
    "ICNR",
    "S4D",
    "STFT",
    "ALiBi",
    "Beside",
    "Bilinear",
    "BlockDiagonal",
    "BlockOrthogonal",
    "Cast",
    "Categorical",
    "Cauchy",
    "Chrono",
    "Circulant",
    "Clipped",
    "Comparison",
    "Constant",
    "ConvolutionAware",
    "DeltaOrthogonal",
    "Dirac",
    "Fan",
    "Finding",
    "Fused",
    "Gabor",
    "Given",
    "GlorotNormal",
    "GlorotUniform",
    "HaarWavelet",
    "HeNormal",
    "HeUniform",
    "HiPPO",
    "IDInit",
    "Identity",
    "Initializer",
    "JitInit",
    "Laplace",
    "Law",
    "LecunNormal",
    "LecunUniform",
    "LogUniform",
    "MambaALog",
    "MambaDt",
    "Masked",
    "Mimetic",
    "MuP",
    "Ones",
    "Orthogonal",
    "PerLayer",
    "PerPart",
    "PlanRow",
    "ProgramRow",
    "Propagation",
    "Rademacher",
    "RandomNormal",
    "RandomUniform",
    "Report",
    "ReportRow",
    "Ring",
    "Rotary",
    "Rule",
    "Rules",
    "Scaled",
    "SetupPlan",
    "Sinusoidal",
    "Siren",
    "Sparse",
    "Spec",
    "Spectral",
    "Stacked",
    "StudentT",
    "Sum",
    "Toeplitz",
    "Transposed",
    "TreePlan",
    "TruncatedNormal",
    "VarianceScaling",
    "Weight",
    "WithRow",
    "ZerO",
    "Zeros",
    "adapters",
    "block_diagonal",
    "cast",
    "clipped",
    "clone_initializer",
    "compare",
    "concatenated",
    "data_dependent",
    "deepnorm",
    "depth_scaled",
    "deserialize",
    "fingerprint",
    "fixup",
    "fold_in_path",
    "fold_in_paths",
    "gain",
    "get",
    "icnr",
    "init_ensemble",
    "init_tree",
    "jit_init",
    "laws",
    "lora_a",
    "lora_b",
    "lstm_bias",
    "lsuv",
    "manifest",
    "masked",
    "member",
    "member_key",
    "missing",
    "mup",
    "mup_learning_rates",
    "mup_rules",
    "net2wider",
    "nn",
    "noise_on",
    "per_group",
    "per_layer",
    "per_part",
    "pissa",
    "plan",
    "plot_law",
    "plot_params",
    "plot_propagation",
    "presets",
    "prior_bias",
    "propagate",
    "random_fourier",
    "random_fourier_phase",
    "recipes",
    "register",
    "reinit",
    "report",
    "scaled",
    "serialize",
    "small_init",
    "stacked",
    "sub_ln",
    "t_fixup",
    "transposed",
    "typing",
    "upcycled",
    "wang_init",
    "with_row",
    "write_checkpoint",
]


def __getattr__(name: str) -> Any:
    """Load the rarer laws, and what sets up whole models, when first asked for."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in __all__:
        from ._unknown import no_attribute

        raise no_attribute(name, __all__)
    if name in ("nn", "typing"):
        return _importlib.import_module(f".{name}", __name__)
    from .laws import rare

    door = rare
    if not hasattr(rare, name):
        from . import _models as door  # type: ignore[no-redef]
    return globals().setdefault(name, getattr(door, name))


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return __all__
