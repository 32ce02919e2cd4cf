"""The maximal update parametrization: widths grow, activations and rates stay.

An MLP and a transformer are trained by SGD at widths 64 to 1024, all at one learning
rate, in the standard parametrization and in muP: `ij.mup_rules` makes the weights, and
`ij.mup_learning_rates` the factors that optax multiplies its updates by. At the base
width, 64, both are the same model, bit for bit. Then a learning rate is chosen at two
widths.

The check of coordinates is that of Yang et al., "Tensor Programs V", 2022, figure 5: on
a fixed batch, the root mean square of what every layer puts out before its nonlinearity
(x_t, the scale), and of how far training moved it (x_t - x_0, the change). Neither may
depend on the width. The change is what the paper plots: in the scale the initialization
hides small updates, and muP's first logits are as small as 1 / sqrt(width) by design.
Here the readout is drawn a tenth as large as LeCun's, so that logits are what was
learned from the first step on, and the scale of all layers is checked as well. Squares
are averaged over the batch and over several models, the more of them the narrower.

The transformer gets wider by more heads of one size, so attention divides its logits by
the root of that size, as always. With larger heads instead muP divides by the size.

    pip install "initjax[examples]"
    python examples/mup_sweep.py
    python examples/mup_sweep.py --plot mup_sweep.png    # needs matplotlib
"""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich import box
from rich.console import Console
from rich.table import Table

import initjax as ij
from initjax import Fan

CONSOLE = Console(width=116, highlight=False)  # fixed: a piped table stays readable
BASE = 64
WIDTHS = (64, 256, 1024)
STEPS = (1, 10)  # after which activations are looked at
LIMIT = 1.3  # how far apart muP's scales may be, largest over smallest
GROWTH = 5.0  # how much more the widest standard model changes at least
SWEPT = (64, 1024)
TRAINED = 16  # steps of the sweep
RATES = tuple(2.0**i for i in range(-7, 1))
NAMES = ("standard", "muP")
Params = Mapping[str, Any]
Activations = dict[str, jax.Array]
Batch = tuple[jax.Array, jax.Array]

# -- two models: shapes by width, layers by name ---------------------------------------


@dataclass(frozen=True)
class Model:
    """A model that knows nothing of muP, its data, and its learning rate."""

    name: str
    tree: Callable[[int], Params]  # the shapes of its weights at a width
    apply: Callable[[Params, jax.Array], Activations]  # what every layer puts out
    layers: tuple[str, ...]  # in order
    rules: ij.Rules
    batch: Callable[[jax.Array], Batch]
    rate: float


def f32(*shape: int) -> jax.ShapeDtypeStruct:
    """Return the type of a weight."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)


READOUT = ("readout/kernel", ij.scaled(ij.LecunNormal(), 0.1))
FEATURES, CLASSES = 32, 10


def mlp_tree(width: int) -> Params:
    """Return the shapes of an MLP of three hidden layers."""
    return {
        "layer_0": {"kernel": f32(FEATURES, width), "bias": f32(width)},
        "layer_1": {"kernel": f32(width, width), "bias": f32(width)},
        "layer_2": {"kernel": f32(width, width), "bias": f32(width)},
        "readout": {"kernel": f32(width, CLASSES)},
    }


def mlp(params: Params, x: jax.Array) -> Activations:
    """Return the output of every layer, before the nonlinearity."""
    seen: Activations = {}
    for name in ("layer_0", "layer_1", "layer_2"):
        layer = params[name]
        seen[name] = x @ layer["kernel"] + layer["bias"][None]
        x = jax.nn.relu(seen[name])
    seen["logits"] = x @ params["readout"]["kernel"]
    return seen


def labelled(key: jax.Array, *sizes: int) -> Batch:
    """Return random points, and the class that a fixed teacher gives each."""
    x = jax.random.normal(key, (*sizes, FEATURES))
    teacher = jax.random.normal(jax.random.key(0), (FEATURES, CLASSES))
    return x, jnp.argmax(jnp.tanh(x) @ teacher, axis=-1)


MLP = Model(
    name="MLP",
    tree=mlp_tree,
    apply=mlp,
    layers=("layer_0", "layer_1", "layer_2", "logits"),
    rules=ij.Rules(
        [READOUT, ("**/kernel", ij.HeNormal()), ("**/bias", ij.Zeros())],
    ),
    batch=lambda key: labelled(key, 16),
    rate=0.2,
)

TOKENS, LENGTH, HEAD = 16, 8, 8
INNER = ("attention logits", "attention", "mlp up", "mlp down")


def transformer_tree(width: int) -> Params:
    """Return the shapes of a transformer of one block, with heads of one size."""
    heads = width // HEAD
    return {
        "tokens": f32(TOKENS, width),
        "positions": f32(LENGTH, width),
        "attention": {
            "norm": f32(width),
            "query": f32(width, heads, HEAD),
            "key": f32(width, heads, HEAD),
            "value": f32(width, heads, HEAD),
            "out": f32(heads, HEAD, width),
        },
        "mlp": {
            "norm": f32(width),
            "up": f32(width, 2 * width),
            "down": f32(2 * width, width),
        },
        "readout": {"norm": f32(width), "kernel": f32(width, TOKENS)},
    }


def normalized(x: jax.Array, scale: jax.Array) -> jax.Array:
    """Return the layer norm."""
    x = x - x.mean(axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5) * scale


def transformer(params: Params, tokens: jax.Array) -> Activations:
    """Return the output of every layer, before the nonlinearity."""
    seen: Activations = {}
    attention, feed = params["attention"], params["mlp"]
    x = params["tokens"][tokens] + params["positions"][None]
    seen["embedding"] = x
    y = normalized(x, attention["norm"][None, None])
    q, k, v = (
        jnp.einsum("btd,dhk->bhtk", y, attention[name])
        for name in ("query", "key", "value")
    )
    causal = jnp.tril(jnp.ones((LENGTH, LENGTH), bool))[None, None]
    scores = jnp.einsum("bhtk,bhsk->bhts", q, k) / math.sqrt(HEAD)
    seen["attention logits"] = jnp.where(causal, scores, 0.0)
    weights = jax.nn.softmax(jnp.where(causal, scores, -1e30))
    y = jnp.einsum("bhts,bhsk->bthk", weights, v)
    seen["attention"] = jnp.einsum("bthk,hkd->btd", y, attention["out"])
    x = x + seen["attention"]
    seen["mlp up"] = normalized(x, feed["norm"][None, None]) @ feed["up"]
    seen["mlp down"] = jax.nn.relu(seen["mlp up"]) @ feed["down"]
    x = normalized(x + seen["mlp down"], params["readout"]["norm"][None, None])
    seen["logits"] = x @ params["readout"]["kernel"]
    return seen


def repeated(key: jax.Array) -> Batch:
    """Return random tokens; to be predicted is the one before, by attention."""
    tokens = jax.random.randint(key, (4, LENGTH), 0, TOKENS)
    return tokens, jnp.roll(tokens, 1, axis=1)


TRANSFORMER = Model(
    name="transformer",
    tree=transformer_tree,
    apply=transformer,
    layers=("embedding", *INNER, "logits"),
    rules=ij.Rules(
        [
            ("{tokens,positions}", ij.RandomNormal(0.0, 1.0, fan=Fan.embedding())),
            ("*/{query,key,value}", ij.LecunNormal(fan=Fan.einsum("td,dhk->thk"))),
            ("*/out", ij.LecunNormal(fan=Fan.einsum("thk,hkd->td"))),
            ("mlp/up", ij.HeNormal()),
            ("mlp/down", ij.LecunNormal()),
            ("*/norm", ij.Ones()),
            READOUT,
        ],
    ),
    batch=repeated,
    rate=0.5,
)
MODELS = (MLP, TRANSFORMER)

# -- muP: rules for the weights, factors for the updates -------------------------------


def parametrize(model: Model, width: int, name: str) -> tuple[ij.Rules, Params]:
    """Return the rules, and the factor of the learning rate of every weight."""
    tree, base = model.tree(width), model.tree(BASE)
    if name == "standard":
        return model.rules, jax.tree.map(lambda _: 1.0, tree)
    factors = ij.mup_learning_rates(model.rules, tree, base, "sgd")
    return ij.mup_rules(model.rules, base), factors


def sgd(rate: Any, factors: Params) -> optax.GradientTransformation:
    """Return SGD with a learning rate for every weight."""
    scale = optax.stateless(
        lambda updates, _: jax.tree.map(lambda u, f: u * f, updates, factors)
    )
    return optax.chain(optax.sgd(rate), scale)


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Return the loss."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean()


@functools.partial(jax.jit, static_argnames="apply")
def step(
    members: Params,
    factors: Params,
    rate: float,
    batch: Batch,
    apply: Callable[[Params, jax.Array], Activations],
) -> tuple[Params, Activations, jax.Array]:
    """Take a step with every member; return what layers put out and the loss before."""

    def one(params: Params) -> tuple[Params, Activations, jax.Array]:
        def loss(params: Params) -> tuple[jax.Array, Activations]:
            seen = apply(params, batch[0])
            return cross_entropy(seen["logits"], batch[1]), seen

        (before, seen), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        optimizer = sgd(rate, factors)  # without momentum there is no state to keep
        updates, _ = optimizer.update(gradients, optimizer.init(params), params)
        return optax.apply_updates(params, updates), seen, before

    return jax.vmap(one)(members)


def start(model: Model, width: int, name: str, key: jax.Array) -> tuple[Params, Params]:
    """Return several models, stacked, and the factors of their learning rate."""
    rules, factors = parametrize(model, width, name)
    count = min(16, 2 * max(WIDTHS) // width)  # the narrower, the more one differs
    return ij.init_ensemble(rules, model.tree(width), key, count), factors


# -- the check of coordinates ----------------------------------------------------------


def coordinates(
    model: Model, name: str, key: jax.Array, widths: Sequence[int] = WIDTHS
) -> dict[str, np.ndarray]:
    """Return scale and change of every layer: which of both, steps, width."""
    batch = model.batch(ij.fold_in_path(key, "data"))
    columns: list[dict[str, np.ndarray]] = []
    for width in widths:
        members, factors = start(model, width, name, ij.fold_in_path(key, "weights"))
        history = []  # of activations, of which those before the first step are kept
        for t in range(max(STEPS) + 1):
            members, seen, _ = step(members, factors, model.rate, batch, model.apply)
            if t == 0:
                first = seen
            elif t in STEPS:
                history.append({x: (seen[x], seen[x] - first[x]) for x in seen})
        columns.append(
            {
                layer: np.array([[rms(x[layer][i]) for x in history] for i in range(2)])
                for layer in model.layers
            }
        )
    return {x: np.stack([c[x] for c in columns], axis=-1) for x in model.layers}


def rms(x: jax.Array) -> float:
    """Return the root mean square over members, batch and coordinates."""
    return float(jnp.sqrt(jnp.mean(x * x)))


def spread(sizes: np.ndarray) -> float:
    """Return the largest over the smallest, infinite if training diverged."""
    return float(sizes.max() / sizes.min()) if np.isfinite(sizes).all() else math.inf


def widest_spread(found: Mapping[str, np.ndarray]) -> float:
    """Return the largest spread over widths, of all layers' scales and changes."""
    rows = [row for x in found.values() for row in x.reshape(-1, x.shape[-1])]
    return max(map(spread, rows))


def growth(found: Mapping[str, np.ndarray]) -> float:
    """Return how much more the widest model changes than the narrowest.

    In the layer where it is most, after the number of steps where that is least.
    """
    by_step = np.stack([x[1, :, -1] / x[1, :, 0] for x in found.values()])
    return float(np.nan_to_num(by_step, nan=math.inf).max(axis=0).min())


def table_of(title: str, *columns: str) -> Table:
    """Return a table without rows."""
    table = Table(
        title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    table.title_justify, table.show_edge = "left", False
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", no_wrap=True)
    return table


def show(x: float) -> str:
    """Return a number in few places."""
    return f"{x:.2g}" if x < 10 else f"{x:.0f}" if x < 1e5 else f"{x:.0e}"


def print_coordinates(model: Model, name: str, found: Mapping[str, np.ndarray]) -> None:
    """Print a row for every layer and step: scale and change at every width."""
    title = f"{model.name}, {name}: scale and change of every layer by width"
    table = table_of(title, "layer", "steps", *map(str, WIDTHS), "spread")
    for layer, sizes in found.items():
        for i, step in enumerate(STEPS):
            pairs = zip(sizes[0, i], sizes[1, i], strict=True)
            cells = [f"{show(scale)} {show(change)}" for scale, change in pairs]
            spreads = " ".join(f"{spread(row):.2f}" for row in sizes[:, i])
            table.add_row(layer, str(step), *cells, spreads)
    CONSOLE.print(table, "")


# -- the choice of a learning rate -----------------------------------------------------


def sweep(key: jax.Array) -> dict[str, np.ndarray]:
    """Return the mean loss of the MLP's first steps by parametrization: width, rate.

    Every batch is new and its loss taken before the step: that of data never seen.
    """
    batches = [labelled(ij.fold_in_path(key, "data", t), 64) for t in range(TRAINED)]
    found: dict[str, np.ndarray] = {}
    for name in NAMES:
        losses = np.zeros((len(SWEPT), len(RATES)))
        for i, width in enumerate(SWEPT):
            root = ij.fold_in_path(key, "weights")
            initial, factors = start(MLP, width, name, root)
            for j, rate in enumerate(RATES):
                members = initial
                for batch in batches:
                    members, _, loss = step(members, factors, rate, batch, MLP.apply)
                    losses[i, j] += loss.mean() / TRAINED
        found[name] = losses
    return found


def best_rates(losses: np.ndarray) -> list[float]:
    """Return the rate of least loss at every width."""
    return [RATES[int(np.nanargmin(row))] for row in losses]


def print_sweep(found: Mapping[str, np.ndarray]) -> None:
    """Print the losses, a row for every width."""
    title = f"MLP: mean loss of {TRAINED} steps by learning rate"
    rates = [f"{rate:.2g}" for rate in RATES]
    table = table_of(title, "parametrization", "width", *rates, "best")
    for name, losses in found.items():
        best = best_rates(losses)
        for width, row, rate in zip(SWEPT, losses, best, strict=True):
            cells = [f"{x:.2f}" if x < 100 else "-" for x in row]
            table.add_row(name, str(width), *cells, f"{rate:.2g}")
    CONSOLE.print(table, "")


# -- the plot --------------------------------------------------------------------------


def plot(
    path: str,
    checks: Mapping[tuple[str, str], Mapping[str, np.ndarray]],
    losses: Mapping[str, np.ndarray],
) -> None:
    """Draw how every layer changes by width, and the loss by learning rate."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(3, 2, figsize=(8, 9), sharey="row", layout="tight")
    for row, model in zip(grid, MODELS, strict=False):
        for axes, name in zip(row, NAMES, strict=True):
            for i, (layer, sizes) in enumerate(checks[model.name, name].items()):
                changes = np.where(np.isfinite(sizes[1]), sizes[1], np.nan)
                for change, style in zip(changes, ("--", "-"), strict=True):
                    label = layer if style == "-" else None
                    axes.loglog(WIDTHS, change, f"C{i}{style}", label=label)
            axes.set(title=f"{model.name}, {name}", xlabel="width", ylim=(3e-5, 1e4))
            axes.set_xticks(WIDTHS, map(str, WIDTHS))
            axes.minorticks_off()
        row[0].set_ylabel("rms of $x_t - x_0$")
        row[1].legend(
            fontsize=7, ncols=2, title="solid: 10 steps, dashed: 1", title_fontsize=8
        )
    for axes, name in zip(grid[2], NAMES, strict=True):
        for width, row in zip(SWEPT, losses[name], strict=True):
            row = np.where(row < 4, row, np.nan)
            (line,) = axes.semilogx(RATES, row, ".-", base=2, label=f"width {width}")
            best = int(np.nanargmin(row))
            axes.plot(RATES[best], row[best], "o", color=line.get_color())
        axes.set(title=f"MLP, {name}", xlabel="learning rate", ylim=(1.9, 2.6))
    grid[2, 0].set_ylabel(f"mean loss of {TRAINED} steps")
    grid[2, 1].legend(fontsize=7, title="dot: the best", title_fontsize=8)
    for axes in grid.flat:
        axes.grid(alpha=0.3)
        axes.title.set_fontsize(10)
    figure.savefig(path, dpi=80)
    plt.close(figure)


# -- the run ---------------------------------------------------------------------------


def assert_equal_at_base(model: Model, key: jax.Array) -> None:
    """Hold the weights of both parametrizations to the same bits at the base width."""
    tree = model.tree(BASE)
    standard, mup = (
        ij.init_tree(parametrize(model, BASE, name)[0], tree, jax.random.clone(key))
        for name in NAMES
    )
    same = jax.tree.map(
        lambda a, b: np.asarray(a).tobytes() == np.asarray(b).tobytes(), standard, mup
    )
    assert all(jax.tree.leaves(same))


def main() -> None:
    """Check coordinates, choose learning rates, and hold both to what muP promises."""
    parser = argparse.ArgumentParser(description="Check the coordinates of muP.")
    parser.add_argument("--plot", metavar="FILE", help="where to draw it, as PNG")
    path, key = parser.parse_args().plot, jax.random.key(0)
    checks = {}
    for model in MODELS:
        assert_equal_at_base(model, key)
        for name in NAMES:
            found = coordinates(model, name, ij.fold_in_path(key, model.name))
            print_coordinates(model, name, found)
            checks[model.name, name] = found
    losses = sweep(ij.fold_in_path(key, "sweep"))
    print_sweep(losses)
    if path:
        plot(path, checks, losses)
    best = {name: best_rates(rows) for name, rows in losses.items()}
    for name, chosen in best.items():
        rates = ", ".join(f"{rate:.2g}" for rate in chosen)
        CONSOLE.print(f"best learning rate, {name}: {rates} at widths {SWEPT}")
    for model in MODELS:  # in ten steps more is learned than in one
        for layer, sizes in checks[model.name, "muP"].items():
            assert (sizes[1, 1] > sizes[1, 0]).all(), f"{layer} stands still"
    apart = max(widest_spread(checks[model.name, "muP"]) for model in MODELS)
    grown = min(growth(checks[model.name, "standard"]) for model in MODELS)
    assert apart < LIMIT, f"muP's scales are {apart:.2f}x apart"
    assert grown > GROWTH, f"standard changes grow only {grown:.1f}x"
    moved = {name: max(chosen) / min(chosen) for name, chosen in best.items()}
    assert moved["muP"] <= 2 < 8 <= moved["standard"], moved
    CONSOLE.print(
        f"muP: scales within {apart:.2f}x over widths {WIDTHS[0]} to {WIDTHS[-1]}; "
        f"standard: {grown:.1f}x"
    )


if __name__ == "__main__":
    main()
