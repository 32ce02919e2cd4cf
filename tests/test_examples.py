"""The examples run as a user runs them, and say what they promise."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
LAST_LINES = {
    "flax_models": r"all [1-9]\d* weights hold their law",
    "fast_setup": r"all [1-9]\d* arrays equal jax.jit's, on 1 device, on 8, "
    "and in 2 processes",
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path):
    done = subprocess.run(
        [sys.executable, str(path)],
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
