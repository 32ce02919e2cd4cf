"""Pictures: the right numbers are in them, on any backend, in no window."""

import math
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from tools import assert_refused, root

import initjax as ij
from initjax import plot_law, plot_params, plot_propagation
from initjax._report import plots
from initjax._report.drawing import tiled
from initjax._report.propagation import PropagationRow


def steps(axes):
    """The heights and edges of what is drawn in steps, by label."""
    return {
        p.get_label(): p.get_data() for p in axes.patches if p.get_label()[0] != "_"
    }


def dashes(axes):
    """Where vertical lines are."""
    return sorted(line.get_xdata()[0] for line in axes.lines)


# -- laws ------------------------------------------------------------------------------

LAWS = {
    "normal": (ij.RandomNormal(stddev=0.1), (64, 512), None),
    "uniform": (ij.RandomUniform(-1, 1), (64, 512), None),
    "cut": (ij.TruncatedNormal(stddev=0.02), (64, 512), "bfloat16"),
    "coarse": (ij.RandomNormal(), (64, 512), "float8_e4m3fn"),
    "a few values": (ij.Rademacher(), (64, 64), None),
    "complex": (ij.RandomNormal(), (64, 64), "complex64"),
    "by name": ("he_normal", (64, 64), None),
}


@pytest.mark.parametrize("name", LAWS)
def test_what_is_drawn_is_what_is_promised(name):
    """Every bin has the share that the law has there, within chance."""
    law, shape, dtype = LAWS[name]
    figure = plot_law(law, shape, dtype, root())
    axes, matrix = figure.axes
    drawn, promised = steps(axes)["drawn"], steps(axes)["promised"]
    assert [*drawn.edges] == [*promised.edges]
    widths = np.diff(drawn.edges)
    n = math.prod(shape)
    share = promised.values * widths
    assert 0.98 < share.sum() < 1 + 1e-9
    error = np.sqrt(share * (1 - share) / n) + 2 / n
    assert np.all(np.abs(drawn.values * widths - share) < 5 * error)
    x = np.asarray(ij.get(law)(root(), shape, dtype))
    counts, _ = np.histogram(np.abs(x) if dtype == "complex64" else x, drawn.edges)
    assert drawn.values * widths * n == pytest.approx(counts)
    shown = matrix.images[0].get_array()
    assert np.array_equal(shown, np.real(x).astype("f8")[:256, :256])
    std = f"promised {ij.get(law).law(shape, dtype).std:.4g}"
    assert axes.get_title(loc="left").endswith(std)


def test_a_law_without_a_density_and_one_without_a_promise():
    (axes,) = plot_law(ij.Zeros(), (24,)).axes
    assert [*steps(axes)] == ["drawn"]
    (value,) = {v for v in steps(axes)["drawn"].values if v}
    assert value * np.diff(steps(axes)["drawn"].edges)[0] == pytest.approx(1)
    assert axes.get_title(loc="left") == "std 0, promised 0"
    axes, _ = plot_law(jax.nn.initializers.normal(), (8, 8)).axes
    assert [*steps(axes)] == ["drawn"]
    assert "promised" not in axes.get_title(loc="left")


def test_matrices_and_filters_are_shown():
    def title(law, shape):
        figure = plot_law(law, shape)
        return figure.axes[1].get_title(loc="left"), figure.axes[1].images[0]

    text, shown = title("identity", (300, 5))
    assert (text, shown.get_array().shape) == ("the matrix, first 256 x 5", (256, 5))
    text, shown = title("zeros", (3, 3, 2, 2))
    assert (text, shown.get_array().shape) == ("the filters", (7, 7))
    assert title("zeros", (64, 4, 16))[0] == "as 256 x 16"
    kernel = np.arange(36.0).reshape(3, 3, 2, 2)
    sheet = tiled(kernel)
    assert np.array_equal(sheet[4:7, :3], kernel[:, :, 1, 0])


# -- weights ---------------------------------------------------------------------------

TREE = {f"w{i:02}": jax.ShapeDtypeStruct((4 + i, 8), "float32") for i in range(43)}
RULES = ij.Rules(
    [("w01", ij.RandomNormal(0.125, 0.25)), ("w02", "ones"), ("**", "zeros")]
)


def test_the_largest_weights_are_shown_with_their_promise():
    params = {
        name: np.random.default_rng(0).standard_normal(x.shape).astype("f4")
        for name, x in TREE.items()
    }
    params["w42"][:2] = np.nan
    params["w41"][:] = np.inf
    params |= {"steps": np.int32(3), "none": np.zeros((0, 3), "f4")}
    figure = plot_params(params, ij.plan(RULES, TREE))
    shown = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title(loc="left") for ax in shown] == [
        f"w{i:02}\n{i + 4}x8" for i in range(3, 43)
    ]
    text = "the 40 largest of 43 weights; dashes: promised mean and one std beside it"
    assert figure.get_suptitle() == text
    assert shown[-2].texts[0].get_text() == "nothing finite"
    assert steps(shown[-1])["drawn"].values.max() > 0
    few = {name: 0.01 * params[name] for name in ("w01", "w02")} | {
        "more": np.ones(3, "f4")
    }
    figure = plot_params(few, ij.plan(RULES, TREE))
    more, one, two = figure.axes
    assert dashes(one) == pytest.approx([-0.125, 0.125, 0.375])
    assert one.get_xlim()[0] < -0.125 < 0.375 < one.get_xlim()[1]
    assert (dashes(two), dashes(more)) == ([1], [])
    assert {ax.get_title(loc="left") for ax in (one, two, more)} == {
        "more\n3", "w01\n5x8", "w02\n6x8",
    }  # fmt: skip
    assert plot_params({"b": np.float32(3)}).get_suptitle() == "1 weight"


def test_large_and_sharded_weights_are_sampled_evenly(monkeypatch):
    monkeypatch.setattr(plots, "_SAMPLE", 100)
    x = np.arange(64 * 32, dtype=np.float32).reshape(64, 32)
    mesh = jax.make_mesh((8,), ("d",))
    sharded = jax.device_put(x, NamedSharding(mesh, PartitionSpec("d")))
    for array in (x, sharded, jnp.asarray(x)):
        sample = plots._sample("x", array)
        assert 50 < sample.size <= 100
        assert np.isin(sample, x).all()
        assert np.mean(sample) == pytest.approx(x.mean(), rel=0.1)
    assert plots._sample("x", x[:2, :3]).tolist() == x[:2, :3].ravel().tolist()


# -- depth -----------------------------------------------------------------------------


def found(forth, back):
    """Products with these root mean squares and gradients, two at each depth."""
    return ij.Propagation(
        tuple(
            PropagationRow(
                *(
                    f"w{i}",
                    1 + i // 2,
                    "dot_general",
                    (2,),
                    "float32",
                    x,
                    0.0,
                    0.0,
                    0.0,
                ),
                *(int(math.isnan(x)), 0, y, 2 * y),
            )
            for i, (x, y) in enumerate(zip(forth, back, strict=True))
        ),
        {},
    )


def test_scale_is_shown_over_depth():
    values, gradients = [1.0, 7.0, 4.0, 4.0, math.nan, 1e4], [3.0, 3, 2, 2, 0.0, 1]
    figure = plot_propagation(found(values, gradients))
    forth, back = figure.axes
    lines = {line.get_label(): line for line in forth.lines}
    assert lines["products"].get_xydata().tolist() == [
        [1, 1], [1, 7], [2, 4], [2, 4], [3, 1e4],
    ]  # fmt: skip
    assert lines["0 or not finite"].get_xdata().tolist() == [3]
    (curve,) = [x for x in forth.lines if x.get_linestyle() == "-"]
    assert curve.get_xydata() == pytest.approx(np.array([[1, 5], [2, 4]]))
    lines = {line.get_label(): line for line in back.lines}
    assert lines["products"].get_ydata().tolist() == [3, 3, 2, 2, 1]
    assert lines["their weights"].get_ydata().tolist() == [6, 6, 4, 4, 2]
    assert lines["their weights"].get_markerfacecolor() == "none"
    assert lines["0 or not finite"].get_xdata().tolist() == [3]
    for axes, largest in ((forth, 1e4), (back, 6)):
        low, high = axes.get_ylim()
        assert axes.get_yscale() == "log"
        assert low < 1 < largest < high
    assert forth.get_title(loc="left") == "activations: x0.8 per product"
    rate = "gradients: x2.06 per product on the way back"
    assert back.get_title(loc="left") == rate
    dead = plot_propagation(found([0.0, 0.0], [0.0, 0.0]))
    assert dead.axes[0].get_title(loc="left") == "activations"


# -- figures ---------------------------------------------------------------------------


def test_no_backend_is_chosen_and_no_style_left_behind(tmp_path):
    before = dict(matplotlib.rcParams)
    assert before["font.size"] == matplotlib.rcParamsDefault["font.size"]
    figure = plot_law("zeros", (3, 3))
    assert dict(matplotlib.rcParams) == before
    figure.savefig(tmp_path / "law.png")
    assert (tmp_path / "law.png").read_bytes().startswith(b"\x89PNG")
    assert figure._repr_png_().startswith(b"\x89PNG")  # in a notebook
    assert pickle.loads(pickle.dumps(figure)).get_suptitle() == figure.get_suptitle()
    code = """if True:
        import sys, initjax as ij
        assert "matplotlib" not in sys.modules
        ij.plot_law("zeros", (3,))
        assert "matplotlib.pyplot" not in sys.modules
        ij.plot_law
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name, call in {
        "plot_law": lambda: plot_law("zeros", (3,)),
        "plot_params": lambda: plot_params({"w": np.ones(3)}),
        "plot_propagation": lambda: plot_propagation(found([1.0], [1.0])),
    }.items():
        message = f"{name} draws with matplotlib; pip install 'initjax[plots]'"
        assert_refused(call, ImportError, message)


# -- wrong uses ------------------------------------------------------------------------

WRONG = {
    "no law": (
        lambda: plot_law(None, (3, 3)),
        TypeError,
        "plot_law: init is a law, a name or a function, got None.",
    ),
    "an unknown law": (
        lambda: plot_law("he_norml", (3, 3)),
        ValueError,
        "get('he_norml'): ",
    ),
    "a bad shape": (
        lambda: plot_law("zeros", (3, -1)),
        ValueError,
        "Zeros()(key, shape=(3, -1)): ",
    ),
    "no entries": (
        lambda: plot_law("zeros", (3, 0)),
        ValueError,
        "plot_law: a weight of shape (3, 0) has no entries to show.",
    ),
    "no floats": (
        lambda: plot_params({"n": np.arange(3), "e": np.zeros((0, 2), "f4")}),
        ValueError,
        "plot_params: none of 2 leaves has float entries.",
    ),
    "rules, no plan": (
        lambda: plot_params({"w": np.ones(3, "f4")}, "plan"),
        TypeError,
        "plot_params: plan is what ij.plan gives, got 'plan'.",
    ),
    "another's plan": (
        lambda: plot_params({"other": np.ones(3, "f4")}, ij.plan(RULES, TREE)),
        ValueError,
        "plot_params: the plan has none of the 1 paths, such as 'other'; give the plan "
        "of this tree.",
    ),
    "a shape for a weight": (
        lambda: plot_params(TREE),
        ValueError,
        "plot_params: 'w03' is only a shape; give arrays.",
    ),
    "no propagation": (
        lambda: plot_propagation({"rows": []}),
        TypeError,
        "plot_propagation: propagation is what ij.propagate gives, got {'rows': []}.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_use_is_refused(name):
    call, kind, message = WRONG[name]
    if message.endswith(": "):  # of the law, whose own tests have the rest
        with pytest.raises(kind) as caught:
            call()
        assert str(caught.value).startswith(message)
    else:
        assert_refused(call, kind, message)
