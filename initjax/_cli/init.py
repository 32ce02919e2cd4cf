"""Write a checkpoint of a model that begins by rule, in sharded safetensors files."""

from __future__ import annotations

import argparse
from typing import Any

import jax

from .. import _models as ij
from .._core.tables import human_bytes
from . import parser as kinds
from .output import say, terminal
from .parser import Parser, Wrong
from .plan import add_model, plan_of

EXAMPLES = """\
initjax init config.json --recipe llama --seed 0 --dtype bfloat16 --out checkpoint
initjax init MODEL.json --recipe gpt2 --seed 0 --out checkpoint --rank 0 --count 4"""


def arguments(parser: Parser) -> None:
    """Add what the command takes."""
    add_model(parser)
    parser.add_argument(
        "--seed", type=kinds.seed, required=True, metavar="N", help="of the key"
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR",
        help="the directory; files of the same plan and seed are kept",
    )  # fmt: skip
    parser.add_argument(
        "--file-size", type=kinds.size, default=5 * 10**9, metavar="SIZE",
        help="of a file at most, like 5GB (the default)",
    )  # fmt: skip
    parser.add_argument(
        "--rank", type=kinds.whole, default=0, metavar="R",
        help="which of the processes this is, from 0 on",
    )  # fmt: skip
    parser.add_argument(
        "--count", type=kinds.whole, default=1, metavar="N",
        help="how many processes share the files (default: 1)",
    )  # fmt: skip
    parser.add_argument("--no-progress", action="store_true", help="show no bar")


def run(given: argparse.Namespace) -> int:
    """Write the files of this rank."""
    if given.rank >= given.count:
        raise Wrong(f"--rank {given.rank} must be below --count {given.count}.")
    done: Any = ij.write_checkpoint(
        plan_of(given),
        jax.random.key(given.seed),
        given.out,
        file_bytes=given.file_size,
        rank=given.rank,
        count=given.count,
        progress=not given.no_progress and terminal() is not None,
    )
    files, kept = len(done.files), len(done.kept)
    parts = [
        f"{files} file{'s' * (files != 1)}, {human_bytes(done.bytes)}",
        *([f"{kept} kept as they were"] if kept else []),
        "complete" if done.complete else "the files of other ranks are yet to come",
    ]
    say(f"{given.out}: {'; '.join(parts)}")
    return 0
