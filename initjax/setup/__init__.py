"""Whole models at once: `jit_init`, and `init_tree` by rules."""

from ._ensemble import init_ensemble as init_ensemble
from ._ensemble import member as member
from ._ensemble import member_key as member_key
from ._fingerprint import fingerprint as fingerprint
from ._init_tree import init_tree as init_tree
from ._init_tree import missing as missing
from ._init_tree import reinit as reinit
from ._jit_init import JitInit as JitInit
from ._jit_init import jit_init as jit_init
from ._mup import mup_learning_rates as mup_learning_rates
from ._mup import mup_rules as mup_rules
from ._plan import Plan as Plan
from ._plan import PlanRow as PlanRow
from ._plan import plan as plan
from .rules import Rule as Rule
from .rules import Rules as Rules
from .rules import Spec as Spec
from .setup_plan import ProgramRow as ProgramRow
from .setup_plan import SetupPlan as SetupPlan

__all__ = [
    "JitInit",
    "Plan",
    "PlanRow",
    "ProgramRow",
    "Rule",
    "Rules",
    "SetupPlan",
    "Spec",
    "fingerprint",
    "init_ensemble",
    "init_tree",
    "jit_init",
    "member",
    "member_key",
    "missing",
    "mup_learning_rates",
    "mup_rules",
    "plan",
    "reinit",
]
