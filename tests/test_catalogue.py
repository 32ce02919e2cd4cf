"""The site's catalogue and reference: a page for every law, an entry for every name."""

import ast
import functools
import inspect
import itertools
import re
from types import SimpleNamespace

import pytest
from pages import ROOT
from tools import hook

import initjax as ij

CATALOGUE = hook()
LAWS = CATALOGUE.law_classes()
MARKS = {
    CATALOGUE.INDEX: (CATALOGUE.LAWS, CATALOGUE.GALLERY),
    CATALOGUE.REFERENCE: (CATALOGUE.NAMES,),
}
NAV = (ROOT / "mkdocs.yml").read_text()
REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))


@pytest.mark.parametrize("name", LAWS)
def test_every_law_has_a_page_and_a_row(name):
    """Its docstring says what a law is: entries, mean, standard deviation, source."""
    law, page = LAWS[name], CATALOGUE.page(name)
    assert page.count(f"\n::: initjax.{name}\n") == 1
    assert page.startswith(f"# {name}\n")
    assert all(CATALOGUE.moments(law))
    assert all(f'`"{one}"`' in page for one in CATALOGUE.identifiers(law))
    assert all(f"]({file})" in page for file in CATALOGUE.picture_names(law))
    row = CATALOGUE.row(law)
    assert len(re.findall(r"(?<!\\)\|", row)) == 7


def test_the_groups_of_the_example_have_every_law_once(monkeypatch):
    names = [name for group in CATALOGUE.groups().values() for name in group]
    assert sorted(names) == sorted(LAWS)
    monkeypatch.setitem(CATALOGUE.example().SHOWN, "Constants", [])
    with pytest.raises(ValueError, match="Ones"):
        CATALOGUE.groups()


def test_a_docstring_that_lacks_a_moment_is_refused():
    class Law(ij.Initializer):
        """Entries of a kind: mean 0."""

    with pytest.raises(ValueError, match="standard deviation S"):
        CATALOGUE.moments(Law)


@pytest.mark.parametrize(
    ("law", "cell"),
    [
        (
            "HeNormal",
            "0 | √(2 / fan_in) | floats, complex | He et al. 2015",
        ),
        ("Rademacher", "floats | `jax.random.rademacher`"),
        ("RandomUniform", "integers, floats | Keras 2 and 3"),
        ("Zeros", "All entries 0 | 0 | 0 | bool, integers, floats, complex | Keras"),
        ("Ring", r"on the ring r_min ≤ \|z\| ≤ r_max, phases"),
        ("Ring", "complex | Orvieto et al. 2023"),
        ("Scaled", "of the law times `by` | of the law times `by` | as its law"),
    ],
)
def test_a_row_says_what_the_class_says(law, cell):
    assert cell in CATALOGUE.row(LAWS[law])


SAME, OTHER = True, False


@pytest.mark.parametrize(
    ("law", "library", "name", "is_same"),
    [
        ("HeNormal", "initjax.nn", "kaiming_normal", SAME),
        ("HeNormal", "presets.torch", "kaiming_normal", OTHER),  # it is not cut
        ("HeNormal", "presets.mlx", "he_normal", OTHER),  # of gain 1
        ("HeUniform", "presets.torch", "kaiming_uniform", SAME),
        ("GlorotUniform", "presets.torch", "xavier_uniform", SAME),
        ("GlorotUniform", "presets.praxis", "Xavier", SAME),
        ("LecunNormal", "presets.flax", "dense", SAME),
        ("VarianceScaling", "presets.torch", "linear", SAME),
        ("VarianceScaling", "presets.haiku", "Linear", SAME),
        ("Sparse", "presets.torch", "sparse", SAME),
        ("Zeros", "initjax.nn", "zeros", SAME),
        ("PerPart", "presets.keras", "lstm_bias", SAME),
        ("VarianceScaling", "presets.lingvo", "UniformUnitScalingFanAvg", SAME),
    ],
)
def test_a_page_has_the_names_of_other_libraries(law, library, name, is_same):
    """And says which of its own names mean another law there."""
    table = CATALOGUE.names_table(LAWS[law])
    own, _, others = table.partition(CATALOGUE.OTHERS)
    call = re.compile(rf"`{library}\.{name}\b")
    assert bool(call.search(own)) is is_same
    assert bool(call.search(others)) is not is_same


@pytest.mark.parametrize(
    ("law", "names"),
    [
        ("Masked", ["masked"]),
        ("RandomNormal", ["random_fourier", "small_init", "wang_init"]),
        ("HeNormal", []),
    ],
)
def test_a_page_has_the_functions_that_make_the_law(law, names):
    made = re.findall(r"^- \[`ij\.(\w+)`\]", CATALOGUE.page(law), re.MULTILINE)
    assert made == names


def test_every_function_that_makes_a_law_is_on_its_page():
    """All presets are called: those that need arguments find them in a table."""
    peers = CATALOGUE.peers()
    assert {peer.library for peer in peers} == {*CATALOGUE.libraries()}
    for peer in peers:
        table = CATALOGUE.names_table(type(peer.law))
        assert f"`{peer.library}.{peer.call}`" in table


@pytest.mark.parametrize("name", ["HeNormal", "Orthogonal", "Gabor"])
def test_a_picture_is_made_of_real_draws(name):
    shown = CATALOGUE.shown_of(LAWS[name])
    assert len(shown) == len(CATALOGUE.picture_names(LAWS[name]))
    assert CATALOGUE.picture(*shown[0]).startswith(b"\x89PNG")


def test_the_site_has_the_pages_and_the_tables():
    """What MkDocs asks of the hook, but for files."""
    nav = [{"Catalogue": [CATALOGUE.INDEX]}, {"Benchmarks": "benchmarks.md"}]
    config = SimpleNamespace(nav=nav)
    for _ in range(2):  # again, when the site is served
        CATALOGUE.on_config(config)
    (first, *groups), last = nav[0]["Catalogue"], nav[1]
    assert (first, last) == (CATALOGUE.INDEX, {"Benchmarks": "benchmarks.md"})
    listed = [page for group in groups for pages in group.values() for page in pages]
    assert sorted(listed) == sorted(f"catalogue/{name}.md" for name in LAWS)
    for path, marks in MARKS.items():
        text = (ROOT / "docs" / path).read_text()
        assert all(text.count(mark) == 1 for mark in marks)
        page = SimpleNamespace(file=SimpleNamespace(src_uri=path))
        made = CATALOGUE.on_page_markdown(text, page)
        assert not any(mark in made for mark in marks)
        assert CATALOGUE.row(LAWS["Ones"]) in made or "[`Ones`][initjax.Ones]" in made
    page = SimpleNamespace(file=SimpleNamespace(src_uri="errors.md"))
    shown = CATALOGUE.on_page_markdown("```\nKeyError: no\n```\n\n```\n1\n```", page)
    assert shown == "``` { .text .error }\nKeyError: no\n```\n\n```\n1\n```"


# -- the reference ---------------------------------------------------------------------

ENTRY = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)
DOORS = ("laws", "presets", "adapters")
MODULES = [
    *("nn", "typing", "recipes", *DOORS),
    *(f"presets.{name}" for name in CATALOGUE.exported(ij.presets)),
    *(f"adapters.{name}" for name in ij.adapters.__all__),
]


@functools.cache
def entries():
    """The names that have entries, each with what is written below it."""
    pages = [path.read_text() for path in REFERENCE]
    pages += [CATALOGUE.page(name) for name in LAWS]
    parts = [ENTRY.split(page) for page in pages]
    return [pair for one in parts for pair in zip(one[1::2], one[2::2], strict=True)]


def test_every_public_name_has_one_entry():
    """A module's functions are members of its entry."""
    wanted = [f"initjax.{name}" for name in (*ij.__all__, *MODULES)]
    assert sorted(name for name, _ in entries()) == sorted({*wanted})


def module_of(name):
    return functools.reduce(getattr, name.split("."), ij)


def is_import(node):
    return isinstance(node, ast.alias)


def shown_in(name):
    """What the entry of a module shows, and what is said below it."""
    body = ast.parse(inspect.getsource(module_of(name))).body
    shown = {getattr(node, "name", None) for node in body}  # functions, classes
    for before, node in itertools.pairwise(body):
        if isinstance(before, ast.Assign) and isinstance(node, ast.Expr):
            shown |= {target.id for target in before.targets}  # with a docstring
    if hasattr(module_of(name), "__all__"):  # then what is imported is shown too
        nodes = [node for one in body for node in ast.walk(one)]
        shown |= {node.asname or node.name for node in nodes if is_import(node)}
    below = dict(entries())[f"initjax.{name}"]
    if listed := re.search(r"members: \[(.*)\]", below):
        shown = {*listed[1].split(", ")}
    return shown | {*re.findall(r"`(\w+)`", below)}


@pytest.mark.parametrize("name", [m for m in MODULES if m not in DOORS])
def test_every_name_of_a_module_is_in_its_entry(name):
    """What it only passes on is named below the entry."""
    names = {*CATALOGUE.exported(module_of(name))}
    assert names
    assert names - shown_in(name) == set()


def test_a_name_that_is_passed_on_counts_as_public():
    assert "Linear" in CATALOGUE.exported(ij.presets.sonnet)
    assert "squared" not in CATALOGUE.exported(ij.presets.praxis)
    assert "he_normal" in CATALOGUE.exported(ij.presets.flax)


def test_the_list_of_names_has_all_of_them():
    listed = re.findall(r"^\| \[`(\w+)`\]", CATALOGUE.names_of_all(), re.MULTILINE)
    assert listed == ij.__all__


def test_every_page_is_in_the_navigation_once():
    listed = re.findall(r"- (?:\w+: )?([\w/-]+\.md)$", NAV, re.MULTILINE)
    docs = ROOT / "docs"
    assert sorted(listed) == sorted(
        str(p.relative_to(docs)) for p in docs.rglob("*.md")
    )
