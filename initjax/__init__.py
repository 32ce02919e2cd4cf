"""Parameter initialization for JAX: laws, streams, setup."""

from . import laws as laws
from . import nn as nn
from . import recipes as recipes
from . import setup as setup
from ._clone import clone_initializer as clone_initializer
from ._combinators import PerLayer as PerLayer
from ._combinators import Scaled as Scaled
from ._combinators import per_layer as per_layer
from ._combinators import scaled as scaled
from ._declarations import Fan as Fan
from ._declarations import Fused as Fused
from ._declarations import Given as Given
from ._declarations import Stacked as Stacked
from ._depth import deepnorm as deepnorm
from ._depth import depth_scaled as depth_scaled
from ._depth import fixup as fixup
from ._depth import t_fixup as t_fixup
from ._initializer import Initializer as Initializer
from ._law import Law as Law
from ._mup import MuP as MuP
from ._mup import mup as mup
from ._registry import deserialize as deserialize
from ._registry import get as get
from ._registry import register as register
from ._registry import serialize as serialize
from ._streams import fold_in_path as fold_in_path
from ._streams import fold_in_paths as fold_in_paths
from .laws import STFT as STFT
from .laws import Constant as Constant
from .laws import DeltaOrthogonal as DeltaOrthogonal
from .laws import GlorotNormal as GlorotNormal
from .laws import GlorotUniform as GlorotUniform
from .laws import HeNormal as HeNormal
from .laws import HeUniform as HeUniform
from .laws import Identity as Identity
from .laws import LecunNormal as LecunNormal
from .laws import LecunUniform as LecunUniform
from .laws import Ones as Ones
from .laws import Orthogonal as Orthogonal
from .laws import RandomNormal as RandomNormal
from .laws import RandomUniform as RandomUniform
from .laws import TruncatedNormal as TruncatedNormal
from .laws import VarianceScaling as VarianceScaling
from .laws import Zeros as Zeros
from .setup import Rules as Rules
from .setup import Spec as Spec
from .setup import fingerprint as fingerprint
from .setup import init_ensemble as init_ensemble
from .setup import init_tree as init_tree
from .setup import jit_init as jit_init
from .setup import member as member
from .setup import member_key as member_key
from .setup import missing as missing
from .setup import mup_learning_rates as mup_learning_rates
from .setup import mup_rules as mup_rules
from .setup import plan as plan
from .setup import reinit as reinit

__all__ = [
    "STFT",
    "Constant",
    "DeltaOrthogonal",
    "Fan",
    "Fused",
    "Given",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "Law",
    "LecunNormal",
    "LecunUniform",
    "MuP",
    "Ones",
    "Orthogonal",
    "PerLayer",
    "RandomNormal",
    "RandomUniform",
    "Rules",
    "Scaled",
    "Spec",
    "Stacked",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "clone_initializer",
    "deepnorm",
    "depth_scaled",
    "deserialize",
    "fingerprint",
    "fixup",
    "fold_in_path",
    "fold_in_paths",
    "get",
    "init_ensemble",
    "init_tree",
    "jit_init",
    "laws",
    "member",
    "member_key",
    "missing",
    "mup",
    "mup_learning_rates",
    "mup_rules",
    "nn",
    "per_layer",
    "plan",
    "recipes",
    "register",
    "reinit",
    "scaled",
    "serialize",
    "setup",
    "t_fixup",
]
