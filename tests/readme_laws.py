"""README's table of laws, made of the classes; run as a script, it writes it."""

import dataclasses
import inspect
import re
from pathlib import Path

import numpy as np
from cases import HOLDING

import initjax as ij
from initjax._errors import Refused
from initjax.laws.wrapper import Wrapper

README = Path(__file__).parents[1] / "README.md"
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


def law_classes():
    """Every law of the catalogue, by name."""
    laws = [getattr(ij.laws, name) for name in dir(ij.laws)]
    laws = [law for law in laws if isinstance(law, type)]
    return {law.__name__: law for law in laws if issubclass(law, ij.Initializer)}


def plain(text):
    """Docstring to a cell of a table."""
    text = " ".join(text.replace("`", "").split()).rstrip(".")
    for sign, shown in SIGNS:
        text = re.sub(sign, shown, text)
    return text.replace("|", "\\|")


def signature(law):
    """The call, with the arguments that have a place."""
    fields = [f for f in dataclasses.fields(law) if f.init and not f.kw_only]
    shown = [
        f.name if f.default is dataclasses.MISSING else f"{f.name}={f.default!r}"
        for f in fields
        if f.name not in ("seed", "_")
    ]
    return f"`{law.__name__}({', '.join(shown)})`"


def moments(doc):
    """Mean and standard deviation, as the docstring says them before its arguments."""
    body = " ".join(doc.partition("Args:")[0].split())
    if theirs := THEIRS.search(body):
        return (plain(theirs["of"]),) * 2
    found = MOMENTS.search(body.replace("Mean ", "mean "))
    if found is None:
        raise ValueError(f"no 'mean M, standard deviation S' in: {body}")
    return plain(found["mean"]).removeprefix("is "), plain(found["std"])


def source(doc):
    """Authors and year of the first reference, or what it names instead."""
    text = " ".join(doc.partition("References:")[2].split())
    paper = re.match(r"(?P<who>[^\"]+?), \"[^\"]+\",[^;]*?(?P<year>\d{4})", text)
    if paper:
        return f"{paper['who']} {paper['year']}"
    return plain(text.partition(",")[0].partition(";")[0])


def fills(law):
    """The kinds of dtypes that a case of the law fills, laws of laws as theirs do."""
    if issubclass(law, Wrapper):
        return "as its law"
    init, shape = HOLDING[law.__name__]
    kinds = []
    for kind, dtype in KINDS.items():
        try:
            init._make(shape, np.dtype(dtype))
        except (Refused, TypeError, ValueError):
            continue
        kinds.append(kind)
    return " ".join(kinds)


def row(law):
    """One law's row."""
    doc = inspect.cleandoc(law.__doc__)
    entries = re.split(r"[:,] mean |: |\.$", doc.splitlines()[0])[0]
    cells = [signature(law), plain(entries), *moments(doc), fills(law), source(doc)]
    return f"| {' | '.join(cells)} |"


def table():
    """The whole table, as README has it."""
    laws = sorted(law_classes().items())
    rows = [row(law) for _, law in laws]
    return "\n".join([HEAD, re.sub(r"[^|]+", "---", HEAD), *rows])


def written(text):
    """README with the table of now."""
    before, rest = text.split(HEAD.partition(" entries")[0], 1)
    after = rest.partition("\n\n")[2]
    return f"{before}{table()}\n\n{after}"


if __name__ == "__main__":
    README.write_text(written(README.read_text()))
