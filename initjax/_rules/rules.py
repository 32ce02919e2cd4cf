"""Rules: how a model is initialized, by parameter path."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, cast

from .._core.config import to_plain
from .._core.fields import default_dtype, flag, stream
from .._core.initializer import Initializer
from .._core.streams import Seed
from .._core.streams import clean_path as plain_path
from .._core.tables import Table, paragraph
from .._errors import Refused, shown
from .._fans.declaration import as_declaration
from .._fans.fans import is_list
from .._registry import serialize
from .makers import maker_of, name_of
from .paths import clean_path
from .patterns import chooser
from .saved import pattern_config, read_row, read_spec, read_whole


@dataclass(frozen=True, slots=True)
class Spec:
    """An initializer and what a rule adds to it.

    Args:
        initializer: Anything `get` takes: a law, a name, a config, a function.
        fan: How the leaf is made up, in place of the law's own; see `Fan`.
        fallback: Whether `fan` is only for leaves that do not know theirs, as those of
            the adapters' `abstract` do.
        dtype: What the leaf is made in; None is the dtype of the tree.
        stream: The path whose stream the leaf draws from; None is its own. The old path
            of a leaf that was renamed keeps its numbers.
        optional: Whether the rule may have no leaf, where rules are strict.

    Raises:
        TypeError: No initializer; a fan for a function, which has none.
        ValueError: A bad declaration, dtype or stream.
    """

    initializer: Any
    fan: Any = None
    dtype: Any = None
    stream: Seed = None
    optional: bool = False
    fallback: bool = False

    def __post_init__(self) -> None:
        """Check the fields and keep their plain values."""
        try:
            found = maker_of(self.initializer)
            fan = as_declaration(self.fan)
            if fan is not None and not isinstance(found, Initializer):
                raise Refused(
                    f"fan={fan!r} needs a law, got {type(found).__name__}; "
                    "give a law, such as HeNormal().",
                    TypeError,
                )
            kept = {
                "initializer": found,
                "fan": fan,
                "dtype": default_dtype(self.dtype),
                "stream": _stream(self.stream),
                "optional": flag(self.optional),
                "fallback": flag(self.fallback),
            }
            if self.fallback and fan is None:
                raise Refused("fallback=True is of fan=; give one.")
        except Refused as refused:
            raise refused.at(f"Spec({name_of(self.initializer)})") from None
        for name, value in kept.items():
            object.__setattr__(self, name, value)

    @property
    def law(self) -> Any:
        """The initializer with the declared fan."""
        if self.fan is None:
            return self.initializer
        return dataclasses.replace(self.initializer, fan=self.fan)

    @property
    def _law_told(self) -> Any:
        """The initializer for a leaf that knows its fans."""
        return self.initializer if self.fallback else self.law

    def __repr__(self) -> str:
        """Show what differs from the defaults, the initializer alone if nothing."""
        return f"Spec({name_of(self.initializer)}{_extras(self)})"


class Rule(NamedTuple):
    """A pattern and what it gives the leaves that it is the first to match."""

    pattern: Any
    spec: Spec

    @property
    def name(self) -> str:
        """The pattern as text."""
        return _show(self.pattern)


@dataclass(frozen=True, slots=True, repr=False)
class Rules:
    """How a model is initialized: patterns of paths, the first that matches wins.

    A pattern is a glob over the whole path ("layers_*/attn/{q,k,v}/kernel", "**/bias"),
    a compiled regular expression, searched for in the path, a predicate of (path,
    shape, dtype), or a class of Flax's variables (`nnx.LoRAParam`). In a glob `*` is a
    part or a piece of one, `**` any number of parts, `?` a character, `[abc]` one of
    them, `{a,b}` alternatives, and a dot separates like a slash. An initializer is
    anything `get` takes, or a `Spec`. Rules are values: equal, hashable, JSON-able by
    `get_config` if no pattern or initializer is a function or a class. `a + b` asks a
    first; the rules of b may then be left without a leaf.

    Args:
        rules: Pairs of pattern and initializer, in order.
        default: What a leaf gets that no pattern matches; None refuses such leaves.
        strict: Whether a rule that is the first for no leaf is an error, else a
            warning. A leaf without a rule is always an error.

    Raises:
        ValueError: A malformed glob; an unknown name.
        TypeError: A rule that is no pair; a pattern or initializer of a wrong kind.
    """

    rules: Any
    default: Any = None
    strict: bool = True

    def __post_init__(self) -> None:
        """Check every rule and keep plain values."""
        if isinstance(self.rules, (str, Mapping, set, frozenset)) or not isinstance(
            self.rules, Iterable
        ):
            raise TypeError(
                "Rules: needs a list of (pattern, initializer), got "
                f"{type(self.rules).__name__}; order decides, so give pairs."
            )
        rows = tuple(_rule(i, row) for i, row in enumerate(self.rules))
        object.__setattr__(self, "rules", rows)
        if self.default is not None:
            with _at("Rules: default"):
                object.__setattr__(self, "default", _spec(self.default))
        if not isinstance(self.strict, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
            raise TypeError(
                f"Rules: strict must be True or False, got {self.strict!r}."
            )

    def __add__(self, other: Rules) -> Rules:
        """Return both lists of rules, this one's first; the other's become optional."""
        if not isinstance(other, Rules):  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
            return NotImplemented
        default = other.default if self.default is None else self.default
        strict = self.strict and other.strict
        rest = [
            (r.pattern, dataclasses.replace(r.spec, optional=True)) for r in other.rules
        ]
        return Rules((*self.rules, *rest), default, strict)

    def __repr__(self) -> str:
        """Show one rule a line; `eval` gives an equal if no rule is a function."""
        lines = [f"    ({_show(r.pattern)}, {_plain(r.spec)}),\n" for r in self.rules]
        default = "" if self.default is None else f", default={_plain(self.default)}"
        strict = "" if self.strict else ", strict=False"
        return f"Rules([\n{''.join(lines)}]{default}{strict})"

    def _repr_html_(self) -> str:
        """Return a table of the rules for a notebook."""
        rows = [(_show(r.pattern), _plain(r.spec)) for r in self.rules]
        if self.default is not None:
            rows.append(("default", _plain(self.default)))
        note = "" if self.strict else "strict=False"
        return Table(("pattern", "initializer"), rows).html() + paragraph(note)

    def get_config(self) -> dict[str, Any]:
        """Return the rules as JSON-able data.

        Raises:
            TypeError: A pattern or an initializer that is a function.
        """
        rows: list[Any] = []
        for i, rule in enumerate(self.rules):
            with _at(f"Rules.get_config: rule {i}"):
                rows.append([pattern_config(rule.pattern), _spec_config(rule.spec)])
        config: dict[str, Any] = {"rules": rows}
        if self.default is not None:
            with _at("Rules.get_config: default"):
                config["default"] = _spec_config(self.default)
        return config | ({} if self.strict else {"strict": False})

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the rules that `get_config` describes.

        Raises:
            ValueError: Data that it does not write; the message says which rule.
            TypeError: The same, of another kind.
        """
        where = "Rules.from_config"
        with _at(where):
            given = read_whole(config)
        rows: list[Any] = []
        for i, row in enumerate(given.pop("rules")):
            with _at(f"{where}: rule {i}"):
                pattern, initializer = read_row(row)
                rows.append((pattern, _read_spec(initializer)))
        if given.get("default") is not None:
            with _at(f"{where}: default"):
                given["default"] = _read_spec(given["default"])
        return cls(rows, **given)


@contextlib.contextmanager
def _at(where: str) -> Generator[None]:
    """Say where in the rules something is refused."""
    try:
        yield
    except Refused as refused:
        raise refused.at(where) from None
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{where}: {error}") from None


def _rule(number: int, row: Any) -> Rule:
    where = f"Rules: rule {number}"
    if isinstance(row, str) or not isinstance(row, Sequence) or len(row) != 2:  # pyright: ignore[reportUnknownArgumentType]  # users pass anything
        raise TypeError(
            f"{where}: must be a pair (pattern, initializer), got {shown(row)}."
        )
    pattern, initializer = cast("Sequence[Any]", row)
    if isinstance(pattern, (Initializer, Spec)) or _is_glob(initializer):
        raise TypeError(
            f"{where}: is (initializer, pattern); a rule is a pair (pattern, "
            f"initializer), ({shown(initializer)}, {shown(pattern)})."
        )
    with _at(where):
        chooser(pattern)
        return Rule(pattern, _spec(initializer))


def _is_glob(initializer: Any) -> bool:
    return isinstance(initializer, str) and ("*" in initializer or "/" in initializer)


def _spec(value: Any) -> Spec:
    return value if isinstance(value, Spec) else Spec(value)


def _stream(value: Any) -> Any:
    """Accept a stream, whose text is split as the paths of leaves are."""
    if value is None:
        return None
    path = clean_path(plain_path(value if is_list(value) else (value,)))
    if not path:
        raise Refused(f"a stream needs a part, got {value!r}; give a name, or None.")
    return stream(path)


def _show(pattern: Any) -> str:
    if isinstance(pattern, re.Pattern):
        compiled = cast("re.Pattern[str]", pattern)
        flags = compiled.flags & ~re.UNICODE
        more = f", {flags}" if flags else ""
        return f"re.compile({compiled.pattern!r}{more})"
    return repr(pattern) if isinstance(pattern, str) else name_of(pattern)


def _given(spec: Spec) -> dict[str, Any]:
    """Return what differs from the defaults, besides the initializer."""
    fields = dataclasses.fields(spec)[1:]
    given = {field.name: getattr(spec, field.name) for field in fields}
    return {name: value for name, value in given.items() if value not in (None, False)}


def _extras(spec: Spec) -> str:
    return "".join(f", {name}={value!r}" for name, value in _given(spec).items())


def _plain(spec: Spec) -> str:
    return repr(spec) if _extras(spec) else name_of(spec.initializer)


def _spec_config(spec: Spec) -> dict[str, Any]:
    config: dict[str, Any] = {"initializer": serialize(spec.initializer)}
    return config | {name: to_plain(value) for name, value in _given(spec).items()}


def _read_spec(config: Any) -> Spec:
    return Spec(**read_spec(config, [field.name for field in dataclasses.fields(Spec)]))
