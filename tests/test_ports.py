"""The pages "Coming from" and "Errors": their tables are whole, and every row is true.

A row of a page's table is a case here: what it writes in code is evaluated.
"""

import ast
import dataclasses
import fnmatch
import json
import os
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.nn import initializers
from pages import ROOT, blocks
from tools import assert_moments, assert_same_bits, root

import initjax as ij
from initjax import presets

DOCS = ROOT / "docs"


def rows(page, heading, columns):
    """The cells of a section's table, each a list of what it has in code."""
    text = (DOCS / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [
        [re.findall("`([^`]+)`", cell) for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if re.match(r"\| [`\[]", line)
    ]
    assert cells, f"{page} has no table under {heading!r}"
    assert {*map(len, cells)} == {columns}, "a row of another length"
    return cells


def cases(cells):
    """A test a row, called by its first cell."""
    return [pytest.param(*row, id=row[0][0]) for row in cells]


def names(cells, module):
    """What the first column calls of a module."""
    return {
        name
        for row in cells
        for text in row[0]
        for name in re.findall(rf"{re.escape(module)}\.(\w+)", text)
    }


def evaluate(code, **known):
    return eval(code, {"ij": ij, "np": np, "init": presets.torch} | known)


def public(module):
    return {name for name in dir(module) if not name.startswith("_")}


# -- jax.nn.initializers ---------------------------------------------------------------

JAX = rows("how-to/from-jax.md", "Every name", 3)
SHAPE = (3, 3, 6, 8)  # a kernel of which every law of JAX makes one
PROTOCOL = initializers.Initializer


def test_every_name_of_jax_has_a_row():
    assert names(JAX, "initializers") == public(initializers)


@pytest.fixture(scope="module")
def drawn_by_jax():
    """What every row's old line draws: together, they compile their bits once."""
    lines = {row[0][0]: evaluate(*row[0], initializers=initializers) for row in JAX}
    draws = {line: init for line, init in lines.items() if init is not PROTOCOL}
    with jax.debug_key_reuse(False):
        arrays = jax.jit(
            lambda key: {
                line: init(key, SHAPE, jnp.float32) for line, init in draws.items()
            }
        )(root())
    return lines | arrays


@pytest.mark.parametrize(("old", "drop_in", "law"), cases(JAX))
def test_a_row_of_jax_has_the_bits_of_the_old_line(old, drop_in, law, drawn_by_jax):
    assert drop_in == [old[0].replace("initializers", "ij.nn")], "one import changes"
    expected = drawn_by_jax[old[0]]
    for new in (drop_in, law):
        ours = evaluate(*new)
        if ours is PROTOCOL:
            assert ours is expected
        else:
            assert_same_bits(ours(root(), SHAPE), expected, new)


# -- keras.initializers ----------------------------------------------------------------

KERAS = rows("how-to/from-keras.md", "Every class", 3)
FUNCTIONS = rows("how-to/from-keras.md", "Every function", 2)
RANDOM = [row for row in KERAS if "seed" in dir(evaluate(*row[1]))]


@pytest.fixture
def keras(as_frameworks_expect):
    return pytest.importorskip("keras")


def in_keras(old, keras):
    return evaluate(*old, keras=keras, initializers=keras.initializers)


def bare(node):
    """A config without what is None; a generator is its seed."""
    if isinstance(node, dict) and node.get("class_name") == "SeedGenerator":
        return node["config"]["seed"]
    if isinstance(node, dict):
        return {name: bare(x) for name, x in node.items() if x is not None}
    return [*map(bare, node)] if isinstance(node, (list, tuple)) else node


def test_every_name_of_keras_has_a_row(keras):
    """All 62 strings of Keras 2 and 3, each once."""
    strings = [name for row in KERAS for name in row[2]]
    assert len(strings) == len({*strings}) == 62
    listed = {*strings} | names(KERAS + FUNCTIONS, "initializers")
    assert public(keras.initializers) <= listed
    assert {*keras.src.initializers.ALL_OBJECTS_DICT} <= {*strings}


@pytest.mark.parametrize(("old", "law", "strings"), cases(KERAS))
def test_a_row_of_keras_is_saved_alike(keras, old, law, strings):
    theirs, ours = in_keras(old, keras), evaluate(*law)
    kind = theirs if isinstance(theirs, type) else type(theirs)
    known = keras.src.initializers.ALL_OBJECTS_DICT
    for name in strings:
        assert ij.get(name) == (ours if isinstance(ours, type) else type(ours))()
        assert "V2" in name or known[name] is kind
    if theirs is kind:
        return
    node = json.loads(json.dumps(ij.serialize(ours, form="keras3")))
    saved = keras.initializers.serialize(theirs)
    loses_its_gain = kind is keras.initializers.Identity  # Keras 3.15
    assert loses_its_gain or bare(node) == bare(saved)
    assert ij.deserialize(saved) == ours
    again = keras.initializers.deserialize(node)
    assert type(again) is kind
    assert bare(again.get_config()) == bare(theirs.get_config())


@pytest.mark.parametrize(("old", "law", "_"), cases(RANDOM))
def test_a_law_under_keras_s_key_draws_keras_s_numbers(keras, old, law, _):
    """Up to the last bits; Orthogonal where it is by QR, too."""
    theirs, ours = in_keras(old, keras), evaluate(*law)
    theirs = type(theirs).from_config(theirs.get_config() | {"seed": 3})
    by = {"method": "qr"} if hasattr(ours, "method") else {}
    ours = dataclasses.replace(ours, seed=None, **by)
    x = ours(jnp.array([3, 0], "uint32"), (4, 6, 8))
    np.testing.assert_allclose(x, theirs((4, 6, 8)), rtol=2e-6, atol=1e-6)


def plain(x, keras):
    """What may be compared: Keras's objects as our laws, arrays as lists."""
    if isinstance(x, keras.initializers.Initializer):
        return ij.deserialize(keras.initializers.serialize(x))
    return np.asarray(x).tolist() if hasattr(x, "shape") else bare(x)


@pytest.mark.parametrize(("old", "new"), cases(FUNCTIONS))
def test_a_function_of_keras_gives_the_same(keras, old, new):
    theirs, ours = in_keras(old, keras), evaluate(*new)
    assert plain(theirs, keras) == plain(ours, keras)


# -- torch.nn.init ---------------------------------------------------------------------

TORCH = rows("how-to/from-torch.md", "Every function", 3)
GAINS = rows("how-to/from-torch.md", "Gains", 2)
LAYERS = rows("how-to/from-torch.md", "What layers begin with", 2)


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch


@pytest.mark.parametrize(("_", "preset", "law"), cases(TORCH))
def test_a_preset_of_torch_promises_what_the_class_does(_, preset, law):
    shape = (3, 3, 16, 32) if "dirac" in preset[0] else (60, 70)
    ours, plain = (evaluate(*one).law(shape) for one in (preset, law))
    for name in ("mean", "std", "low", "high"):
        assert getattr(ours, name) == pytest.approx(getattr(plain, name), rel=1e-12)


def is_of(x, module):
    """Whether a module has made it; what it imports is another's."""
    return getattr(x, "__module__", None) == module.__name__


def test_every_function_of_torch_has_a_row(torch):
    init = torch.nn.init
    own = {n for n in public(init) if is_of(getattr(init, n), init)}
    old = {name for row in TORCH for name in row[0][1:]}
    assert own == old | names(TORCH + GAINS, "nn.init")


def turned(shape):
    """A shape of torch's, outputs and inputs first, in our order."""
    return (*shape[2:], *shape[1::-1])


def follows(x, law):
    """Draws are of a law: bounds, and moments within five standard errors."""
    x = x.detach().numpy().astype(np.float64)
    assert law.low - 1e-6 * abs(law.low) <= x.min()
    assert x.max() <= law.high + 1e-6 * abs(law.high)
    if law.std:
        assert_moments(x, law.mean, law.std)


@pytest.mark.parametrize(("old", "preset", "_"), cases(TORCH))
def test_a_row_of_torch_is_of_the_law_of_the_old_line(torch, old, preset, _):
    w, k = torch.empty(70, 60), torch.empty(32, 16, 3, 3)
    x = evaluate(old[0], nn=torch.nn, w=w, k=k)
    follows(x, evaluate(*preset).law(turned(x.shape)))


@pytest.mark.parametrize(("old", "law"), cases(LAYERS))
def test_a_layer_of_torch_begins_as_its_row_says(torch, old, law):
    x = evaluate(*old, nn=torch.nn)
    follows(x, evaluate(*law).law(turned(x.shape)))


@pytest.mark.parametrize(("old", "new"), cases(GAINS))
def test_a_gain_of_torch_is_the_same_number(torch, old, new):
    assert evaluate(*new) == pytest.approx(evaluate(*old, nn=torch.nn), rel=1e-12)


def test_the_old_lines_of_the_page_are_torch(torch):
    made = {}
    for block in blocks((DOCS / "how-to/from-torch.md").read_text()):
        if block.language == "py":
            exec(block.text, made)
    he = presets.torch.kaiming_normal(nonlinearity="relu")
    follows(made["model"][0].weight, he.law((64, 128)))


# -- errors ----------------------------------------------------------------------------


def raises(path):
    """Whether a module refuses or raises anything itself; to say where is no raise."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Raise) and node.exc is not None:
            where = isinstance(node.exc, ast.Call) and node.exc.func
            if getattr(where, "attr", "") != "at":
                return True
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refused":
            return True
    return False


RAISING = [
    os.fspath(path.relative_to(ROOT / "initjax").with_suffix(""))
    for path in sorted((ROOT / "initjax").rglob("*.py"))
    if raises(path)
]


def test_every_module_that_raises_has_a_family():
    """And every module of the table raises."""
    families = rows("errors.md", "Where they are raised", 2)
    listed = [pattern for row in families for pattern in row[1]]
    homeless = [
        name for name in RAISING if not any(fnmatch.fnmatch(name, p) for p in listed)
    ]
    assert not homeless, "add them to the table of docs/errors.md"
    assert not [p for p in listed if not fnmatch.filter(RAISING, p)]


def test_every_family_of_errors_has_an_example():
    """A block that raises, or a command that fails, under each heading."""
    text = (DOCS / "errors.md").read_text()
    families = re.findall(r"^\| \[(.+?)\]\(#", text, re.MULTILINE)
    sections = {part.split("\n")[0]: part for part in text.split("\n## ")[1:]}
    assert families == [*sections][:-1]
    for name in families:
        assert re.search(r"```\n\w+Error: |\$ initjax", sections[name]), name
