"""Draw docs/how-it-works/house.svg: the wings of initjax, and what imports what.

    python docs/_hooks/house.py

An arrow that follows from others is left out. `tests/test_public.py` tells when the
picture is not that of the imports.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "how-it-works" / "house.svg"
SAYS = {  # from the ground up
    "_errors": "how inner code refuses",
    "_fans": "fans, and their declarations",
    "_core": "bits, streams, the base class",
    "_registry": "names and saved forms",
    "laws": "the catalogue",
    "nn": "jax.nn.initializers, by name",
    "typing": "types for annotations",
    "_engine": "jit_init",
    "_rules": "init_tree, plan, ensembles",
    "_data": "lsuv, data_dependent",
    "_report": "reports, comparisons, plots",
    "recipes": "rules of published models",
    "presets": "other libraries' names",
    "adapters": "a module a framework",
    "_checkpoints": "checkpoints from plans",
    "_models": "what is loaded late",
    "_unknown": "names that it lacks",
    "__init__": "what users call",
    "_cli": "the command line",
    "__main__": "python -m initjax",
}
STEP, HIGH, LEFT, WIDE, ALL = 36, 28, 4, 306, 400


def imported() -> dict[str, set[str]]:
    """Return which other wings each wing imports."""
    if (tests := str(ROOT / "tests")) not in sys.path:
        sys.path.insert(0, tests)
    from imports import MODULES, imports, wing

    found: dict[str, set[str]] = {name: set() for name in SAYS}
    for name, path in MODULES.items():
        ours = {wing(t) for t, is_ours in imports(name, path.read_text()) if is_ours}
        found[wing(name)] |= ours - {wing(name)}
    return found


def arrows(found: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """Return the imports that do not follow from others."""

    def reached(name: str) -> set[str]:
        return found[name].union(*map(reached, found[name]))

    return [
        (name, target)
        for name in found
        for target in sorted(found[name])
        if not any(target in reached(other) for other in found[name])
    ]


def picture() -> str:
    """Return the drawing; its colours are read on white and on black."""
    names = [*reversed(SAYS)]
    top = {name: 4 + STEP * i for i, name in enumerate(names)}
    tall = 8 + STEP * len(names) - (STEP - HIGH)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {ALL} {tall}" '
        f'width="{ALL}" height="{tall}" role="img" font-family="sans-serif">',
        "<title>The wings of initjax: every import points down</title>",
        '<marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#7986cb"/>'
        "</marker>",
    ]
    right = LEFT + WIDE
    for name, target in arrows(imported()):
        rows = names.index(target) - names.index(name)
        start, end = top[name] + HIGH / 2 + 5, top[target] + HIGH / 2 - 5
        reach = right + min(24 + 8 * rows, ALL - right + 22)
        out.append(
            f'<path d="M{right} {start:g}C{reach} {start:g} {reach} {end:g} '
            f'{right + 1} {end:g}" fill="none" stroke="#7986cb" stroke-width="1.5" '
            'marker-end="url(#end)"/>'
        )
    for name in names:
        fill = "#eceff1" if name.startswith("_") and name != "__init__" else "#c5cae9"
        out.append(
            f'<rect x="{LEFT}" y="{top[name]}" width="{WIDE}" height="{HIGH}" rx="5" '
            f'fill="{fill}"/><text y="{top[name] + 19}" fill="#1a237e"><tspan '
            f'x="{LEFT + 9}" font-family="monospace" font-weight="bold" '
            f'font-size="14">{escape(name)}</tspan><tspan x="{LEFT + 116}" '
            f'font-size="13">{escape(SAYS[name])}</tspan></text>'
        )
    return "\n".join([*out, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(picture())
