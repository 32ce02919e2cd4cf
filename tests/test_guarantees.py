"""The page of guarantees has all nine, and the tests that pages name are there."""

import ast
import re

import pytest
from pages import PAGES, ROOT, blocks

NAMED = sorted(
    {
        named
        for page in PAGES
        for named in re.findall(r"`(tests/\w+\.py)::(\w+)`", page.read_text())
    }
)
GUARANTEES = (ROOT / "docs/guarantees.md").read_text()
HEADS = re.findall(r"^## (I\d)\. .+$", GUARANTEES, re.MULTILINE)
SECTIONS = dict(
    zip(HEADS, re.split(r"^## I\d\. .+$", GUARANTEES, flags=re.M)[1:], strict=True)
)


def functions_of(path):
    """The functions of a file of tests."""
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("path", "test"), NAMED)
def test_a_test_that_a_page_names_is_there(path, test):
    assert test.startswith("test_")
    assert test in functions_of(ROOT / path)


def test_all_nine_guarantees_are_on_the_page():
    assert HEADS == [f"I{n}" for n in range(1, 10)]


@pytest.mark.parametrize("name", SECTIONS)
def test_a_guarantee_is_promised_shown_tested_and_bounded(name):
    section = SECTIONS[name].partition("\n## ")[0]
    assert re.search(r"^\*\*Promised\.\*\* ", section, re.MULTILINE)
    assert re.search(r"^\*\*Limits\.\*\* ", section, re.MULTILINE)
    shown = [block.language for block in blocks(section)]
    assert {"python", ""} == {*shown}
    assert re.search(r"`tests/\w+\.py::test_\w+`", section)
