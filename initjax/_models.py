"""The door to whole models, loaded on first use: `jit_init`, rules, adapters."""

from . import adapters as adapters
from . import presets as presets
from . import recipes as recipes
from ._data.channels import data_dependent as data_dependent
from ._data.lsuv import lsuv as lsuv
from ._engine.jit_init import JitInit as JitInit
from ._engine.jit_init import jit_init as jit_init
from ._engine.plan import ProgramRow as ProgramRow
from ._engine.plan import SetupPlan as SetupPlan
from ._rules.ensemble import init_ensemble as init_ensemble
from ._rules.ensemble import member as member
from ._rules.ensemble import member_key as member_key
from ._rules.fingerprint import fingerprint as fingerprint
from ._rules.init_tree import init_tree as init_tree
from ._rules.mup import mup_learning_rates as mup_learning_rates
from ._rules.mup import mup_rules as mup_rules
from ._rules.paths import Weight as Weight
from ._rules.plan import PlanRow as PlanRow
from ._rules.plan import TreePlan as TreePlan
from ._rules.plan import plan as plan
from ._rules.reinit import missing as missing
from ._rules.reinit import reinit as reinit
from ._rules.rules import Rule as Rule
from ._rules.rules import Rules as Rules
from ._rules.rules import Spec as Spec
