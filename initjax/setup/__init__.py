"""Whole models at once: `jit_init`."""

from ._jit_init import JitInit as JitInit
from ._jit_init import jit_init as jit_init
from .setup_plan import ProgramRow as ProgramRow
from .setup_plan import SetupPlan as SetupPlan

__all__ = ["JitInit", "ProgramRow", "SetupPlan", "jit_init"]
