"""Time `jit_init` next to `jax.jit`, plain calls and PyTorch, from a fresh process.

    pip install 'initjax[benchmarks]'
    python benchmarks/setup.py                       # everything but the line below
    python benchmarks/setup.py --full                # and jax.jit at 96 layers
    python benchmarks/setup.py --quick               # small networks: minutes
    python benchmarks/setup.py --plot depth.png      # and the cold time over depth,
                                                     # in every framework

PyTorch joins where it is installed. Every measurement has a process of its own, one
after another, in an order shuffled every round. Cold is the first call, once everything
is imported, the module object is built and the backend has started; cached is the same
where a process before has filled JAX's persistent compilation cache; warm is the median
of later calls in that process. The peak is that of the resident memory during the cold
call, over what the process held before, in bytes of the parameters. A ratio is a
contender's time over that of jit_init, or of init_tree for models by rule: more than 1
means that ours is faster; PyTorch compiles nothing, so its cold time is held against
ours cached, too. It builds GPT-2 as its published code does, the default initialization
of every module and then the model's own; in gpt2-once only the second.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import importlib.util
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

# no JAX here: on Linux a child's peak memory is never below that of its parent
try:
    from rich import box
    from rich.console import Console
    from rich.table import Table
except ImportError:
    raise SystemExit(
        "benchmarks/setup.py needs rich: pip install 'initjax[benchmarks]'"
    ) from None

from convolutions import haiku_resnet, linen_resnet, mobilenet
from networks import (
    Init,
    Size,
    Tree,
    ensemble,
    equinox,
    gpt2,
    gpt2_tree,
    haiku,
    linen,
    linen_tree,
    nnx,
    spectral,
)
from torch_networks import (
    torch_ensemble,
    torch_gpt2,
    torch_gpt2_once,
    torch_lora,
    torch_mobilenet,
    torch_resnet,
    torch_spectral,
    torch_transformer,
)

Run = Callable[[], Any]

OURS, JIT, EAGER, TORCH, TRACE = "jit_init", "jax.jit", "eager", "torch", "trace"
BY_RULE = "init_tree"
COMPILED = (BY_RULE, OURS, JIT)  # whose programs a persistent cache may hold
WARM_CALLS, WARM_SECONDS = 7, 8.0
HEADER = (
    "network<|layers x d|params M|by<|cold|ratio|cached|ratio|warm|ratio|peak|programs"
)
TIMES = ("cold", "cached", "warm")
PEAK_TARGET, WARM_TARGET = 1.1, 1.0
HAS_TORCH = importlib.util.find_spec("torch") is not None


class Network(NamedTuple):
    """One network in JAX's and in PyTorch's words; builders import what they need."""

    group: str
    package: str
    init: Callable[[Size], Init]
    torch: Callable[[Size], list[Any]]
    size: Size
    tree: Callable[[Size], Tree] | None = None


class Result(NamedTuple):
    """What one process measured; the digest is that of all the parameters' bytes.

    Cached is what another process measured; missed are the programs its cache lacked.
    """

    cold: float
    cached: float = 0.0
    warm: float = 0.0
    peak: float = 0.0
    size: int = 0
    programs: int = 0
    missed: int = 0
    digest: str = ""


Results = dict[str, Result]  # of one network, by contender


LINEN, OTHERS, DEPTHS = "Flax Linen transformers", "Other networks", "For the plot"
RULED = "Models by rule"
SCAN, LORA = functools.partial(linen, scanned=True), functools.partial(nnx, lora=True)
RESNET50, GPT2 = Size(50, 2048), Size(12, 768)
NETWORKS = {
    "linen-12": Network(LINEN, "flax", linen, torch_transformer, Size(12, 128)),
    "linen-48": Network(LINEN, "flax", linen, torch_transformer, Size(48, 128)),
    "linen-96": Network(LINEN, "flax", linen, torch_transformer, Size(96, 128)),
    "linen-wide": Network(LINEN, "flax", linen, torch_transformer, Size(12, 1024)),
    "nnx": Network(OTHERS, "flax", nnx, torch_transformer, Size(24, 128)),
    "equinox": Network(OTHERS, "equinox", equinox, torch_transformer, Size(24, 128)),
    "haiku": Network(OTHERS, "dm-haiku", haiku, torch_transformer, Size(24, 128)),
    "resnet50": Network(OTHERS, "dm-haiku", haiku_resnet, torch_resnet, RESNET50),
    "resnet50-flax": Network(OTHERS, "flax", linen_resnet, torch_resnet, RESNET50),
    "mobilenet": Network(OTHERS, "flax", mobilenet, torch_mobilenet, Size(53, 1280)),
    "lora": Network(OTHERS, "flax", LORA, torch_lora, Size(12, 256)),
    "spectral": Network(OTHERS, "flax", spectral, torch_spectral, Size(6, 256)),
    "scan": Network(OTHERS, "flax", SCAN, torch_transformer, Size(48, 128)),
    "scan-24": Network(OTHERS, "flax", SCAN, torch_transformer, Size(24, 512)),
    "ensemble": Network(OTHERS, "flax", ensemble, torch_ensemble, Size(4, 128)),
    "gpt2": Network(RULED, "flax", gpt2, torch_gpt2, GPT2, gpt2_tree),
    "gpt2-once": Network(RULED, "flax", gpt2, torch_gpt2_once, GPT2, gpt2_tree),
    "small-tree": Network(
        RULED, "flax", linen, torch_transformer, Size(48, 128), linen_tree
    ),
}
FRAMEWORKS = {
    "Flax Linen": ("linen", "flax", linen),
    "Flax NNX": ("nnx", "flax", nnx),
    "Equinox": ("equinox", "equinox", equinox),
    "Haiku": ("haiku", "dm-haiku", haiku),
}
DEPTH = (6, 12, 24, 48)
NETWORKS |= {
    f"{name}-{n}": Network(DEPTHS, package, init, torch_transformer, Size(n, 128))
    for name, package, init in FRAMEWORKS.values()
    for n in DEPTH
    if f"{name}-{n}" not in NETWORKS
}

# what the summary holds the ratios against
TARGETS = (
    ("linen-48", JIT, "cold", 22.0), ("linen-48", EAGER, "cold", 2.0),
    ("linen-wide", JIT, "cold", 4.0), ("linen-wide", EAGER, "cold", 2.5),
    ("linen-wide", TORCH, "cold", 1.0), ("nnx", JIT, "cold", 4.0),
    ("equinox", JIT, "cold", 8.0), ("haiku", JIT, "cold", 8.0),
    ("resnet50", JIT, "cold", 3.0), ("resnet50-flax", JIT, "cold", 6.0),
    ("mobilenet", JIT, "cold", 3.0), ("lora", JIT, "cold", 4.0),
    ("spectral", JIT, "cold", 1.0), ("scan-24", JIT, "cold", 2.0),
    ("gpt2", TORCH, "cold", 2.0), ("gpt2", EAGER, "cold", 3.0),
    ("small-tree", TORCH, "cold", 0.5), ("small-tree", TORCH, "cached", 1.0),
)  # fmt: skip


def size_of(name: str, quick: bool) -> Size:
    """Return a network's size, a small one of --quick."""
    layers, d = NETWORKS[name].size
    return Size(max(1, layers // 12), d // 4) if quick else Size(layers, d)


def clock(run: Run) -> tuple[float, Any]:
    """Return a call's seconds and its result."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def peak_bytes() -> int:
    """Return the most memory this process has held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def warm(run: Run) -> float:
    """Return the median seconds of later calls."""
    times: list[float] = []
    while len(times) < 2 or (len(times) < WARM_CALLS and sum(times) < WARM_SECONDS):
        times.append(clock(run)[0])
    return statistics.median(times)


def measure_torch(network: Network, size: Size) -> Result:
    """Build with PyTorch in this process."""
    import torch

    torch.empty(8).normal_()
    before = peak_bytes()
    cold, modules = clock(lambda: network.torch(size))
    peak = peak_bytes() - before
    tensors = [x for module in modules for x in module.state_dict().values()]
    count, nbytes = sum(x.numel() for x in tensors), sum(x.nbytes for x in tensors)
    del modules, tensors
    seconds = warm(lambda: network.torch(size))
    return Result(cold, cold, seconds, peak / nbytes, count)


def measure_jax(network: Network, size: Size, contender: str) -> Result:
    """Initialize with one of JAX's ways in this process."""
    import jax
    import numpy as np

    import initjax

    init, args = network.init(size)
    if contender == BY_RULE and network.tree is not None:
        rules, tree = network.tree(size)
        init, args = functools.partial(initjax.init_tree, rules, tree), args[:1]
    jax.block_until_ready((args, jax.numpy.arange(8) + 1))
    if contender == TRACE:
        return Result(clock(lambda: jax.eval_shape(init, *args))[0])
    events: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: events.append(event)
    )
    jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
    fun = {OURS: initjax.jit_init, JIT: jax.jit}.get(contender, lambda f: f)(init)
    before = peak_bytes()
    cold, result = clock(lambda: jax.block_until_ready(fun(*args)))
    peak = peak_bytes() - before
    programs = events.count("/jax/core/compile/backend_compile_duration")
    missed = programs - events.count("/jax/compilation_cache/cache_hits")
    arrays = jax.tree.leaves(result)
    count = sum(x.size for x in arrays)
    nbytes = sum(x.size * x.dtype.itemsize for x in arrays)
    digest = hashlib.blake2b()
    for x in arrays:
        is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        digest.update(np.asarray(jax.random.key_data(x) if is_key else x).tobytes())
    del result, arrays
    seconds = warm(lambda: jax.block_until_ready(fun(*args)))
    return Result(
        cold, 0.0, seconds, peak / nbytes, count, programs, missed, digest.hexdigest()
    )


def child(name: str, contender: str, quick: bool) -> None:
    """Measure in this process, and print a line of JSON."""
    network, size = NETWORKS[name], size_of(name, quick)
    if contender == TORCH:
        result = measure_torch(network, size)
    else:
        result = measure_jax(network, size, contender)
    print(json.dumps(result))


def spawn(name: str, contender: str, quick: bool, cache: str | None = None) -> Result:
    """Measure in a process of its own, which may keep its programs in a folder."""
    argv = [sys.executable, __file__, "--child", name, contender]
    environment = os.environ | {
        "JAX_ENABLE_COMPILATION_CACHE": str(cache is not None),
        "JAX_COMPILATION_CACHE_DIR": cache or "",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    done = subprocess.run(
        argv + ["--quick"] * quick, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{name}, {contender}: the process failed\n{done.stderr}")
    return Result(*json.loads(done.stdout.splitlines()[-1]))


def spawn_cached(name: str, contender: str, quick: bool, folder: str) -> Result:
    """Measure without a persistent cache and with one, which is filled before."""
    result = spawn(name, contender, quick)
    if contender not in COMPILED or NETWORKS[name].group == DEPTHS:
        return result
    cache = os.path.join(folder, contender)
    if not os.path.exists(cache):
        spawn(name, contender, quick, cache)
    again = spawn(name, contender, quick, cache)
    if again.digest != result.digest:
        raise SystemExit(f"{name}, {contender}: a cache has changed the parameters")
    return result._replace(cached=again.cold, missed=again.missed)


def measure(
    console: Console, names: Sequence[str], options: argparse.Namespace
) -> dict[str, Results]:
    """Measure every network, one process after another."""
    results: dict[str, Results] = {}
    for name in names:
        contenders = [OURS, JIT, EAGER, *[TORCH] * HAS_TORCH, TRACE]
        if NETWORKS[name].tree is not None:
            contenders.insert(0, BY_RULE)
        if name == "linen-96" and not (options.full or options.quick):
            contenders.remove(JIT)
        found: dict[str, list[Result]] = {contender: [] for contender in contenders}
        with tempfile.TemporaryDirectory() as folder:
            for i in range(options.rounds):
                for contender in random.sample(contenders, len(contenders)):
                    with console.status(f"{name}, {contender}, round {i + 1}"):
                        result = spawn_cached(name, contender, options.quick, folder)
                    found[contender].append(result)
        results[name] = {c: median(many) for c, many in found.items()}
    return results


def median(many: Sequence[Result]) -> Result:
    """Return the medians of a contender's processes."""
    times = (statistics.median(r[i] for r in many) for i in range(4))
    return Result(*times, *many[-1][4:])


def base(results: Results) -> str:
    """Return whose time a network's ratios are to."""
    return BY_RULE if BY_RULE in results else OURS


def ratio(results: Results, contender: str, field: str = "cold") -> float:
    """Return a contender's time over that of init_tree or jit_init."""
    return getattr(results[contender], field) / getattr(results[base(results)], field)


def show(
    console: Console, title: str, header: str, rows: Iterable[Sequence[str]]
) -> None:
    """Print a table; the header's columns are parted by |, those of text end in <."""
    console.print(f"\n{title}", soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False)
    for name in header.split("|"):
        justify = "left" if name.endswith("<") else "right"
        table.add_column(name.rstrip("<"), justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def rows(name: str, results: Results, quick: bool) -> Iterator[Sequence[str]]:
    """Return a network's lines, one for every contender."""
    size = size_of(name, quick)
    head = name, f"{size.layers} x {size.d}", f"{results[OURS].size / 1e6:.2f}"
    for contender, r in results.items():
        times: list[str] = []
        for field in TIMES:
            seconds = getattr(r, field)
            times.append(f"{seconds:.3g}" if seconds else "")
            measured = seconds and getattr(results[base(results)], field)
            if measured and contender not in (base(results), TRACE):
                times.append(f"{ratio(results, contender, field):.2f}x")
            else:
                times.append("")
        peak = f"{r.peak:.2f}" if r.peak else ""
        yield *head, contender, *times, peak, f"{r.programs or ''}"
        head = "", "", ""


def notes(results: dict[str, Results], quick: bool) -> Iterator[str]:
    """Say what the tables do not."""
    for name, r in results.items():
        if JIT in r and r[JIT].digest != r[OURS].digest:
            yield f"{name}: the parameters of jit_init and jax.jit differ"
        if BY_RULE in r and r[BY_RULE].size != r[OURS].size:
            yield f"{name}: init_tree makes {r[BY_RULE].size} entries"
        for contender in COMPILED:
            found = r.get(contender)
            if found and found.cached and found.missed:
                missed = f"{found.missed} programs of {contender}"
                yield f"{name}: {missed} were not in the cache"
    if "linen-12" in results and "linen-96" in results:
        few, many = (size_of(f"linen-{n}", quick).layers for n in (12, 96))
        short, deep = results["linen-12"][OURS], results["linen-96"][OURS]
        bound = results["linen-96"][TRACE].cold + short.cold
        yield (
            f"jit_init, cold, {many} layers: {deep.cold / bound:.2f}x of (tracing them "
            f"+ cold of {few}); programs: {short.programs} of {few} layers, "
            f"{deep.programs} of {many}"
        )


def claims(results: dict[str, Results]) -> Iterator[tuple[str, str]]:
    """Hold what was measured against the targets."""
    for name, peer, field, target in TARGETS:
        if peer in results.get(name, {}):
            what = f"{field}, {name}: {peer} / {base(results[name])}"
            yield what, verdict(ratio(results[name], peer, field), target)
    for name, r in results.items():
        if JIT in r:
            what = f"warm, {name}: {JIT} / {base(r)}"
            yield what, verdict(ratio(r, JIT, "warm"), WARM_TARGET)
    if "linen-wide" in results:
        what = "peak memory, linen-wide: jit_init / parameters"
        yield what, verdict(results["linen-wide"][OURS].peak, PEAK_TARGET, most=True)


def verdict(value: float, target: float, most: bool = False) -> str:
    """Return whether a target is reached, and by how much."""
    reached = value <= target if most else value >= target
    shown = f"{value:.2f}x of {'at most ' * most}{target:g}x"
    return f"{'' if reached else 'not '}reached: {shown}"


def plot(path: str, results: dict[str, Results], quick: bool) -> None:
    """Draw the cold time over depth, a picture for every framework."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(
        2, 2, figsize=(9, 6.4), sharex=True, sharey=True, layout="constrained"
    )
    for axes, (title, (name, *_)) in zip(grid.flat, FRAMEWORKS.items(), strict=True):
        measured = {
            size_of(n, quick).layers: results[n]
            for n in (f"{name}-{depth}" for depth in (*DEPTH, 96))
            if n in results
        }
        for contender in (JIT, EAGER, OURS, TORCH, TRACE):
            found = {n: r for n, r in measured.items() if contender in r}
            points = [r[contender].cold for r in found.values()]
            style = "o--" if contender == TRACE else "o-"
            label = "trace only" if contender == TRACE else contender
            axes.plot([*found], points, style, label=label)
        axes.set(title=title, xscale="log", yscale="log")
        axes.set_xticks([*measured], [str(n) for n in measured])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
    figure.supxlabel(f"layers of a transformer, width {size_of('linen-12', quick).d}")
    figure.supylabel("first initialization (seconds)")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.savefig(path, dpi=160)


def main() -> None:
    """Measure, and print the tables and the summary."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small networks")
    parser.add_argument("--full", action="store_true", help="jax.jit at 96 layers too")
    parser.add_argument("--only", nargs="+", choices=NETWORKS, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=1, help="processes of a line")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the time over depth")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(*options.child, options.quick)

    names = options.only or [n for n, x in NETWORKS.items() if x.group != DEPTHS]
    if options.plot:
        depths = [n for n, x in NETWORKS.items() if x.group == DEPTHS]
        names = list(dict.fromkeys([*names, "linen-12", "linen-48", *depths]))
    packages = list(dict.fromkeys(NETWORKS[name].package for name in names))
    for package in [*packages, *["matplotlib"] * bool(options.plot)]:
        if importlib.util.find_spec(package.removeprefix("dm-")) is None:
            raise SystemExit(f"this run (see --only) needs {package}: pip install it")
    console = Console(width=120, highlight=False)
    libraries = ["initjax", "jax", "jaxlib", "numpy", *packages, *["torch"] * HAS_TORCH]
    shown = ", ".join(f"{name} {version(name)}" for name in libraries)
    where = f"{os.cpu_count()} cores, {platform.machine()}"
    console.print(
        f"Python {platform.python_version()}, {shown}; {where}", soft_wrap=True
    )
    spent, results = clock(lambda: measure(console, names, options))
    for group in dict.fromkeys(NETWORKS[name].group for name in results):
        of_group = {n: r for n, r in results.items() if NETWORKS[n].group == group}
        lines = (row for n, r in of_group.items() for row in rows(n, r, options.quick))
        to = base(next(iter(of_group.values())))
        show(console, f"{group}: s, and the ratio to {to}", HEADER, lines)
    for note in notes(results, options.quick):
        console.print(note, soft_wrap=True)
    if options.plot:
        plot(options.plot, results, options.quick)
    title = f"Summary, after {spent:.0f} s{', of small networks' * options.quick}"
    show(console, title, "claim<|verdict<", claims(results))


if __name__ == "__main__":
    main()
