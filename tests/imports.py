"""What imports what: the wings of the house, and the imports of every module."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "initjax"

# from bottom to top: a wing imports only from wings before it, and from itself
WINGS = [
    "_errors",
    "_fans",
    "_core",
    "_registry",
    "laws",
    "nn typing _engine",
    "_rules",
    "_data",
    "_report",
    "recipes",
    "presets",
    "adapters",
    "_checkpoints",
    "_models _unknown",
    "__init__",
    "_cli",
    "__main__",
]
HEIGHT = {wing: i for i, row in enumerate(WINGS) for wing in row.split()}


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def wing(name):
    return name.partition(".")[0]


def imports(name, source):
    """Yield (a module of initjax or another top-level package, is it initjax's)."""
    path = MODULES.get(name)
    is_package = path is not None and path.name == "__init__.py"
    home = [] if name == "__init__" else name.split(".")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, False
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module, False
        elif isinstance(node, ast.ImportFrom):
            up = node.level - (is_package and name != "__init__")
            base = home[: len(home) - up] + (node.module or "").split(".")
            base = [part for part in base if part]
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                yield (whole if whole in MODULES else ".".join(base)), True
