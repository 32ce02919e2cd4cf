"""Fans: from shapes, from notation, declared."""

from .beside import Beside as Beside
from .fan import Fan as Fan
from .fused import Fused as Fused
from .given import Given as Given
from .stacked import Stacked as Stacked
