"""Show what a law promises for a shape: mean, standard deviation, bounds, fans."""

from __future__ import annotations

import argparse
import inspect
from typing import Any

from .._core.initializer import Initializer
from .._core.names import BUILT_IN
from .._registry import get
from . import parser as kinds
from .output import say
from .parser import Parser, Wrong
from .peers import alike, peers

EXAMPLES = """\
initjax show he_normal --shape 512,512
initjax show variance_scaling --config '{"scale": 2.0}' --shape 3,3,64,128
initjax show torch.linear --shape 784,128 --plot linear.png"""


def arguments(parser: Parser) -> None:
    """Add what the command takes."""
    parser.add_argument("name", metavar="NAME", help="of a law or preset: initjax list")
    parser.add_argument(
        "--shape", required=True, type=kinds.shape, metavar="SIZES", help="like 512,512"
    )
    parser.add_argument(
        "--dtype", type=kinds.dtype, help="like bfloat16 (default: float32)"
    )
    parser.add_argument(
        "--config", type=kinds.config, default={}, metavar="JSON",
        help="the law's arguments, as an object",
    )  # fmt: skip
    parser.add_argument("--plot", metavar="FILE", help="draw it: .png, .svg or .pdf")


def run(given: argparse.Namespace) -> int:
    """Draw the law if asked, and print its promise."""
    law = _law(given.name, given.config)
    promised = law.law(given.shape, given.dtype)
    fans, kind = promised.fans, given.dtype or law.dtype or "float32"
    lines = {
        "names": ", ".join(name for name, one in BUILT_IN.items() if one is type(law)),
        "alike": ", ".join(alike(law, given.shape, given.dtype)),
        "shape": f"{'x'.join(map(str, given.shape)) or '-'} {kind}",
        "fans": f"fan_in {fans[0]:.10g}, fan_out {fans[1]:.10g}" if fans else "",
        "mean": f"{promised.mean:.6g}",
        "std": f"{promised.std:.6g}",
        "bounds": f"{promised.low:.6g} to {promised.high:.6g}",
    }
    width = max(map(len, lines))
    text = [f"{name.ljust(width)}  {line}" for name, line in lines.items() if line]
    if given.plot:
        _plot(law, given)
    say(repr(law), inspect.cleandoc(type(law).__doc__ or "").partition("\n")[0])
    say(*text, *([f"drawn in {given.plot}"] if given.plot else []))
    return 0


def _law(name: str, config: dict[str, Any]) -> Initializer:
    if "." in name:
        known = peers()
        if name not in known:
            raise Wrong(f"no preset {name!r}; see initjax list presets.")
        found = known[name](**config)
    else:
        found = get({"class_name": name, "config": config} if config else name)
    if not isinstance(found, Initializer):
        raise Wrong(f"{name} makes {type(found).__name__}, no law; see initjax list.")
    return found


def _plot(law: Initializer, given: argparse.Namespace) -> None:
    from .._models import plot_law

    plot_law(law, given.shape, given.dtype).savefig(given.plot)
