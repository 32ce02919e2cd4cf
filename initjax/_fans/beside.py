"""The fans of another leaf: a bias has its kernel's."""

from __future__ import annotations

from dataclasses import dataclass

from .._errors import Refused, shown
from .declaration import Declaration, Shape, kind
from .fans import Fans


@kind
@dataclass(frozen=True, slots=True, repr=False)
class Beside(Declaration):
    """The fans of the leaf that lies beside this one, as its own rule declares them.

    Known in rules alone, where the tree is: `Spec(law, fan=Fan.beside("kernel"))`.

    Args:
        weight: The name of the other leaf, or a glob of it: "{kernel,weight,w}". Where
            several match, they have the same fans.

    Raises:
        TypeError: A name that is no text.
        ValueError: An empty name; in rules, no such leaf, or several of other fans.
    """

    weight: str

    def _fans(self, shape: Shape) -> Fans:
        del shape
        raise Refused(
            f"fan={shown(self)} means a leaf beside this one, which rules alone can "
            "see; give it in a rule, or give the fan_in as a number."
        )

    def _clean(self) -> None:
        if not isinstance(self.weight, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
            kind = type(self.weight).__name__
            raise Refused(f"weight must be a str, got {kind}.", TypeError)
        if not self.weight:
            raise Refused("weight must not be empty; give a name, such as 'kernel'.")
