"""The cost model: which arrays a kernel draws in blocks, and which have a program.

A program is compiled for one shape, a kernel once for all shapes; but a kernel's blocks
are copied to where they belong. On two cores a compilation takes about 50 ms and blocks
2.5 ns more an entry, so from `LARGE` entries on what is drawn of one shape pays for its
own program. Below, a kernel saves a compilation for each shape but the first, so two
shapes must share it, or it must be there already. A program that is there already costs
nothing and copies nothing. One whose random bits cannot fuse is slow and takes three
times the array in scratch, so a kernel is better even for one shape.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from .blocks import WIDTH

P = TypeVar("P", bound=Hashable)

LARGE = 1 << 24  # entries: 50 ms / 2.5 ns, in the next power of two below
# rows of a block: it is drawn whole, so a low one wastes less and a high one runs less
FEW, ROWS, MANY = 64, 1024, 4096


class Choice(NamedTuple):
    """What a kernel could draw in place of a program.

    Attributes:
        kernel: The kernel's key.
        sizes: The entries of each array that the program would make.
        fuses: Whether random bits fuse in the program, as in the kernel.
    """

    kernel: Hashable
    sizes: Sequence[int]
    fuses: bool = True


def in_blocks(
    choices: Mapping[P, Choice],
    programs: Container[P] = (),
    kernels: Container[tuple[Hashable, int]] = (),
) -> dict[P, int]:
    """Return the programs in whose place a kernel draws, each with the rows of a block.

    Args:
        choices: All programs that a kernel could stand in for.
        programs: Those that are compiled already.
        kernels: The keys and rows of the kernels that are.
    """
    sharing: dict[Hashable, list[P]] = {}
    for program, one in choices.items():
        pays = one.fuses and sum(one.sizes) >= LARGE
        if not pays and program not in programs:
            sharing.setdefault(one.kernel, []).append(program)
    chosen: dict[P, int] = {}
    for kernel, alike in sharing.items():
        rows = rows_of(size for program in alike for size in choices[program].sizes)
        apart = all(choices[program].fuses for program in alike)
        if not apart or len(alike) > 1 or (kernel, rows) in kernels:
            chosen.update(dict.fromkeys(alike, rows))
    return chosen


def rows_of(sizes: Iterable[int]) -> int:
    """Return how many rows a block has where arrays of these sizes share blocks."""
    needed = sum(-(-size // WIDTH) for size in sizes)
    if needed <= FEW:
        return FEW
    return ROWS if needed <= 4 * MANY else MANY
