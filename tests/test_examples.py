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
    "rules_llm": r"405,853,388,800 parameters planned; all 39 weights of the small one "
    "hold their law on 1 and 8 devices",
    "mup_sweep": r"muP: scales within 1\.[0-2]\d*x over widths 64 to 1024; "
    r"standard: \d+\.\dx",
    "catalogue": r"\d+ laws in \d+ pictures, \d+ held to their cdf: catalogue.png",
    "with_nnx": r"34 arrays kept, in their shards; LoRA learns: loss [\d.]+ to [\d.]+, "
    r"and anew [\d.]+ to [\d.]+",
    "ensemble": r"32 members on 8 devices, each as it is alone: "
    r"spread [\d.]+ at the data, [\d.]+ away from it",
    "with_haiku": r"all 19 weights hold their law, edits moved none; "
    r"loss [\d.]+ to [\d.]+",
    "with_linen": r"6,738,415,616 parameters planned; 12 arrays of a small model in "
    r"shards on 8 devices, with the bits of one",
    "with_checkpoints": r"20 arrays by Orbax, 6 by safetensors, each in its shards",
    "with_keras": r"all 20 weights hold what Keras used, and their rules; "
    r"loss 1\.39 to 0\.\d\d; saved and read back",
    "with_equinox": r"after \d+ steps: loss 0\.\d+ by rules, "
    r"1\.\d+ by Equinox's default",
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
