"""MkDocs hook: the catalogue, made of the classes: pages, pictures, tables.

Nothing of them is written by hand. What a law is comes from its docstring, what it is
called elsewhere from calling `initjax.presets` and `initjax.nn`, its picture from
`examples/catalogue.py`.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import io
import math
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np

import initjax as ij
from initjax._core.names import BUILT_IN, HIDDEN, LATE
from initjax._errors import Refused
from initjax.laws.wrapper import Wrapper

EXAMPLE = Path(__file__).parents[2] / "examples" / "catalogue.py"
INDEX, LAWS, GALLERY = "catalogue/index.md", "<!-- laws -->", "<!-- gallery -->"
REFERENCE, NAMES = "reference/index.md", "<!-- names -->"
ERROR = re.compile(r"^```\n(?=\w+Error: )", re.MULTILINE)


@functools.cache
def example() -> ModuleType:
    """`examples/catalogue.py`: what is shown of every law, and how."""
    spec = importlib.util.spec_from_file_location("examples_catalogue", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- what a law says of itself ---------------------------------------------------------

HEAD = "| law | entries | mean | standard deviation | dtypes | from |"
MOMENTS = re.compile(  # "mean M, standard deviation S", up to the end of the clause
    r"\bmean (?P<mean>(?:(?!\bmean ).)+?)(?:,| and) (?:standard deviation|std) "
    r"(?P<std>.+?)(?=[.;:](?:\s|$)|, (?:with|entries) |$)"
)
THEIRS = re.compile(  # "Mean and standard deviation are those of ..."
    r"\b[Mm]ean and standard deviation are those (?P<of>of .+?)(?=[.;:,](?:\s|$)|$)"
)
KINDS = {
    "bool": "bool",
    "integers": "int32",
    "floats": "float32",
    "complex": "complex64",
}
SIGNS = [(r"\bsqrt\(", "√("), ("<=", "≤"), (">=", "≥"), (r"\^2\b", "²")]
# laws that fill more dtypes than the ones that are shown
FULLER = {
    "Constant": ij.Constant(1),
    "RandomUniform": ij.RandomUniform(0, 2),
    "Sum": ij.Sum([ij.RandomNormal(), ij.Ones()]),
}


def law_classes() -> dict[str, Any]:
    """Every law of the catalogue, by name."""
    laws = [getattr(ij.laws, name) for name in dir(ij.laws)]
    laws = [law for law in laws if isinstance(law, type)]
    return {law.__name__: law for law in laws if issubclass(law, ij.Initializer)}


def groups() -> dict[str, list[str]]:
    """The names of the laws by the groups that the pictures are in."""
    found = {
        group: list(dict.fromkeys(type(law).__name__ for law, _, _ in rows))
        for group, rows in example().SHOWN.items()
    }
    listed = [name for names in found.values() for name in names]
    if sorted(listed) != sorted(law_classes()):
        odd = {*listed} ^ {*law_classes()} or "one in two groups"
        raise ValueError(f"examples/catalogue.py: not every law once: {odd}")
    return found


def plain(text: str) -> str:
    """Docstring to a cell of a table."""
    text = " ".join(text.split()).rstrip(".")
    if "|" in text:  # which code cannot escape
        text = text.replace("`", "").replace("|", "\\|")
    for sign, shown in SIGNS:
        text = re.sub(sign, shown, text)
    return text


def entries(law: Any) -> str:
    """What the docstring's first line says before mean and standard deviation."""
    line = inspect.cleandoc(law.__doc__).splitlines()[0]
    return plain(re.split(r"[:,] mean |: |\.$", line)[0])


def moments(law: Any) -> tuple[str, str]:
    """Mean and standard deviation, as the docstring says them before its arguments."""
    body = " ".join(inspect.cleandoc(law.__doc__).partition("Args:")[0].split())
    if theirs := THEIRS.search(body):
        return (plain(theirs["of"]),) * 2
    found = MOMENTS.search(body.replace("Mean ", "mean "))
    if found is None:
        raise ValueError(f"no 'mean M, standard deviation S' in: {body}")
    return plain(found["mean"]).removeprefix("is "), plain(found["std"])


def source(law: Any) -> str:
    """Authors and year of the first reference, or what it names instead."""
    text = " ".join(inspect.cleandoc(law.__doc__).partition("References:")[2].split())
    paper = re.match(r"(?P<who>[^\"]+?), \"[^\"]+\",[^;]*?(?P<year>\d{4})", text)
    if paper:
        return f"{paper['who']} {paper['year']}"
    return plain(text.partition(",")[0].partition(";")[0])


def fills(law: Any) -> list[str]:
    """The kinds of dtypes that the law fills: none of its own for a law of laws."""
    if issubclass(law, Wrapper):
        return []
    init, shape, _ = shown_of(law)[0]
    kinds = []
    for kind, dtype in KINDS.items():
        try:
            FULLER.get(law.__name__, init)._make(shape, np.dtype(dtype))
        except (Refused, TypeError, ValueError):
            continue
        kinds.append(kind)
    return kinds


def shown_of(law: Any) -> list[Any]:
    """What is drawn of a law: (law, shape, picture) each."""
    shown = [one for rows in example().SHOWN.values() for one in rows]
    return [one for one in shown if type(one[0]) is law]


def row(law: Any) -> str:
    """One law's row."""
    dtypes = ", ".join(fills(law)) or "as its law"
    name = f"[`{law.__name__}`]({law.__name__}.md)"
    cells = [name, entries(law), *moments(law), dtypes, source(law)]
    return f"| {' | '.join(cells)} |"


def table() -> str:
    """All laws, a table a group."""
    laws = law_classes()
    rule = re.sub(r"[^|]+", "---", HEAD)
    parts = []
    for group, names in groups().items():
        parts += [
            f"### {group}",
            "\n".join([HEAD, rule, *(row(laws[n]) for n in names)]),
        ]
    return "\n\n".join(parts)


# -- what it is called elsewhere -------------------------------------------------------

# for the arguments that a preset needs
NEEDED: dict[str, Any] = {
    **{"value": 1.0, "val": 1.0, "constant": 1.0, "scale": 1.0, "sparsity": 0.9},
    **{"mode": "fan_in", "distribution": "truncated_normal"},
    **{"dims": 64, "fan_in": 64, "hidden": 64, "inputs": 64, "outputs": 64},
    **{"units": 64, "classes": 1000},
}


OTHERS = "The same name, another law:"


class Peer(NamedTuple):
    """A name of another library, how it was called, and the law that it makes."""

    library: str
    name: str
    call: str
    law: Any
    place: str | None


def exported(module: ModuleType) -> list[str]:
    """The public names of a module: what it defines, and what it imports as itself."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    names: list[str] = []
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [n.id for t in node.targets for n in ast.walk(t) if is_name(n)]
        elif isinstance(node, ast.ImportFrom):
            where = "." * node.level + (node.module or "")
            for alias in node.names:
                if alias.name == "*":
                    names += exported(
                        importlib.import_module(where, module.__package__)
                    )
                elif alias.asname == alias.name:
                    names.append(alias.name)
    made = {n: getattr(module, n) for n in names if n[0] != "_"}
    return [n for n, x in made.items() if is_entry(x)]


def is_name(node: ast.AST) -> bool:
    """Whether a node of a target is the name that is bound."""
    return isinstance(node, ast.Name)


def is_entry(x: Any) -> bool:
    """Whether an object is a function, class, law or module of initjax."""
    if isinstance(x, ij.Initializer):
        return True
    where = x.__name__ if inspect.ismodule(x) else getattr(x, "__module__", "")
    is_kind = inspect.isfunction(x) or inspect.isclass(x) or inspect.ismodule(x)
    return is_kind and where.split(".")[0] == "initjax"


def libraries() -> dict[str, ModuleType]:
    """The modules that have the names of other libraries."""
    presets = {name: getattr(ij.presets, name) for name in exported(ij.presets)}
    return {"initjax.nn": ij.nn} | {f"presets.{n}": x for n, x in presets.items()}


@functools.cache
def peers() -> tuple[Peer, ...]:
    """Every name of another library that makes a law, called with its defaults."""
    found = []
    for library, module in libraries().items():
        for name in exported(module):
            make, given = getattr(module, name), {}
            if not isinstance(make, ij.Initializer):
                given = {p: NEEDED[p] for p in needs(make)}
            law = make if isinstance(make, ij.Initializer) else make(**given)
            if not isinstance(law, ij.Initializer):
                continue  # rules of a whole model
            text = ", ".join(f"{key}={value!r}" for key, value in given.items())
            is_made = inspect.isfunction(make)
            place = f"{make.__module__}.{make.__name__}" if is_made else None
            call = name if law is make else f"{name}({text})"
            found.append(Peer(library, name, call, law, place))
    return tuple(found)


def needs(make: Any) -> list[str]:
    """The arguments without a default."""
    parameters = inspect.signature(make).parameters.values()
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [
        p.name for p in parameters if p.default is p.empty and p.kind not in variable
    ]


def is_of(law: Any, cls: Any) -> bool:
    """Whether a law is one of a class, or equal in law to the class's default."""
    if type(law) is cls:
        return True
    if type(law) is not ij.VarianceScaling or not issubclass(cls, ij.VarianceScaling):
        return False
    named = cls()
    return (
        math.isclose(law.scale, named.scale)
        and (law.mode, law.distribution) == (named.mode, named.distribution)
        and law.fan is None
        and law.in_axis is None
        and cls is not ij.VarianceScaling
    )


def identifiers(cls: Any) -> list[str]:
    """The names that `get` and Keras's files know the law by."""
    for load in LATE:
        load()
    return [name for name, x in BUILT_IN.items() if x is cls and name not in HIDDEN]


def flat(name: str) -> str:
    """A name without case and underscores."""
    return name.replace("_", "").lower()


def names_table(cls: Any) -> str:
    """What the law is called elsewhere, and what else is called so."""
    known = ", ".join(f'`"{name}"`' for name in identifiers(cls))
    lines = [f"`ij.get` takes {known}."]
    if made := makers(cls):
        lines.append("Functions that make one:\n\n" + "\n".join(made))
    own = [peer for peer in peers() if is_of(peer.law, cls)]
    spelled = {flat(name) for name in identifiers(cls)}
    others = [p for p in peers() if flat(p.name) in spelled and p not in own]
    if own:
        lines.append(calls_table(own))
    if others:
        lines += [OTHERS, calls_table(others)]
    return "\n\n".join(lines)


def makers(cls: Any) -> list[str]:
    """The functions of initjax that return the law, as a list."""
    functions = {name: getattr(ij, name) for name in ij.__all__}
    return [
        f"- [`ij.{name}`][initjax.{name}]: {said(function)}"
        for name, function in functions.items()
        if inspect.isfunction(function)
        and inspect.signature(function).return_annotation == cls.__name__
    ]


def calls_table(found: list[Peer]) -> str:
    """Names of other libraries, a row for each law that they make."""
    rows: dict[str, list[str]] = {}
    for peer in found:
        call = f"`{peer.library}.{peer.call}`"
        linked = f"[{call}][{peer.place}]" if peer.place else call
        rows.setdefault(written(peer.law), []).append(linked)
    lines = ["| law | in other libraries |", "|---|---|"]
    lines += [f"| `{law}` | {'<br>'.join(calls)} |" for law, calls in rows.items()]
    return "\n".join(lines)


def written(law: Any) -> str:
    """A law as it is written, with numbers of six digits, cut where it is long."""
    text = example().title(law, most=90)
    return re.sub(r"\d+\.\d{7,}", lambda n: str(round(float(n[0]), 6)), text)


# -- the pages -------------------------------------------------------------------------


def picture_names(law: Any) -> list[str]:
    """The files of a law's pictures."""
    return [
        f"pictures/{law.__name__}{f'-{i}' if i else ''}.png"
        for i, _ in enumerate(shown_of(law))
    ]


@functools.cache
def picture(law: Any, shape: tuple[int, ...], how: Any) -> bytes:
    """What a law draws of a shape, as PNG."""
    import matplotlib

    from initjax._report import drawing

    with matplotlib.rc_context(drawing.STYLE):
        figure, (axes,) = drawing.panels(1, 1, 3.2, 2.4)
        example().show(axes, law, shape, how)
        if how is drawing.histogram:
            drawing.few_ticks(axes)
        else:
            axes.set_xticks([])
            axes.set_yticks([])
        file = io.BytesIO()
        figure.savefig(file, dpi=150)
    return file.getvalue()


def caption(law: Any, shape: tuple[int, ...], how: Any) -> str:
    """What a picture is of."""
    shown = inspect.cleandoc(how.__doc__).partition("\n")[0].removeprefix("Show ")
    return f"`{written(law)}(key, {shape})`: {plain(shown)}."


def promise(law: Any, shape: tuple[int, ...]) -> str | None:
    """Mean, standard deviation, bounds and fans for a shape, as one sentence."""
    law_of_entry = example().promise(law, shape)
    if law_of_entry is None:
        return None
    mean, std = number(law_of_entry.mean), number(law_of_entry.std)
    low, high = number(law_of_entry.low), number(law_of_entry.high)
    text = f"mean {mean}, standard deviation {std}, entries from {low} to {high}"
    if fans := law_of_entry.fans:
        text += f", fan_in {fans[0]:g}, fan_out {fans[1]:g}"
    return text


def number(x: Any) -> str:
    """A number with four digits."""
    return f"{x:.4g}".replace("inf", "∞").replace("-", "\u2212")


def page(name: str) -> str:
    """The page of a law."""
    law = law_classes()[name]
    shown = shown_of(law)
    mean, std = moments(law)
    rows = {
        "entries": entries(law),
        "mean": mean,
        "standard deviation": std,
        "dtypes": ", ".join(fills(law)) or "those of its law",
        "from": source(law),
        f"for {shown[0][1]}": promise(*shown[0][:2]),
    }
    pictures = [
        f"![{name}: {plain(how.__doc__.splitlines()[0])}]({file}){{ .law }}\n\n"
        f"{caption(init, shape, how)}\n"
        for (init, shape, how), file in zip(shown, picture_names(law), strict=True)
    ]
    spellings = [one for one in identifiers(law) if one.islower()] or [name]
    lines = ["| | |", "|---|---|"]
    lines += [f"| {key} | {text} |" for key, text in rows.items() if text]
    parts = [
        f"# {name}\n",
        f"{said(law)}.\n",
        *pictures,
        "\n".join(lines) + "\n",
        f"## Names: {', '.join(spellings)}\n",
        names_table(law) + "\n",
        f"::: initjax.{name}\n",
    ]
    return "\n".join(parts)


def gallery() -> str:
    """All pictures, each a link to its law's page."""
    links = [
        f"[![{name}]({file}){{ loading=lazy }}{name}]({name}.md)"
        for names in groups().values()
        for name in names
        for file in picture_names(law_classes()[name])
    ]
    return '<div class="gallery" markdown>\n\n' + "\n".join(links) + "\n\n</div>"


def said(x: Any) -> str:
    """The first paragraph of what it says it is."""
    text = inspect.cleandoc(x.__doc__).partition("\n\n")[0]
    text = text.removeprefix("Return ") if inspect.isfunction(x) else text
    return plain(text)


def names_of_all() -> str:
    """Every public name of initjax, with what it says it is."""
    rows = ["| name | what it is |", "|---|---|"]
    for name in ij.__all__:
        rows.append(f"| [`{name}`][initjax.{name}] | {said(getattr(ij, name))} |")
    return "\n".join(rows)


# -- MkDocs ----------------------------------------------------------------------------


def on_config(config: Any) -> Any:
    """Put every law's page below the catalogue."""
    pages = [
        {group: [f"catalogue/{name}.md" for name in names]}
        for group, names in groups().items()
    ]
    for item in config.nav:
        if "Catalogue" in item and len(item["Catalogue"]) == 1:
            item["Catalogue"] += pages
    return config


def on_files(files: Any, config: Any) -> Any:
    """Make the pages and the pictures."""
    from mkdocs.structure.files import File

    for name, law in law_classes().items():
        uri = f"catalogue/{name}.md"
        files.append(File.generated(config, uri, content=page(name)))
        for shown, file in zip(shown_of(law), picture_names(law), strict=True):
            uri = f"catalogue/{file}"
            files.append(File.generated(config, uri, content=picture(*shown)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put the tables and the gallery where pages ask for them; mark errors."""
    markdown = ERROR.sub("``` { .text .error }\n", markdown)
    if page.file.src_uri == INDEX:
        return markdown.replace(LAWS, table()).replace(GALLERY, gallery())
    if page.file.src_uri == REFERENCE:
        return markdown.replace(NAMES, names_of_all())
    return markdown
