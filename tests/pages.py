"""README and docs/ as programs: their blocks, and what their outputs must be."""

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import NamedTuple

from initjax.__main__ import main

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(
        path
        for path in (ROOT / "docs").rglob("*.md")
        if not path.relative_to(ROOT / "docs").parts[0].startswith("_")
    ),
]
PRINTS = re.compile(r"\bprint\(")
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*).*$")


class Block(NamedTuple):
    """A fenced block: its language, its text, the number of its first line."""

    language: str
    text: str
    line: int


def blocks(text):
    """The fenced blocks of a page, in order."""
    found, lines, start = [], [], None
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if fence and start is None:
            start, language, indent = (
                number + 1,
                fence["language"],
                len(fence["indent"]),
            )
        elif fence and not fence["language"]:
            found.append(Block(language, "\n".join(lines), start))
            lines, start = [], None
        elif start is not None:
            lines.append(line[indent:])
    assert start is None, f"a block that begins on line {start - 1} has no end"
    return found


def is_like(shown, printed):
    """Whether a page shows what was printed; `...` is any text, or any lines."""
    parts = [
        r".*?" if part == "..." else re.escape(part)
        for part in re.split(r"(\.\.\.)", tidy(shown))
    ]
    return re.fullmatch("".join(parts), tidy(printed), re.DOTALL) is not None


def tidy(text):
    """Without spaces at the ends of lines, and empty lines at the end."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def python(block, page, names):
    """Run a block of Python; what it prints, and the error that ends it."""
    padded = "\n" * (block.line - 1) + block.text  # a traceback has the page's lines
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            exec(compile(padded, str(page), "exec"), names)
        except Exception as error:  # shown by the block below, or raised again
            return out.getvalue(), error
    return out.getvalue(), None


def console(block):
    """Run the lines `$ initjax ...` of a block; it with what they print."""
    printed = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            command, *args = shlex.split(line.removeprefix("$ "))
            assert command == "initjax", f"line {block.line}: not a command of ours"
            with (
                contextlib.redirect_stdout(io.StringIO()) as out,
                contextlib.redirect_stderr(out),
            ):
                main(args)
            printed += [line, out.getvalue().rstrip("\n")]
    return "\n".join(printed)


def run(page, compare=True):
    """Run a page's blocks in one namespace; a bare one is what the last printed."""
    names = {"__name__": "__main__"}
    printed, error, is_shown = "", None, True
    for block in blocks(page.read_text()):
        where = f"{page.relative_to(ROOT)}, line {block.line}"
        if error is not None:
            said = f"{type(error).__name__}: {error}"
            if block.language or not is_like(block.text, printed + said):
                raise error
            error = None
        elif block.language == "python":
            assert is_shown, f"{where}: nothing shows what the block before prints"
            printed, error = python(block, page, names)
            is_shown = not (printed and PRINTS.search(block.text)) or error is not None
        elif block.language == "console":
            ran = console(block)
            assert not compare or is_like(block.text, ran), f"{where}:\n{ran}"
        elif not block.language:
            assert printed, f"{where}: an output, but nothing was printed"
            is_shown = True
            assert not compare or is_like(block.text, printed), f"{where}:\n{printed}"
    if error is not None:
        raise error
    assert is_shown, f"{page.relative_to(ROOT)}: nothing shows what the end prints"
