"""The axes of a weight by their role, and the constructors of all declarations."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

from .._errors import Refused, shown
from .beside import Beside
from .declaration import Declaration, Matrix, Shape, clean_axes, clean_axis, count, kind
from .fans import MOST_AXES, Axes, Fans, compute_fans, items_of, resolve_axes
from .fused import Fused
from .stacked import Stacked
from .subscripts import einsum_axes, layout_axes


@kind
@dataclass(frozen=True, slots=True, repr=False)
class Fan(Declaration):
    """The axes of a weight by their role; axes listed nowhere are a window.

    fan_in is the product of the sizes of `in_axes` times the window (a convolution's
    receptive field), over `in_groups` and `strides`; fan_out that of `out_axes` times
    the window, over `groups`; `batch_axes` count for neither.

    Most weights have a constructor: `Fan.einsum`, `Fan.dense_general`, `Fan.conv`,
    `Fan.layout`, `Fan.stacked`, `Fan.experts`, `Fan.fused`, `Fan.embedding`,
    `Fan.beside`.

    Args:
        in_axes: Axes of the inputs, an int or a sequence of them.
        out_axes: Axes of the outputs.
        batch_axes: Axes that index separate weights.
        groups: How many groups the output channels are in, where the input axis is that
            of one group (a grouped convolution in Flax, Keras, Equinox and PyTorch).
        in_groups: How many groups the input channels are in, where the input axis is
            that of all and the output axis that of one (PyTorch's transposed one).
        strides: Those of a transposed convolution, an int or one per window axis.
        rank: How many axes the weight has; None is any number.

    Raises:
        ValueError: A number below 1; for a shape, axes that overlap, that it does not
            have, or another rank.
        TypeError: An axis that is no int.
    """

    in_axes: Any
    out_axes: Any
    batch_axes: Any = ()
    groups: int = 1
    _: KW_ONLY
    in_groups: int = 1
    strides: Any = 1
    rank: int | None = None

    def _fans(self, shape: Shape) -> Fans:
        axes = self._axes(shape)
        fans = compute_fans(shape, *axes.values())
        self._check_groups("in_groups", "in_axes", shape, axes)
        self._check_groups("groups", "out_axes", shape, axes)
        window = len(shape) - sum(map(len, axes.values()))
        strides = self.strides
        if isinstance(strides, tuple) and len(strides) != window:
            raise Refused(
                f"fan={shown(self)} has {len(strides)} strides, the shape {window} "
                "window axes; give one stride per window axis, or one for all."
            )
        taps = math.prod(strides) if isinstance(strides, tuple) else strides**window
        return Fans(
            _over(fans.fan_in, self.in_groups * taps), _over(fans.fan_out, self.groups)
        )

    def _check_groups(
        self, field: str, name: str, shape: Shape, axes: dict[str, Axes]
    ) -> None:
        groups, channels = getattr(self, field), math.prod(shape[i] for i in axes[name])
        if channels % groups:
            raise Refused(
                f"fan={shown(self)} has {field}={groups}, which do not divide the "
                f"{channels} channels of {name}; give groups that do."
            )

    def blocks(self, shape: Shape) -> Axes:
        """Return the batch axes."""
        return tuple(sorted(self._axes(shape)["batch_axes"]))

    def block(self, shape: Shape) -> Declaration | None:
        """Return the declaration without batch axes."""
        axes, gone = self._axes(shape), self.blocks(shape)
        ins, outs = (
            tuple(a - sum(b < a for b in gone) for a in axes[name])
            for name in ("in_axes", "out_axes")
        )
        rank = len(shape) - len(gone)
        return dataclasses.replace(
            self, in_axes=ins, out_axes=outs, batch_axes=(), rank=rank
        )

    def matrix(self, shape: Shape) -> Matrix | None:
        """Return window and inputs as rows, outputs as columns."""
        columns = self._axes(shape)["out_axes"]
        rows = tuple(a for a in range(len(shape)) if a not in columns)
        return Matrix(rows, columns)

    def _axes(self, shape: Shape) -> dict[str, Axes]:
        if self.rank is not None and len(shape) != self.rank:
            raise Refused(
                f"fan={shown(self)} declares {self.rank} axes, the shape has "
                f"{len(shape)}; declare the axes it has."
            )
        names = ("in_axes", "out_axes", "batch_axes")
        return resolve_axes(shape, {name: getattr(self, name) for name in names})

    def _clean(self) -> None:
        for name in ("in_axes", "out_axes", "batch_axes"):
            self._keep(**{name: clean_axes(name, getattr(self, name))})
        for name in ("groups", "in_groups"):
            self._keep(**{name: count(name, getattr(self, name))})
        steps = items_of(self.strides)
        if steps is None:
            self._keep(strides=count("strides", self.strides))
        else:
            self._keep(strides=tuple(count("strides", step) for step in steps))
        if self.rank is not None:
            self._keep(rank=count("rank", self.rank, least=0))

    @classmethod
    def read(cls, value: Any) -> Self | None:
        """Read "conv": a window, then inputs, then outputs."""
        return cls((-2,), (-1,)) if isinstance(value, str) and value == "conv" else None

    @staticmethod
    def einsum(subscripts: str, kernel: int = 1) -> Fan:
        """Declare the kernel of an einsum: `Fan.einsum("btd,dhk->bthk")`.

        Its labels that the output lacks are inputs; those that only the output shares
        are outputs; those in all three are batch axes (experts).

        Args:
            subscripts: The einsum, its operands separated by commas, with "->".
            kernel: Which operand is the kernel, counted from 0.

        Raises:
            ValueError: Subscripts that are no einsum; a label of the kernel that is
                repeated, or found in no other term.
        """
        where = f"Fan.einsum({shown(subscripts)}, kernel={shown(kernel)})"
        try:
            return Fan(*(axes := einsum_axes(subscripts, kernel)), rank=_rank(axes))
        except Refused as refused:
            raise refused.at(where) from None

    @staticmethod
    def dense_general(inputs: int = 1, outputs: int = 1, batch: int = 0) -> Fan:
        """Declare a dense kernel over several axes: batch, then inputs, then outputs.

        The order of Flax's DenseGeneral and LinearGeneral. Attention's query kernel
        (model, heads, head) is `dense_general(1, 2)`, its output kernel
        `dense_general(2, 1)`.

        Args:
            inputs: How many axes are contracted.
            outputs: How many axes are features.
            batch: How many leading axes index separate kernels.
        """
        given = {"inputs": inputs, "outputs": outputs, "batch": batch}
        where = f"Fan.dense_general({', '.join(map(shown, given.values()))})"
        try:
            i, o, b = (
                count(name, n, least=0, most=MOST_AXES) for name, n in given.items()
            )
        except Refused as refused:
            raise refused.at(where) from None
        split, rank = b + i, b + i + o
        return Fan(
            tuple(range(b, split)),
            tuple(range(split, rank)),
            tuple(range(b)),
            rank=rank,
        )

    @staticmethod
    def conv(
        groups: int = 1,
        transpose: bool = False,
        layout: str | None = None,
        strides: Any = 1,
        per_group: str = "i",
    ) -> Fan:
        """Declare a convolution kernel.

        Args:
            groups: Feature groups.
            transpose: Whether it is a transposed convolution, whose outputs see
                window / strides of their inputs' taps on average.
            layout: The roles of the axes, such as "HWIO" or "OIHW": I inputs and O
                outputs of the layer, H, W, D the window. None is any number of window
                axes, then inputs, then outputs. Flax with `transpose_kernel=True` is
                "HWOI", PyTorch's transposed one "IOHW".
            strides: Those of a transposed convolution, an int or one per window axis.
            per_group: Which of "i" and "o" counts the channels of one group where
                groups > 1: "o" in PyTorch's transposed convolution.

        Raises:
            ValueError: A layout without exactly one I and one O; strides without
                `transpose`.
        """
        where = (
            f"Fan.conv(groups={shown(groups)}, transpose={shown(transpose)}, "
            f"layout={shown(layout)}, strides={shown(strides)}, "
            f"per_group={shown(per_group)})"
        )
        try:
            axes: tuple[Axes, Axes, Axes] = ((-2,), (-1,), ())
            rank = None
            if layout is not None:
                axes, rank = layout_axes(layout), len(layout)
                if (len(axes[0]), len(axes[1])) != (1, 1):
                    raise Refused("a layout has one I and one O; give 'HWIO', say.")
            if not isinstance(transpose, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
                raise Refused("transpose must be True or False.", TypeError)
            if not transpose and (items_of(strides) or count("strides", strides) != 1):
                raise Refused(
                    "the strides of a plain convolution change no fan; leave them out."
                )
            if not isinstance(per_group, str) or per_group not in ("i", "o"):  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
                raise Refused("per_group must be 'i' or 'o'.")
            many: dict[str, Any] = {
                "groups" if per_group == "i" else "in_groups": groups
            }
            count("groups", groups)
        except Refused as refused:
            raise refused.at(where) from None
        return Fan(*axes, **many, strides=strides, rank=rank)

    @staticmethod
    def layout(roles: str) -> Fan:
        """Declare one letter per axis: `Fan.layout("oi")` is PyTorch's and Equinox's.

        Args:
            roles: i input, o output, b batch (stacked layers, experts), h, w, d window,
                in any case; i, o and b may repeat: "ioo" is (model, heads, head).

        Raises:
            ValueError: Another letter.
        """
        try:
            return Fan(*layout_axes(roles), rank=len(roles))
        except Refused as refused:
            raise refused.at(f"Fan.layout({shown(roles)})") from None

    @staticmethod
    def stacked(axis: int = 0, of: Any = None) -> Stacked:
        """Declare layers stacked along an axis, by `nn.scan` or `jax.vmap`.

        Args:
            axis: The axis that counts the layers.
            of: The declaration of one layer, of the shape without the axis.
        """
        return Stacked(axis, of)

    @staticmethod
    def experts(axis: int = 0, of: Any = None) -> Stacked:
        """Declare experts along an axis, each a kernel of its own.

        Args:
            axis: The axis that counts the experts.
            of: The declaration of one expert, of the shape without the axis.
        """
        return Stacked(axis, of)

    @staticmethod
    def fused(parts: Any, axis: int = -1, of: Any = None) -> Fused:
        """Declare weights side by side: query, key, value, or gate and up.

        Each part has its own fans and its own stream: the array is the concatenation of
        `clone_initializer(init, name)` for each part, drawn with the same key.

        Args:
            parts: Lengths, as a sequence (the names are 0, 1, ...) or a dict by name;
                or equal parts, as their number or a sequence of names.
            axis: Where they lie side by side.
            of: The declaration of each part.
        """
        return Fused(parts, axis, of)

    @staticmethod
    def beside(weight: str) -> Beside:
        """Declare the fans of the leaf beside this one: a bias has its kernel's.

        In rules alone, where the tree is.

        Args:
            weight: The name of the other leaf, or a glob of it: "{kernel,weight,w}".
        """
        return Beside(weight)

    @staticmethod
    def embedding(use: str = "lookup", features: int = -1) -> Fan:
        """Declare an embedding table of rank 2.

        Args:
            use: "lookup": a row is picked, so fan_in is 1 and fan_out the features.
                "readout": features are contracted into logits, so fan_in is the
                features and fan_out the vocabulary. A tied table is a readout whose
                lookups the model multiplies by sqrt(features), or a lookup.
            features: The axis of the features.

        Raises:
            ValueError: Another use, or another axis than -2, -1, 0 and 1.
        """
        where = f"Fan.embedding({shown(use)}, features={shown(features)})"
        try:
            if not isinstance(use, str) or use not in ("lookup", "readout"):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
                raise Refused("use must be 'lookup' or 'readout'.")
            wide = clean_axis(features)
            if wide not in (-2, -1, 0, 1):
                raise Refused("a table has two axes; give 0 or 1.")
        except Refused as refused:
            raise refused.at(where) from None
        wide, rows = wide % 2, 1 - wide % 2
        if use == "lookup":
            return Fan((), (wide,), (rows,), rank=2)
        return Fan((wide,), (rows,), rank=2)


def _rank(axes: Iterable[Axes]) -> int:
    return sum(map(len, axes))


def _over(fan: float, divisor: int) -> float:
    return fan // divisor if fan % divisor == 0 else fan / divisor
