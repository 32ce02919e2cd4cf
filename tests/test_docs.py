"""The pages of docs/ run from top to bottom, each as one program."""

from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[1] / "docs").rglob("*.md"))


def program(text):
    """The Python of a page, on its own lines, so that a traceback has the page's."""
    lines, inside = [], False
    for line in text.splitlines():
        fence = line.startswith("```")
        inside = line == "```python" if fence else inside
        lines.append(line if inside and not fence else "")
    return "\n".join(lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs(page, tmp_path, monkeypatch, as_frameworks_expect):
    monkeypatch.chdir(tmp_path)
    code = program(page.read_text())
    assert code.strip()
    exec(compile(code, str(page), "exec"), {"__name__": "__main__"})
