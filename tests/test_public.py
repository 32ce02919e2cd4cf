"""The public face: names, documentation, imports, README, version."""

import ast
import graphlib
import importlib.metadata
import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import readme_laws
from imports import HEIGHT, MODULES, imports, wing

import initjax

ROOT = Path(__file__).parents[1]

# -- names -----------------------------------------------------------------------


def public(module):
    return [name for name in dir(module) if not name.startswith("_")]


def rank(name):
    """Constants, then classes, then the rest, each by name: how ruff sorts."""
    return (not name.isupper(), not name[0].isupper(), name)


def test_all_is_every_public_name_in_order():
    from initjax import _models
    from initjax.laws import rare

    names = (
        {*public(_models), *public(rare)}
        | {name for name in vars(initjax) if name[0] != "_"}
        | {"nn", "typing"}
    )
    assert initjax.__all__ == sorted(names - {"TYPE_CHECKING", "Any"}, key=rank)
    assert dir(initjax) == sorted(initjax.__all__)
    assert not hasattr(initjax, "setup")


PRESETS = [getattr(initjax.presets, name) for name in public(initjax.presets)]
ADAPTERS = [getattr(initjax.adapters, name) for name in public(initjax.adapters)]


def is_ours(x):
    return getattr(x, "__module__", getattr(x, "__name__", "")).startswith("initjax")


DOCUMENTED = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (
        *(initjax, initjax.laws, initjax.nn, initjax.recipes),
        *(*PRESETS, *ADAPTERS),
    )
    for name in public(module)
    if is_ours(getattr(module, name))
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_public_name_is_documented(name):
    """In its own words: a dataclass without any is given its signature."""
    text = DOCUMENTED[name].__doc__
    assert text
    assert not text.startswith(f"{name.rpartition('.')[2]}(")


# -- imports ---------------------------------------------------------------------


def framework(module):
    """What an adapter imports; `keras_layers` is of that for Keras."""
    adapter = module.removeprefix("adapters.").partition("_")[0]
    return {"linen": "flax", "nnx": "flax"}.get(adapter, adapter)


# extras, imported where they are used
EXTRAS = {"_engine.progress": {"rich"}} | {
    name: {framework(name)} for name in MODULES if name.startswith("adapters.")
}
WINGS_EXTRAS = {
    **{"_report": {"rich", "matplotlib"}, "_cli": {"rich"}},
    **{"_checkpoints": {"rich", "safetensors"}},
}


def is_allowed(name, target, is_ours):
    if not is_ours:
        extras = EXTRAS.get(name, set()) | WINGS_EXTRAS.get(wing(name), set())
        known = {"jax", "numpy", *sys.stdlib_module_names} | extras
        return target.partition(".")[0] in known and "_src" not in target
    return wing(target) == wing(name) or HEIGHT[wing(target)] < HEIGHT[wing(name)]


def broken_rules(name, source):
    """The imports of a module that its wing does not allow."""
    return [
        target
        for target, is_ours in imports(name, source)
        if not is_allowed(name, target, is_ours)
    ]


def test_every_module_is_in_a_wing():
    """And a private folder has the underscore, its files have none."""
    assert {wing(name) for name in MODULES} == set(HEIGHT)
    assert not [name for name in MODULES if "._" in name]


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way_and_at_jax_numpy_and_python_only(name):
    assert broken_rules(name, MODULES[name].read_text()) == []


def test_the_picture_of_the_house_is_that_of_the_imports():
    """`python docs/_hooks/house.py` draws it anew; all arrows point down."""
    house = runpy.run_path(str(ROOT / "docs/_hooks/house.py"))
    assert {*house["SAYS"]} == {*HEIGHT}
    heights = [HEIGHT[name] for name in house["SAYS"]]
    assert heights == sorted(heights)
    assert house["picture"]() == house["PICTURE"].read_text()
    assert all(HEIGHT[a] > HEIGHT[b] for a, b in house["arrows"](house["imported"]()))


def without_types(source):
    """Source without what only a type checker reads."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return ast.unparse(tree)


def test_no_circle_of_imports():
    """Within a wing too; a package is what its __init__ imports."""
    graph = {
        name: {t for t, ours in imports(name, source) if ours and t != name}
        for name, path in MODULES.items()
        for source in [without_types(path.read_text())]
    }
    for name in MODULES:  # importing a module runs its package's __init__ first
        for target in {*graph[name]}:
            package = target.rpartition(".")[0]
            if package and package != wing(name):
                graph[name].add(package)
    order = graphlib.TopologicalSorter(graph).static_order()
    assert {*order} == {*MODULES}


@pytest.mark.parametrize(
    ("name", "source", "broken"),
    [
        ("_core.bits", "from .initializer import Draw", []),
        ("_core.bits", "def f():\n    from .. import laws", ["laws"]),
        ("laws.random", "from .scaling import HeNormal", []),
        ("laws.random", "from .._engine import plan", ["_engine.plan"]),
        ("laws", "from .. import nn", ["nn"]),
        ("_fans.fan", "from .._core.fields import checked", ["_core.fields"]),
        ("_engine.trace", "from ..nn import zeros", ["nn"]),
        ("_core.promise", "import scipy.special, math", ["scipy.special"]),
        ("_core.promise", "from jax._src import core", ["jax._src"]),
        ("nn", "from . import laws\nfrom jax import lax", []),
    ],
)
def test_a_wrong_import_would_be_seen(name, source, broken):
    assert broken_rules(name, source) == broken


def run(code, **env):
    """Run code in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def loaded(code, **env):
    """The packages that code loads after `import jax` has loaded its own."""
    lines = ["import sys, jax", "before = {*sys.modules}", code]
    lines.append("print(*{m.partition('.')[0] for m in {*sys.modules} - before})")
    done = run("\n".join(lines), **env)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split()) - set(sys.stdlib_module_names)


def test_import_loads_initjax_alone_and_starts_no_backend():
    """No Flax, Keras, torch, SciPy, rich, ...; and a platform that JAX cannot start."""
    assert loaded("import initjax", JAX_PLATFORMS="none") <= {"initjax", "jax"}


def test_what_sets_up_whole_models_is_loaded_when_it_is_asked_for():
    """It takes longer to load than all laws together."""
    late = "print({m for m in sys.modules if m.startswith('initjax._engine')})"
    assert run(f"import sys, initjax; initjax.HeNormal(); {late}").stdout == "set()\n"
    assert "jit_init" in run(f"import sys, initjax; initjax.jit_init; {late}").stdout
    assert run("from initjax import *; print(Rules([]))").returncode == 0


def test_another_package_or_a_backend_would_be_seen():
    assert "hypothesis" in loaded("import initjax, hypothesis")
    with pytest.raises(AssertionError, match="none"):
        loaded("import initjax, jax.numpy; jax.numpy.zeros(())", JAX_PLATFORMS="none")


# -- README and version ----------------------------------------------------------


def test_readmes_table_of_laws_is_made_of_the_classes():
    """`python tests/readme_laws.py` writes it anew."""
    assert readme_laws.written(README := (ROOT / "README.md").read_text()) == README


def test_the_version_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert importlib.metadata.version("initjax") == project["version"]
