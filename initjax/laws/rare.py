"""The rarer laws, one family a file: loaded when the first of them is asked for."""

from .copies import net2wider as net2wider
from .copies import upcycled as upcycled
from .declared import concatenated as concatenated
from .declared import per_group as per_group
from .declared import stacked as stacked
from .discrete import Rademacher as Rademacher
from .entrywise import Cast as Cast
from .entrywise import Clipped as Clipped
from .entrywise import Masked as Masked
from .rearranged import BlockDiagonal as BlockDiagonal
from .rearranged import Transposed as Transposed
from .sum import Sum as Sum
from .sum import noise_on as noise_on
