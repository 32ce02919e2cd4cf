"""The command line's door: arguments to functions, errors to one line."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import re
import sys
import warnings
from collections.abc import Generator, Sequence
from typing import Any, NoReturn

from .output import printable
from .parser import Parser, Wrong

COMMANDS = {  # a module of this folder each, loaded when it is asked for
    "list": "the laws, recipes and presets that there are",
    "show": "what a law promises for a shape",
    "plan": "which law each parameter of a model gets",
    "check": "weights in files, held to what was promised",
    "diff": "what differs between two checkpoints or two plans",
    "init": "write a checkpoint of a model that begins by rule",
}
CODES = """exit codes:
  0    fine
  1    something was found: by check a fault, by diff a difference
  2    wrong use, or what could not be read; one line on stderr says what
  130  interrupted
  141  who read the output has left"""
_DOOR = re.compile("^(plan|report|compare|write_checkpoint|[a-z]+_of_config): ")
WRONG, INTERRUPTED, UNREAD = 2, 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; see `CODES`.

    Args:
        arguments: What follows the program's name; None is what the process was given.
    """
    given = sys.argv[1:] if arguments is None else [*arguments]
    name = given[0] if given else ""
    where = f"initjax {name}" if name in COMMANDS else "initjax"
    try:
        with _warnings_of_one_line(where):
            code = _code(name, given[1:])
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _told(where, "interrupted.", INTERRUPTED)
    except BrokenPipeError:
        _write_nowhere()
        return UNREAD
    except Exception as error:
        if os.environ.get("INITJAX_DEBUG") == "1":
            raise
        return _told(where, _DOOR.sub("", _message(error)), WRONG)


def _code(name: str, given: Sequence[str]) -> int:
    try:
        return _run(name, given)
    except SystemExit as stop:  # argparse, once it has shown a help or the version
        return int(stop.code or 0)


def _run(name: str, given: Sequence[str]) -> int:
    if name not in COMMANDS:
        _no_command(name)
    command: Any = importlib.import_module(f".{name}", __package__)
    parser = Parser(f"initjax {name}", f"{command.__doc__}\n", command.EXAMPLES)
    command.arguments(parser)
    return command.run(parser.parse_args(given))


def _no_command(name: str) -> NoReturn:
    """Show the help or the version and exit, or refuse what is no command."""
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {n.ljust(width)}  {text}" for n, text in COMMANDS.items())
    parser = Parser(
        "initjax",
        "Parameter initialization for JAX: see laws, plans and weights, write "
        f"checkpoints.\n\ncommands:\n{listed}\n\n{CODES}",
        "initjax show he_normal --shape 512,512\n"
        "initjax COMMAND --help says more of a command",
        usage="initjax COMMAND ...",
    )
    parser.add_argument("--version", action="version", version=_version())
    if name.startswith("-"):
        parser.parse_args([name])
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(COMMANDS)}."
    raise Wrong(f"no command {name!r}; {hint}" if name else f"give a command; {hint}")


def _version() -> str:
    from importlib.metadata import version

    return f"initjax {version('initjax')}"


@contextlib.contextmanager
def _warnings_of_one_line(where: str) -> Generator[None]:
    def show(message: Warning | str, *_: Any) -> None:
        _told(where, f"warning: {message}", 0)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


def _message(error: Exception) -> str:
    """Return what an error says; a KeyError's text is its repr."""
    if isinstance(error, OSError) and error.strerror:
        named = error.filename is not None
        return f"{error.filename}: {error.strerror}." if named else error.strerror
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    return str(error) or type(error).__name__


def _told(where: str, text: str, code: int) -> int:
    """Say something in one line on stderr, and return the code."""
    joined = text.replace(":\n  ", ": ").replace("\n  ", "; ").replace("\n", "; ")
    print(f"{where}: {printable(joined)}", file=sys.stderr)
    return code


def _write_nowhere() -> None:
    """Let what is left in stdout's buffer go where nobody minds."""
    with contextlib.suppress(OSError, ValueError):  # a stdout that is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
