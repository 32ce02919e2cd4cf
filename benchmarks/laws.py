"""Time the laws of initjax next to JAX, NumPy and PyTorch.

    pip install 'initjax[benchmarks]'
    python benchmarks/laws.py                  # everything, about six minutes
    python benchmarks/laws.py --quick          # up to 1e6 elements, few rounds

PyTorch joins where it is installed. The contenders of a line take turns, in an order
shuffled every round, and medians are shown. A ratio is a contender's time over that of
initjax, jitted unless the title says otherwise: more than 1 means initjax is faster.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import math
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import initializers as jax_nn

import initjax as ij
import initjax.nn as ij_nn
from initjax._core import samplers as _samplers

try:
    from rich import box
    from rich.console import Console
    from rich.table import Table
except ImportError:
    raise SystemExit(
        "benchmarks/laws.py needs rich: pip install 'initjax[benchmarks]'"
    ) from None

# idle threads of PyTorch sleep: spinning, they would slow whoever comes next
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
try:
    torch: Any = importlib.import_module("torch")
except ImportError:
    torch = None

Shape = tuple[int, ...]
Run = Callable[[], Any]
Medians = dict[str, float]
Case = tuple[str, str, str]  # law, dtype, size

STD = 0.02
CUT_STD = 0.87962566103423978  # of a standard normal cut to (-2, 2)
DTYPES = ("float32", "bfloat16")
SIZES = {"1e4": (100, 100), "1e6": (1000, 1000), "1.6e7": (4000, 4000)}
SMALL, CONTEXT = (64, 64), (2048, 2048)
OURS, JAX, OURS_EAGER, JAX_EAGER = "initjax", "JAX", "eager", "JAX eager"
COLUMNS = (OURS_EAGER, JAX, JAX_EAGER, "NumPy", "torch")

# what the summary holds the ratios against
TARGETS = (
    ("normal", JAX, 3.0),
    ("truncated_normal", JAX, 3.0),
    ("uniform", JAX, 4.0),
    ("normal", "torch", 1.2),
)
COMPILE_TARGET, SMALL_TARGET, CONTEXT_TARGET = 1.0, 3.0, 1.0


class Law(NamedTuple):
    """One law in every library's words; None where a library does not have it."""

    ours: Any
    jax: Any
    numpy: Callable[[np.random.Generator, Shape], Any] | None
    torch: Callable[[Any, Any], Any]  # of torch.nn.init and a tensor
    sizes: Sequence[str] = tuple(SIZES)


class Effort(NamedTuple):
    """How long to measure: at least three rounds, then until either runs out."""

    rounds: int
    seconds: float


class Claim(NamedTuple):
    """A figure of this run and what it is held against; counts should be low."""

    what: str
    value: float
    target: float
    is_count: bool = False

    def verdict(self) -> str:
        """Return whether the target is reached, and by how much."""
        if self.is_count:
            reached, shown = self.value <= self.target, f"{self.value:g} of"
        else:
            reached, shown = self.value >= self.target, f"{self.value:.2f}x of"
        unit = "" if self.is_count else "x"
        return f"{'' if reached else 'not '}reached: {shown} {self.target:g}{unit}"


def numpy_normal(
    rng: np.random.Generator, shape: Shape, std: float, cut: float = math.inf
) -> Any:
    """Scale a standard normal; redraw beyond `cut`, as NumPy has no cut normal."""
    x = rng.standard_normal(shape, np.float32)
    while cut < math.inf and (n := np.sum(outside := np.abs(x) > cut)):
        x[outside] = rng.standard_normal(n, np.float32)
    return np.multiply(x, np.float32(std), out=x)


def numpy_uniform(rng: np.random.Generator, shape: Shape, limit: float) -> Any:
    """Scale [0, 1) to [-limit, limit)."""
    x = rng.random(shape, np.float32)
    x *= np.float32(2 * limit)
    return np.subtract(x, np.float32(limit), out=x)


def torch_cut(init: Any, x: Any, std: float) -> Any:
    """Fill with a normal cut at two standard deviations."""
    return init.trunc_normal_(x, std=std, a=-2 * std, b=2 * std)


def he_sigma(shape: Shape) -> float:
    """Return the standard deviation before the cut of He's normal law."""
    return math.sqrt(2 / shape[0]) / CUT_STD


LAWS = {
    "normal": Law(
        ij_nn.normal(STD), jax_nn.normal(STD),
        lambda rng, shape: numpy_normal(rng, shape, STD),
        lambda init, x: init.normal_(x, std=STD),
    ),
    "truncated_normal": Law(
        ij_nn.truncated_normal(STD), jax_nn.truncated_normal(STD),
        lambda rng, shape: numpy_normal(rng, shape, STD, cut=2),
        lambda init, x: torch_cut(init, x, STD),
    ),
    "uniform": Law(
        ij_nn.uniform(STD), jax_nn.uniform(STD),
        lambda rng, shape: rng.random(shape, np.float32) * np.float32(STD),
        lambda init, x: init.uniform_(x, 0, STD),
    ),
    "he_normal": Law(
        ij_nn.he_normal(), jax_nn.he_normal(),
        lambda rng, shape: numpy_normal(rng, shape, he_sigma(shape), cut=2),
        lambda init, x: torch_cut(init, x, he_sigma(x.shape)),
    ),
    "glorot_uniform": Law(
        ij_nn.glorot_uniform(), jax_nn.glorot_uniform(),
        lambda rng, shape: numpy_uniform(rng, shape, math.sqrt(6 / sum(shape))),
        lambda init, x: init.xavier_uniform_(x),
    ),
    "orthogonal": Law(
        ij_nn.orthogonal(), jax_nn.orthogonal(),
        None, lambda init, x: init.orthogonal_(x), sizes=("1e4", "1e6"),
    ),
    "zeros": Law(
        ij_nn.zeros, jax_nn.zeros,
        lambda rng, shape: np.full(shape, 0, np.float32),  # np.zeros writes nothing
        lambda init, x: init.zeros_(x),
    ),
}  # fmt: skip


def stacked(key: jax.Array, shape: Shape, dtype: Any) -> jax.Array:
    """Draw orthogonal matrices side by side with JAX, each of a key of its own."""
    keys, one = jax.random.split(key, shape[0]), jax_nn.orthogonal()
    return jax.vmap(lambda k: one(k, shape[1:], dtype))(keys)


def torch_stacked(init: Any, x: Any) -> None:
    """Fill with orthogonal matrices, one by one."""
    for matrix in x:
        init.orthogonal_(matrix)


STACKED = Law(ij.Orthogonal(fan=ij.Fan.stacked()), stacked, None, torch_stacked)
# what is made of matrices, and in --quick
MATRICES = (
    (LAWS["orthogonal"]._replace(ours=ij.Orthogonal()), (2048, 2048), (512, 512)),
    (STACKED, (64, 256, 256), (64, 64, 64)),
)

# four uses of one weight: the second kind tempts XLA to compute the weight in each
USES = {
    "reductions": lambda x, w: (x @ w, w.sum(0), jnp.tanh(w).mean(), (2 * w).max()),
    "elementwise": lambda x, w: (2 * w, jnp.tanh(w), w.sum(0), w.T + 1),
}
IN_CONTEXT = {
    OURS: ij_nn.normal(STD),
    JAX: jax_nn.normal(STD),
    "initjax, no barrier": lambda key, shape, dtype: _samplers.normal(
        key, shape, dtype, jnp.float32(STD)
    ),
}


def interleave(
    runs: dict[str, Run], effort: Effort, before: Run | None = None
) -> Medians:
    """Return each run's median seconds; every round times each of them once."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    order = list(runs)
    stop = time.perf_counter() + effort.seconds
    for done in range(effort.rounds):
        if done >= 3 and time.perf_counter() > stop:
            break
        random.shuffle(order)
        for name in order:
            if before is not None:
                before()
            start = time.perf_counter()
            result = runs[name]()
            times[name].append(time.perf_counter() - start)
            del result  # freed outside the clock
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def able(runs: dict[str, Run]) -> dict[str, Run]:
    """Warm the runs up, and drop those of peers that lack the law or the dtype."""
    kept: dict[str, Run] = {}
    for name, run in runs.items():
        try:
            run()
        except (NotImplementedError, TypeError):  # how PyTorch and JAX say so
            if name.startswith((OURS, OURS_EAGER)):
                raise
        else:
            kept[name] = run
    return kept


def eager(init: Any, *args: Any) -> Run:
    """Return a plain call that waits for its array."""
    return lambda: init(*args).block_until_ready()


def jitted(init: Any, key: jax.Array, *static: Any) -> Run:
    """Return a call of `jax.jit` of the law."""
    fun = jax.jit(lambda key: init(key, *static))
    return lambda: fun(key).block_until_ready()


def compiling(init: Any, key: jax.Array, *static: Any) -> Run:
    """Return a call that traces, lowers and compiles the law anew."""
    return lambda: jax.jit(lambda key: init(key, *static)).lower(key).compile()


def in_torch(law: Law, shape: Shape, dtype: str) -> dict[str, Run]:
    """Return PyTorch's call that fills one array, where it is installed."""
    if torch is None:
        return {}
    tensor = torch.empty(shape, dtype=getattr(torch, dtype))
    return {"torch": lambda: law.torch(torch.nn.init, tensor)}


def contenders(law: Law, shape: Shape, dtype: str) -> dict[str, Run]:
    """Return every library's warm call that makes or fills one array."""
    args = (jax.random.key(0), shape, dtype)
    runs = {
        OURS: jitted(law.ours, *args),
        JAX: jitted(law.jax, *args),
        OURS_EAGER: eager(law.ours, *args),
        JAX_EAGER: eager(law.jax, *args),
    }
    if (fill := law.numpy) is not None and dtype == "float32":
        rng = np.random.Generator(np.random.SFC64(0))
        runs["NumPy"] = lambda: fill(rng, shape)
    return able(runs | in_torch(law, shape, dtype))


def cases(laws: Sequence[str], sizes: Sequence[str]) -> Iterator[Case]:
    """Return every law, dtype and size to measure."""
    for name in laws:
        for dtype in DTYPES:
            yield from ((name, dtype, s) for s in sizes if s in LAWS[name].sizes)


def ms(seconds: float) -> str:
    """Return milliseconds in three digits or so."""
    x = 1e3 * seconds
    return f"{x:.{3 if x < 1 else 2 if x < 10 else 1 if x < 100 else 0}f}"


def versus(times: Medians, peer: str, base: str = OURS) -> str:
    """Return a peer's milliseconds and its ratio, or - where it has none."""
    if peer not in times:
        return "-"
    ratio = times[peer] / times[base]
    return f"{ms(times[peer])} {ratio:{'5.2f' if ratio < 10 else '5.1f'}}x"


def scratch(program: Any) -> str:
    """Return the megabytes of a compiled program's temporaries."""
    return f"{program.memory_analysis().temp_size_in_bytes / 1e6:.1f}"


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


def run_times(
    console: Console, laws: Sequence[str], sizes: Sequence[str], effort: Effort
) -> Iterator[Claim]:
    """Time warm calls of every law, dtype and size."""
    medians: dict[Case, Medians] = {}
    for case in cases(laws, sizes):
        name, dtype, size = case
        medians[case] = interleave(contenders(LAWS[name], SIZES[size], dtype), effort)
    title = "Warm calls, initjax and JAX jitted: ms, and the ratio to initjax"
    header = f"law<|dtype<|size|initjax|M/s|{'|'.join(COLUMNS)}"
    rows: list[Sequence[str]] = []
    for case, times in medians.items():
        rate = math.prod(SIZES[case[2]]) / times[OURS] / 1e6
        peers = (versus(times, peer) for peer in COLUMNS)
        rows.append((*case, ms(times[OURS]), f"{rate:.0f}", *peers))
    show(console, title, header, rows)
    for name, peer, target in TARGETS:
        times = medians.get((name, "float32", sizes[-1]), {})
        if peer in times:
            what = f"{name}, float32, {sizes[-1]} elements: {peer} / initjax"
            yield Claim(what, times[peer] / times[OURS], target)


def matrices(console: Console, quick: bool, effort: Effort) -> None:
    """Time warm calls of Orthogonal on a large matrix and on many small ones."""
    rows: list[Sequence[str]] = []
    for law, large, small in MATRICES:
        shape = small if quick else large
        args = (jax.random.key(0), shape, "float32")
        runs = {OURS: jitted(law.ours, *args), JAX: jitted(law.jax, *args)}
        times = interleave(able(runs | in_torch(law, *args[1:])), effort)
        peers = (versus(times, peer) for peer in (JAX, "torch"))
        rows.append(("x".join(map(str, shape)), ms(times[OURS]), *peers))
    title = "Warm calls of Orthogonal, float32, jitted: ms, and the ratio to initjax"
    show(console, title, "shape<|initjax|JAX|torch", rows)


def small_calls(
    console: Console, laws: Sequence[str], effort: Effort
) -> Iterator[Claim]:
    """Time warm calls whose cost is mostly Python's."""
    rows: list[Sequence[str]] = []
    for name in laws:
        times = interleave(contenders(LAWS[name], SMALL, "float32"), effort)
        peers = (versus(times, peer, OURS_EAGER) for peer in (JAX_EAGER, OURS, JAX))
        rows.append((name, ms(times[OURS_EAGER]), *peers))
        if name == "normal":
            ratio = times[JAX_EAGER] / times[OURS_EAGER]
            yield Claim("normal, 64x64, eager: JAX / initjax", ratio, SMALL_TARGET)
    title = "Warm calls, 64x64 float32: ms, and the ratio to initjax eager"
    show(console, title, "law<|eager|JAX eager|initjax jitted|JAX jitted", rows)


def in_context(console: Console, effort: Effort) -> Iterator[Claim]:
    """Time one weight and four uses in one program, and count its hashes."""
    args = (jax.random.key(0), jnp.ones((32, CONTEXT[0])))
    rows: list[Sequence[str]] = []
    for uses, use in USES.items():
        programs = {n: program(init, use, args) for n, init in IN_CONTEXT.items()}
        times = interleave(
            able({n: running(p, args) for n, p in programs.items()}), effort
        )
        hashes = {name: count_hashes(p.as_text()) for name, p in programs.items()}
        for name, p in programs.items():
            shown = (versus(times, name), str(hashes[name]), scratch(p))
            rows.append((uses, name, *shown))
        what = f"in context, {uses}"
        yield Claim(f"{what}: JAX / initjax", times[JAX] / times[OURS], CONTEXT_TARGET)
        yield Claim(f"{what}: hashes of the weight", hashes[OURS], 1, is_count=True)
    title = "A normal 2048x2048 weight and four uses of it in one program: ms"
    show(console, title, "uses<|init<|time|hashes|scratch MB", rows)


def program(init: Any, use: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Return the compiled program that draws a weight and uses it."""
    fun = jax.jit(lambda key, x: use(x, init(key, CONTEXT, jnp.float32)))
    return fun.lower(*args).compile()


def running(compiled: Callable[..., Any], args: tuple[Any, ...]) -> Run:
    """Return a call that waits for all a program returns."""
    return lambda: jax.block_until_ready(compiled(*args))


def count_hashes(text: str) -> int:
    """Return how often a compiled program's text holds the threefry hash.

    A hash has its key schedule's constant once and 20 rotations, each with one left
    shift; in JAX's own it is a loop with fewer of them.
    """
    shifts = text.count(" shift-left(")
    return max(text.count(str(0x1BD11BDA)), math.ceil(shifts / 20))


def cold_calls(
    console: Console, laws: Sequence[str], effort: Effort
) -> Iterator[Claim]:
    """Time compilation with cleared caches, and weigh the scratch memory."""
    rows: list[Sequence[str]] = []
    ratios: dict[str, float] = {}
    for name, dtype, size in cases(laws, ["1e6"]):
        inits = {OURS: LAWS[name].ours, JAX: LAWS[name].jax}
        args = (jax.random.key(0), SIZES[size], dtype)
        compiles = able({n: compiling(init, *args) for n, init in inits.items()})
        first = {f"{n} first": eager(inits[n], *args) for n in compiles}
        times = interleave(compiles | first, effort, before=jax.clear_caches)
        shown = (
            ms(times[OURS]), versus(times, JAX), ms(times[f"{OURS} first"]),
            versus(times, f"{JAX} first", f"{OURS} first"),
        )  # fmt: skip
        megabytes = {n: scratch(compiles[n]()) for n in compiles}
        rows.append((name, dtype, *shown, *(megabytes.get(n, "-") for n in inits)))
        if JAX in times and name != "zeros":
            ratios[f"{name} {dtype}"] = times[JAX] / times[OURS]
    title = "Cold, 1e6 elements: trace, lower and compile; first eager call: ms"
    header = "law<|dtype<|compile|JAX|1st call|JAX|scratch MB|JAX"
    show(console, title, header, rows)
    if ratios:
        least = min(ratios, key=ratios.__getitem__)
        what = f"compile time, least ({least}): JAX / initjax"
        yield Claim(what, ratios[least], COMPILE_TARGET)


def many_stddevs(console: Console, count: int) -> Iterator[Claim]:
    """Count the executables that `count` standard deviations of one law need."""
    events: collections.Counter[str] = collections.Counter()
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: events.update([event.rpartition("/")[2]])
    )
    rows: list[Sequence[str]] = []
    for name, make in {JAX: jax_nn.normal, OURS: ij_nn.normal}.items():
        key = jax.random.key(0).block_until_ready()
        jax.clear_caches()
        events.clear()
        start = time.perf_counter()
        for i in range(count):
            eager(make(0.01 * (i + 1)), key, SMALL, "float32")()
        seconds = time.perf_counter() - start
        traces = events["jaxpr_trace_duration"]
        compiles = events["backend_compile_duration"]
        rows.append((name, str(traces), str(compiles), ms(seconds)))
    title = f"{count} standard deviations of normal, 64x64, eager, from cold"
    show(console, title, "library<|traces|executables|ms in all", rows)
    yield Claim(f"executables for {count} standard deviations", compiles, 1, True)


def versions() -> str:
    """Return what the figures depend on."""
    names = ["initjax", "jax", "jaxlib", "numpy", *(["torch"] if torch else [])]
    shown = ", ".join(f"{name} {version(name)}" for name in names)
    where = f"{os.cpu_count()} cores, {platform.machine()}, {jax.default_backend()}"
    return f"Python {platform.python_version()}, {shown}; {where}"


def main() -> None:
    """Measure, and print the tables and the summary."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, up to 1e6")
    parser.add_argument("--laws", nargs="+", choices=LAWS, default=list(LAWS))
    parser.add_argument("--rounds", type=int, help="most rounds of a line")
    options = parser.parse_args()
    sizes = ["1e4", "1e6"] if options.quick else list(SIZES)
    rounds = options.rounds or (20 if options.quick else 50)
    effort = Effort(rounds, 0.5 if options.quick else 6)
    few = Effort(min(rounds, 5), 0.5 if options.quick else 3)

    jax.config.update("jax_enable_compilation_cache", False)
    console = Console(width=120, highlight=False)
    console.print(versions(), soft_wrap=True)
    start = time.perf_counter()
    if "orthogonal" in options.laws:
        matrices(console, options.quick, few)
    claims = [
        *run_times(console, options.laws, sizes, effort),
        *small_calls(console, options.laws, Effort(20 * rounds, effort.seconds / 2)),
        *in_context(console, effort),
        *cold_calls(console, options.laws, few),
        *many_stddevs(console, 100),
    ]
    title = f"Summary, after {time.perf_counter() - start:.0f} s"
    show(console, title, "claim<|verdict<", [(c.what, c.verdict()) for c in claims])


if __name__ == "__main__":
    main()
