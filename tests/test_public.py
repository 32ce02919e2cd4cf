"""The public face: names, documentation, imports, README, version."""

import ast
import importlib.metadata
import inspect
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import initjax

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "initjax"


# -- names -----------------------------------------------------------------------


def public(module):
    return [name for name in dir(module) if not name.startswith("_")]


def rank(name):
    """Constants, then classes, then the rest, each by name: how ruff sorts."""
    return (not name.isupper(), not name[0].isupper(), name)


def test_all_is_every_public_name_in_order():
    assert initjax.__all__ == sorted(public(initjax), key=rank)


DOCUMENTED = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (initjax, initjax.laws, initjax.nn, initjax.recipes, initjax.setup)
    for name in public(module)
    if getattr(getattr(module, name), "__module__", "").startswith("initjax")
    or inspect.ismodule(getattr(module, name))
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_public_name_is_documented(name):
    """In its own words: a dataclass without any is given its signature."""
    text = DOCUMENTED[name].__doc__
    assert text
    assert not text.startswith(f"{name.rpartition('.')[2]}(")


# -- imports ---------------------------------------------------------------------

# each module imports only from the layers before its own
LAYERS = [
    "_errors",
    "_bits _fans _placement _values",
    "_subscripts",
    "_declarations",
    "_arguments _config _law _streams",
    "_samplers",
    "_compile _fields",
    "_composed",
    "_initializer",
    "laws.constant laws.orthogonal laws.random laws.scaling laws.structured",
    "laws",
    "_clone _registry nn",
    "_combinators",
    "_depth _mup",
    "setup.jaxprs setup.canonical",
    "setup.rounding",
    "setup.trace setup.keys",
    "setup.hostops",
    "setup.hostkeys setup.outline",
    "setup.placing setup.program",
    "setup.execute setup.table",
    "setup.paths",
    "setup.patterns setup.roots",
    "setup.rules",
    "setup.assign setup.fill",
    "setup.progress setup.setup_plan",
    "setup._fingerprint setup._init_tree setup._jit_init",
    "setup._ensemble setup._mup setup._plan",
    "setup",
    "recipes",
    "__init__",
]
DEPTH = {name: i for i, layer in enumerate(LAYERS) for name in layer.split()}


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def imports(name, source):
    """Yield (a module of initjax or another top-level package, is it initjax's)."""
    is_package = name == "__init__" or f"{name}/__init__.py" in str(MODULES.get(name))
    home = [] if name == "__init__" else name.split(".")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, False
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module, False
        elif isinstance(node, ast.ImportFrom):
            up = node.level - is_package
            base = home[: len(home) - up] + (node.module or "").split(".")
            base = [part for part in base if part]
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                yield (whole if whole in DEPTH else ".".join(base)), True


# extras, imported where they are used
EXTRAS = {"setup.progress": {"rich"}}


def broken_rules(name, source):
    """The imports of a module that its layer does not allow."""
    allowed = {"jax", "numpy", *sys.stdlib_module_names} | EXTRAS.get(name, set())
    return [
        target
        for target, is_ours in imports(name, source)
        if (
            DEPTH.get(target, len(LAYERS)) >= DEPTH[name]
            if is_ours
            else target.partition(".")[0] not in allowed or "_src" in target
        )
    ]


def test_every_module_has_its_layer():
    assert set(MODULES) == set(DEPTH)


@pytest.mark.parametrize("name", DEPTH)
def test_imports_point_one_way_and_at_jax_numpy_and_python_only(name):
    assert broken_rules(name, MODULES[name].read_text()) == []


@pytest.mark.parametrize(
    ("name", "source", "broken"),
    [
        ("_bits", "from ._initializer import Draw", ["_initializer"]),
        ("_bits", "def f():\n    from . import laws", ["laws"]),
        ("laws.random", "from .scaling import HeNormal", ["laws.scaling"]),
        ("laws.random", "from .. import _registry", ["_registry"]),
        ("laws", "from .. import nn", ["nn"]),
        ("_law", "import scipy.special, math", ["scipy.special"]),
        ("_law", "from jax._src import core", ["jax._src"]),
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


def test_another_package_or_a_backend_would_be_seen():
    assert "hypothesis" in loaded("import initjax, hypothesis")
    with pytest.raises(AssertionError, match="none"):
        loaded("import initjax, jax.numpy; jax.numpy.zeros(())", JAX_PLATFORMS="none")


# -- README and version ----------------------------------------------------------


def test_the_readme_runs_from_top_to_bottom(tmp_path, monkeypatch):
    """As one program, without key reuse; a traceback has the README's line numbers."""
    lines, inside, blocks = [], False, 0
    for line in (ROOT / "README.md").read_text().splitlines():
        fence = line.startswith("```")
        blocks += line == "```python"
        inside = line == "```python" if fence else inside
        lines.append(line if inside and not fence else "")
    assert blocks >= 1
    monkeypatch.chdir(tmp_path)
    done = run("\n".join(lines), JAX_DEBUG_KEY_REUSE="1")
    assert done.returncode == 0, done.stderr


def test_the_version_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert importlib.metadata.version("initjax") == project["version"]
