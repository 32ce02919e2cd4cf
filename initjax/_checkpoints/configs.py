"""Reading `config.json`, and what the tensors of layers are called and shaped like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .._errors import Refused, shown
from .._fans.fans import is_list

Row = tuple[str, tuple[int, ...]]
Rows = Iterable[Row]


class Config:
    """A config: what it says, or what transformers takes where it says nothing."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Keep what is given."""
        self._given = given

    def get(self, name: str, default: Any = None) -> Any:
        """Return an entry; one that is null says nothing."""
        value = self._given.get(name)
        return default if value is None else value

    def size(self, name: str, default: int) -> int:
        """Return an entry that counts something."""
        return _size(name, self.get(name, default))

    def sizes(self, name: str, default: list[int]) -> list[int]:
        """Return an entry that counts several things."""
        value = self.get(name, default)
        if not is_list(value) or not value:
            raise Refused(f"{name} must be a list of sizes, got {shown(value)}.")
        return [_size(name, x) for x in value]

    def pair(self, name: str, default: int) -> tuple[int, int]:
        """Return an entry for two axes, or one for both."""
        value = self.get(name, default)
        sizes = self.sizes(name, []) if is_list(value) else [_size(name, value)] * 2
        if len(sizes) != 2:
            raise Refused(f"{name} must be one size or two, got {shown(value)}.")
        return sizes[0], sizes[1]

    def flag(self, name: str, default: bool) -> bool:
        """Return an entry that is true or false."""
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise Refused(f"{name} must be true or false, got {shown(value)}.")
        return value

    def share(self, name: str, parts: str, default: tuple[int, int]) -> int:
        """Return how large each of the parts of something is."""
        whole, many = self.size(name, default[0]), self.size(parts, default[1])
        if whole % many:
            raise Refused(f"{name}={whole} must be a multiple of {parts}={many}.")
        return whole // many

    @property
    def labels(self) -> int:
        """How many classes a classifier has."""
        named = self.get("id2label")
        if isinstance(named, Mapping):
            return len(named)
        return self.get("num_labels", 2) and self.size("num_labels", 2)


def _size(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Refused(f"{name} must be an int of at least 1, got {shown(value)}.")
    return value


def under(prefix: str, rows: Rows) -> Iterator[Row]:
    """Yield rows under a name; "" leaves them."""
    return ((f"{prefix}.{name}" if prefix else name, shape) for name, shape in rows)


def layers(name: str, many: int, layer: Rows) -> Iterator[Row]:
    """Yield a layer's rows again and again: name.0, name.1, ..."""
    rows = [*layer]
    for i in range(many):
        yield from under(f"{name}.{i}", rows)


def weight(name: str, *shape: int) -> Iterator[Row]:
    """Yield a weight without a bias."""
    yield f"{name}.weight", shape


def norm(name: str, n: int) -> Iterator[Row]:
    """Yield a normalization's scale and bias."""
    yield f"{name}.weight", (n,)
    yield f"{name}.bias", (n,)


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> Iterator[Row]:
    """Yield a matrix as PyTorch has it, (outputs, inputs), and its bias."""
    yield f"{name}.weight", (outputs, inputs)
    if bias:
        yield f"{name}.bias", (outputs,)
