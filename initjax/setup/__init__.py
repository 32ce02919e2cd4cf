"""Whole models at once: `jit_init`, and `init_tree` by rules."""

from ._init_tree import init_tree as init_tree
from ._init_tree import missing as missing
from ._init_tree import reinit as reinit
from ._jit_init import JitInit as JitInit
from ._jit_init import jit_init as jit_init
from .rules import Rule as Rule
from .rules import Rules as Rules
from .rules import Spec as Spec
from .setup_plan import ProgramRow as ProgramRow
from .setup_plan import SetupPlan as SetupPlan

__all__ = [
    "JitInit",
    "ProgramRow",
    "Rule",
    "Rules",
    "SetupPlan",
    "Spec",
    "init_tree",
    "jit_init",
    "missing",
    "reinit",
]
