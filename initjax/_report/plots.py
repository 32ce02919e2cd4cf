"""Pictures of laws, weights and propagation, in one quiet style."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core.initializer import Initializer
from .._core.promise import Law
from .._errors import Refused, shown
from .._registry import get
from .._rules.fingerprint import check_array
from .._rules.paths import Leaf, read_tree
from .._rules.plan import TreePlan
from .propagation import Propagation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 40  # weights in one picture
_SIDE = 256  # rows and columns of a matrix that are shown
_SAMPLE = 1 << 18  # entries of a weight that its histogram is of
_CUT = 36  # letters of a path


@contextlib.contextmanager
def _drawing(who: str) -> Generator[None]:
    """Set the style inside; name who refuses, or what is to be installed."""
    try:
        import matplotlib  # an extra, so imported where it is used

        from .drawing import STYLE

        with matplotlib.rc_context(STYLE):
            yield
    except Refused as refused:
        raise refused.at(who) from None
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise ImportError(
            f"{who} draws with matplotlib; pip install 'initjax[plots]'",
            name=error.name,
        ) from None


def plot_law(
    init: Any, shape: Sequence[int], dtype: Any = None, key: jax.Array | None = None
) -> Figure:
    """Draw a weight, and show its entries beside the density that its law promises.

    A second panel shows the weight itself: a matrix as it is, at most 256 rows and
    columns, a convolution's kernel (window..., in, out) filter by filter. Of complex
    weights these are the modulus, and the real part.

    Args:
        init: A law, or what `get` takes: a name, a config; a function of (key, shape,
            dtype), which promises nothing.
        shape: The weight's shape.
        dtype: Its dtype; None is the law's.
        key: What it is drawn by; None is `jax.random.key(0)`.

    Returns:
        A matplotlib figure; nothing is shown, and no backend chosen.

    Raises:
        ImportError: matplotlib is not installed.
        TypeError: What is no initializer.
        ValueError: What the call of the law raises; a weight without entries.
    """
    with _drawing("plot_law"):
        law = get(init)
        if law is None:
            raise Refused("init is a law, a name or a function, got None.", TypeError)
        key = jax.random.key(0) if key is None else key
        is_law = isinstance(law, Initializer)
        as_asked = dtype if is_law or dtype is not None else jnp.float32
        x = np.asarray(jax.device_get(law(key, shape, as_asked)))
        if not x.size:
            raise Refused(f"a weight of shape {x.shape} has no entries to show.")
        return _law_picture(law, x, _promise(law, x) if is_law else None)


def _promise(law: Initializer, x: np.ndarray[Any, Any]) -> Law | None:
    try:
        return law._promise(x.shape, x.dtype)
    except Refused:  # a composition whose law nobody knows
        return None


def _law_picture(law: Any, x: np.ndarray[Any, Any], promised: Law | None) -> Figure:
    from .drawing import few_ticks, histogram, image, panels

    has_matrix = x.ndim > 1
    figure, axes = panels(1, 1 + has_matrix, 3.4 * (1 + has_matrix), 2.8)
    shape = " x ".join(map(str, x.shape))
    title = f"{_cut_end(_name_of(law), 42 * (1 + has_matrix))}\n{x.dtype}, {shape}"
    figure.suptitle(title, fontsize=9, x=0.02, ha="left")
    histogram(axes[0], x, promised)
    axes[0].set_title(_moments(x, promised))
    axes[0].set_xlabel("modulus" if np.iscomplexobj(x) else "entry")
    axes[0].set_ylabel("density")
    few_ticks(axes[0])
    if promised is not None and promised.cdf is not None:
        axes[0].legend(loc="upper right", handlelength=1.2)
        axes[0].set_ylim(top=1.3 * axes[0].get_ylim()[1])
    if has_matrix:
        whole, cut = _picture_of(x)
        image(axes[1], whole)
        axes[1].set_title(cut)
        axes[1].set(xticks=[], yticks=[])
        if 1 / 3 < whole.shape[0] / whole.shape[1] < 3:
            axes[1].set_aspect("equal")
        axes[1].spines[:].set_visible(True)
    return figure


def _picture_of(x: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], str]:
    """Return what is shown of a weight, and what that is."""
    from .drawing import tiled

    sheet = tiled(np.real(x))
    rows, columns = sheet.shape
    what = "the matrix" if x.ndim == 2 else "the filters"
    if x.ndim > 2 and sheet.shape[1] == x.shape[-1]:
        what = f"as {rows} x {columns}"
    if max(rows, columns) > _SIDE:
        what = f"{what}, first {min(rows, _SIDE)} x {min(columns, _SIDE)}"
    part = "real part of " if np.iscomplexobj(x) else ""
    return sheet[:_SIDE, :_SIDE], part + what


def _moments(x: np.ndarray[Any, Any], promised: Law | None) -> str:
    wide = x.astype(np.complex128 if np.iscomplexobj(x) else np.float64)
    std = f"std {float(np.std(wide)):.4g}"
    return std if promised is None else f"{std}, promised {promised.std:.4g}"


def plot_params(params: Any, plan: TreePlan | None = None) -> Figure:
    """Show how the entries of a tree's weights are spread, a small panel a weight.

    The 40 weights with the most entries are shown, and of each at most some 260,000
    entries, evenly apart; of an array that several processes hold, this one's part.

    Args:
        params: A tree of arrays: a Flax or Haiku tree, an NNX state, an Equinox module.
        plan: What `plan` promised; dashes mark its mean, and one standard deviation on
            either side. Weights that it lacks have none.

    Returns:
        A matplotlib figure; nothing is shown, and no backend chosen.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: No float weight; a plan of none of them; a leaf without numbers.
        TypeError: A plan of another kind.
    """
    with _drawing("plot_params"):
        if plan is not None and not isinstance(plan, TreePlan):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
            raise Refused(f"plan is what ij.plan gives, got {shown(plan)}.", TypeError)
        tree = read_tree(params)
        leaves = [x for x in tree.leaves if jnp.issubdtype(x.dtype, jnp.inexact)]
        leaves = [x for x in leaves if math.prod(x.shape)]
        if not leaves:
            raise Refused(f"none of {len(tree.leaves)} leaves has float entries.")
        marks = {} if plan is None else _marks(plan)
        if plan is not None and not any(leaf.name in marks for leaf in leaves):
            raise Refused(
                f"the plan has none of the {len(leaves)} paths, such as "
                f"{leaves[0].name!r}; give the plan of this tree."
            )
        ranked = sorted(leaves, key=lambda leaf: -math.prod(leaf.shape))[:_MOST]
        places = {leaf.place for leaf in ranked}
        chosen = [leaf for leaf in leaves if leaf.place in places]
        samples = [_sample(leaf.name, tree.values[leaf.place]) for leaf in chosen]
        return _params_picture(chosen, samples, marks, len(leaves))


def _params_picture(
    leaves: Sequence[Leaf],
    samples: Sequence[np.ndarray[Any, Any]],
    marks: dict[str, tuple[float, ...]],
    total: int,
) -> Figure:
    from .drawing import few_ticks, histogram, panels

    columns = min(5, len(leaves))
    rows = math.ceil(len(leaves) / columns)
    figure, axes = panels(rows, columns, 2.1 * columns + 0.2, 1.45 * rows + 0.5)
    for ax, leaf, x in zip(axes, leaves, samples, strict=False):
        histogram(ax, x, None, marks.get(leaf.name, ()))
        shape = "x".join(map(str, leaf.shape)) or "one number"
        ax.set_title(f"{_cut_start(leaf.name)}\n{shape}", fontsize=6.5)
        few_ticks(ax, 3)
        ax.tick_params(labelsize=6)
    for ax in axes[len(leaves) :]:
        ax.axis("off")
    of_how_many = (
        f"the {len(leaves)} largest of {total}" if total > len(leaves) else total
    )
    promise = "; dashes: promised mean and one std beside it" if marks else ""
    figure.suptitle(
        f"{of_how_many} weight{'s' * (total > 1)}{promise}",
        fontsize=8,
        x=0.02,
        ha="left",
    )
    return figure


def _marks(plan: TreePlan) -> dict[str, tuple[float, ...]]:
    """Return the promised mean, and a standard deviation beside it, by path."""
    marks: dict[str, tuple[float, ...]] = {}
    for row in plan.rows:
        if row.mean is None or row.std is None or not math.isfinite(row.std):
            marks[row.path] = ()
        elif np.issubdtype(row.dtype, np.complexfloating):
            marks[row.path] = (row.std,)  # of the modulus
        else:
            mean = float(np.real(row.mean))
            marks[row.path] = tuple(sorted({mean - row.std, mean, mean + row.std}))
    return marks


def _sample(name: str, x: Any) -> np.ndarray[Any, Any]:
    """Return entries of an array, evenly apart, on the host."""
    check_array(name, x)
    parts = [x]
    if isinstance(x, jax.Array):  # each shard by itself, none twice
        parts = [*{str(s.index): s.data for s in x.addressable_shards}.values()]
    most = max(_SAMPLE // len(parts), 1)
    samples = (part[_strides(part.shape, most)] for part in parts)
    return np.concatenate([np.ravel(sample) for sample in samples])


def _strides(shape: tuple[int, ...], most: int) -> tuple[slice, ...]:
    """Return slices that leave at most so many entries."""
    steps = [1] * len(shape)
    while math.prod(map(math.ceil, np.divide(shape, steps))) > most:
        longest = max(range(len(shape)), key=lambda i: shape[i] / steps[i])
        steps[longest] += 2  # odd, so that they fall in step with no power of 2
    return tuple(slice(None, None, step) for step in steps)


def plot_propagation(propagation: Propagation) -> Figure:
    """Show the scale of activations and gradients over depth.

    A dot is a product, the line their quadratic mean over a depth; light dots are
    gradients of the weights. Crosses at the lower edge are products that are not finite
    or 0.

    Args:
        propagation: What `propagate` has measured.

    Returns:
        A matplotlib figure; nothing is shown, and no backend chosen.

    Raises:
        ImportError: matplotlib is not installed.
        TypeError: What is no `Propagation`.
    """
    with _drawing("plot_propagation"):
        if not isinstance(propagation, Propagation):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
            raise Refused(
                f"propagation is what ij.propagate gives, got {shown(propagation)}.",
                TypeError,
            )
        from .curves import propagation_picture

        return propagation_picture(propagation)


def _name_of(law: Any) -> str:
    if isinstance(law, Initializer):
        return repr(law)
    return getattr(law, "__qualname__", type(law).__name__)


def _cut_end(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _cut_start(text: str) -> str:
    return text if len(text) <= _CUT else f"...{text[3 - _CUT :]}"
