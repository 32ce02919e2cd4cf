"""README and the pages of docs/ run from top to bottom, and show what they print."""

import re
import tomllib

import jax
import pages
import pytest
from pages import PAGES, ROOT, blocks
from tools import VERSION

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUN = [page for page in PAGES if re.search("```(python|console)", page.read_text())]


def name_of(page):
    return str(page.relative_to(ROOT).with_suffix(""))


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_a_page_runs(page, tmp_path, monkeypatch, as_frameworks_expect, registry):
    """Outputs are those of the newer jax: older ones compile other programs."""
    if "\nwith jax.set_mesh(" in page.read_text() and not hasattr(jax, "set_mesh"):
        pytest.skip("jax.set_mesh is newer")
    monkeypatch.chdir(tmp_path)
    pages.run(page, compare=VERSION >= (0, 9))


@pytest.mark.parametrize(
    ("shown", "printed", "like"),
    [
        ("a\nb", "a  \nb\n", True),
        ("a\nb", "a\nc", False),
        ("a\n...\nz", "a\nb\nc\nz", True),
        ("a ... c", "a b c", True),
        ("a\n...", "b\nc", False),
        ("1.5", "1x5", False),
    ],
)
def test_a_wrong_output_would_be_seen(shown, printed, like):
    assert pages.is_like(shown, printed) is like


SHELL = [
    pytest.param(block.text, id=f"{name_of(page)}-{block.line}")
    for page in PAGES
    for block in blocks(page.read_text())
    if block.language == "sh"
]


@pytest.mark.parametrize("text", SHELL)
def test_what_a_shell_block_names_is_there(text):
    """Extras, scripts and files of the repository; what it does is for a shell."""
    for extras in re.findall(r"(?:initjax|\.)\[([\w,-]+)\]", text):
        assert {*extras.split(",")} <= {*PROJECT["optional-dependencies"]}
    for path in re.findall(r"(?:\.ci|benchmarks|examples|tests|docs)/[\w./*-]+", text):
        assert [*ROOT.glob(path)], path


DIFFS = {
    f"{name_of(page)}-{block.line}": block.text
    for page in PAGES
    for block in blocks(page.read_text())
    if block.language == "diff" and "+++ b/" in block.text
}


def lacking(diff):
    """The first line of a diff that its file has not, or not in that order."""
    rest = iter(())
    for line in diff.splitlines():
        if line.startswith("+++ b/"):
            rest = iter((ROOT / line.removeprefix("+++ b/")).read_text().splitlines())
        elif line.startswith(("+", "@@ ", " ")) and line != "+":
            wanted = line.removeprefix("@@ ") if line[0] == "@" else line[1:]
            if wanted not in rest:  # from where the last one stood
                return line
    return None


@pytest.mark.parametrize("name", DIFFS)
def test_what_a_diff_adds_is_in_the_file(name):
    assert lacking(DIFFS[name]) is None


@pytest.mark.parametrize(
    ("lines", "first"),
    [
        (['+"""README', "+import re", "+import tomllib"], 0),
        (["+import re", "+import tomllib"], None),
        (["+import tomllib", "+import re"], 1),
        (["@@ import pytest", "+import re"], 1),
    ],
)
def test_a_diff_that_is_no_more_true_would_be_seen(lines, first):
    found = lacking("\n".join(["+++ b/tests/test_docs.py", *lines]))
    assert found == (None if first is None else lines[first])
