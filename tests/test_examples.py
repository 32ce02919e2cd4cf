"""The examples run as a user runs them, and say what they promise.

Those of the adapters, `with_*.py`, are run by `.ci/extras`, each with its extra alone.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = sorted({*FOLDER.glob("*.py")} - {*FOLDER.glob("with_*.py")})
LAST_LINES = {
    "flax_models": r"all [1-9]\d* weights hold their law",
    "fast_setup": r"all [1-9]\d* arrays equal jax.jit's, on 1 device, on 8, "
    "and in 2 processes",
    "rules_llm": r"405,853,388,800 parameters planned; all 39 weights of the small one "
    "hold their law on 1 and 8 devices",
    "mup_sweep": r"muP: scales within 1\.[0-2]\d*x over widths 64 to 1024; "
    r"standard: \d+\.\dx",
    "catalogue": r"\d+ laws in \d+ pictures, \d+ held to their cdf: catalogue.png",
    "ensemble": r"32 members on 8 devices, each as it is alone: "
    r"spread [\d.]+ at the data, [\d.]+ away from it",
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path, tmp_path):
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.rstrip().rpartition("\n")[2]
    assert re.fullmatch(LAST_LINES.get(path.stem, ".*"), last)


def test_every_expected_last_line_has_its_example():
    assert set(LAST_LINES) <= {path.stem for path in EXAMPLES}
