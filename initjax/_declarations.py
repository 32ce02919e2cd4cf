"""Declared fans: which axes of a weight are inputs, outputs, or neither.

A declaration says how an array is made up, and is checked against its shape: `Fan`
names axes, `Stacked` is many weights along an axis, `Fused` several weights side by
side, `Given` the numbers themselves. Declarations are values, as configs are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple, cast

from ._errors import Refused
from ._fans import Axes, Fans, compute_fans, resolve_axes
from ._subscripts import einsum_axes, layout_axes

Shape = tuple[int, ...]
Name = str | int


class Parts(NamedTuple):
    """Weights side by side in one array: where, their names, lengths, declaration."""

    axis: int
    names: tuple[Name, ...]
    sizes: tuple[int, ...]
    of: Declaration | None


class Matrix(NamedTuple):
    """A weight read as a matrix: the axes of its rows and those of its columns."""

    rows: Axes
    columns: Axes


@dataclass(frozen=True, slots=True, repr=False)
class Declaration:
    """The base of all declarations; each answers for a shape, or refuses it."""

    def __post_init__(self) -> None:
        """Check the fields and keep their plain values."""
        try:
            self._clean()
        except Refused as refused:
            raise refused.at(f"{self!r}") from None

    def fans(self, shape: Sequence[int]) -> Fans:
        """Return the fans of a weight of this shape.

        Raises:
            ValueError: A shape that the declaration does not fit.
        """
        try:
            return self._fans(tuple(shape))
        except Refused as refused:
            raise refused.at(f"{self!r}.fans(shape={shape!r})") from None

    def _fans(self, shape: Shape) -> Fans:
        raise NotImplementedError  # every kind says how; this base is none

    def each(self, shape: Shape) -> tuple[Fans, ...]:
        """Return the fans of every part, once if the parts agree."""
        parts = self.parts(shape)
        if parts is None:
            return (self._fans(shape),)
        fans = [fans_of(parts.of, s) for s in part_shapes(shape, parts)]
        return tuple(fans) if len({*fans}) > 1 else (fans[0],)

    def blocks(self, shape: Shape) -> Axes:
        """Return the axes that index separate weights, counted from the front."""
        del shape
        return ()

    def block(self, shape: Shape) -> Declaration | None:
        """Return the declaration of one of the separate weights."""
        del shape
        return self

    def parts(self, shape: Shape) -> Parts | None:
        """Return the weights that lie side by side, or None."""
        del shape
        return None

    def matrix(self, shape: Shape) -> Matrix | None:
        """Return how one weight reads as a matrix; None leaves it to the law."""
        del shape
        return None

    def guesses(self, shape: Shape) -> bool:
        """Tell whether the roles of three axes and more are left to Keras's rule."""
        del shape
        return False

    def __repr__(self) -> str:
        """Show the arguments that differ from their defaults; `eval` gives an equal."""
        shown = [
            f"{field.name}={value!r}"
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _clean(self) -> None:
        raise Refused("is the base class; use Fan, Stacked, Fused or Given.", TypeError)

    def _keep(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True, repr=False)
class Fan(Declaration):
    """The axes of a weight by their role; axes listed nowhere are a window.

    fan_in is the product of the sizes of `in_axes` times the window (a convolution's
    receptive field), over `in_groups` and `strides`; fan_out that of `out_axes` times
    the window, over `groups`; `batch_axes` count for neither.

    Most weights have a constructor: `Fan.einsum`, `Fan.dense_general`, `Fan.conv`,
    `Fan.layout`, `Fan.stacked`, `Fan.experts`, `Fan.fused`, `Fan.embedding`.

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
                f"fan={self!r} has {len(strides)} strides, the shape {window} window "
                "axes; give one stride per window axis, or one for all."
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
                f"fan={self!r} has {field}={groups}, which do not divide the "
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
                f"fan={self!r} declares {self.rank} axes, the shape has {len(shape)}; "
                "declare the axes it has."
            )
        names = ("in_axes", "out_axes", "batch_axes")
        return resolve_axes(shape, {name: getattr(self, name) for name in names})

    def _clean(self) -> None:
        for name in ("in_axes", "out_axes", "batch_axes"):
            self._keep(**{name: _axes(name, getattr(self, name))})
        for name in ("groups", "in_groups"):
            self._keep(**{name: _count(name, getattr(self, name))})
        if isinstance(self.strides, (tuple, list)):
            steps = cast("Sequence[Any]", self.strides)
            self._keep(strides=tuple(_count("strides", s) for s in steps))
        else:
            self._keep(strides=_count("strides", self.strides))
        if self.rank is not None:
            self._keep(rank=_count("rank", self.rank, least=0))

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
        where = f"Fan.einsum({subscripts!r}, kernel={kernel!r})"
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
        where = f"Fan.dense_general({inputs!r}, {outputs!r}, {batch!r})"
        try:
            i = _count("inputs", inputs, least=0)
            o = _count("outputs", outputs, least=0)
            b = _count("batch", batch, least=0)
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
            f"Fan.conv(groups={groups!r}, transpose={transpose!r}, layout={layout!r}, "
            f"strides={strides!r}, per_group={per_group!r})"
        )
        try:
            axes: tuple[Axes, Axes, Axes] = ((-2,), (-1,), ())
            rank = None
            if layout is not None:
                axes, rank = layout_axes(layout), len(layout)
                if (len(axes[0]), len(axes[1])) != (1, 1):
                    raise Refused("a layout has one I and one O; give 'HWIO', say.")
            if strides != 1 and not transpose:
                raise Refused(
                    "the strides of a plain convolution change no fan; leave them out."
                )
            if per_group not in ("i", "o"):
                raise Refused("per_group must be 'i' or 'o'.")
            many: dict[str, Any] = {
                "groups" if per_group == "i" else "in_groups": groups
            }
            _count("groups", groups)
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
            raise refused.at(f"Fan.layout({roles!r})") from None

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
        where = f"Fan.embedding({use!r}, features={features!r})"
        if use not in ("lookup", "readout"):
            raise ValueError(f"{where}: use must be 'lookup' or 'readout'.")
        if features not in (-2, -1, 0, 1):
            raise ValueError(f"{where}: a table has two axes; give 0 or 1.")
        wide, rows = features % 2, 1 - features % 2
        if use == "lookup":
            return Fan((), (wide,), (rows,), rank=2)
        return Fan((wide,), (rows,), rank=2)


@dataclass(frozen=True, slots=True, repr=False)
class Stacked(Declaration):
    """Separate weights along one axis; see `Fan.stacked` and `Fan.experts`.

    Args:
        axis: The axis that counts them.
        of: The declaration of one, of the shape without the axis; None is Keras's rule.
    """

    axis: int = 0
    of: Any = None

    def _fans(self, shape: Shape) -> Fans:
        return fans_of(self.of, self._inner(shape)[1])

    def blocks(self, shape: Shape) -> Axes:
        """Return the axis, and those of the declaration within."""
        axis, inner = self._inner(shape)
        within = () if self.of is None else self.of.blocks(inner)
        return tuple(sorted((axis, *(a + (a >= axis) for a in within))))

    def block(self, shape: Shape) -> Declaration | None:
        """Return the declaration of one weight."""
        _, inner = self._inner(shape)
        return None if self.of is None else self.of.block(inner)

    def parts(self, shape: Shape) -> Parts | None:
        """Return the parts of all layers together."""
        axis, inner = self._inner(shape)
        parts = None if self.of is None else self.of.parts(inner)
        if parts is None:
            return None
        outer = parts.axis + (parts.axis >= axis)
        return parts._replace(axis=outer, of=Stacked(axis, parts.of))

    def guesses(self, shape: Shape) -> bool:
        """Tell whether a layer is left to Keras's rule."""
        _, inner = self._inner(shape)
        return len(inner) > 2 if self.of is None else self.of.guesses(inner)

    def _inner(self, shape: Shape) -> tuple[int, Shape]:
        (axis,) = resolve_axes(shape, {"axis": (self.axis,)})["axis"]
        return axis, (*shape[:axis], *shape[axis + 1 :])

    def _clean(self) -> None:
        self._keep(axis=_axes("axis", self.axis)[0], of=as_declaration(self.of))


@dataclass(frozen=True, slots=True, repr=False)
class Fused(Declaration):
    """Weights side by side along one axis; see `Fan.fused`.

    Args:
        names: Lengths, names, a dict of both, or a number of equal parts.
        axis: Where they lie side by side.
        of: The declaration of each part; None is Keras's rule.
    """

    names: Any = 2
    axis: int = -1
    of: Any = None

    def _fans(self, shape: Shape) -> Fans:
        first, *others = self.each(shape)
        if others:
            raise Refused(
                f"the parts of {self!r} have different fans: "
                f"{', '.join(str(tuple(f)) for f in (first, *others))}; ask each part."
            )
        return first

    def parts(self, shape: Shape) -> Parts:
        """Return the parts, or refuse lengths that do not add up."""
        (axis,) = resolve_axes(shape, {"axis": (self.axis,)})["axis"]
        names = tuple(name for name, _ in self.names)
        sizes = tuple(size for _, size in self.names)
        whole = shape[axis]
        if None in sizes:
            if whole % len(sizes):
                raise Refused(
                    f"axis {axis} of {whole} does not split into {len(sizes)} equal "
                    "parts; give their lengths."
                )
            sizes = (whole // len(sizes),) * len(sizes)
        if sum(sizes) != whole:
            raise Refused(
                f"the parts have {' + '.join(map(str, sizes))} = {sum(sizes)} along "
                f"axis {axis}, the shape {whole}; give lengths that add up."
            )
        return Parts(axis, names, sizes, self.of)

    def guesses(self, shape: Shape) -> bool:
        """Tell whether a part is left to Keras's rule."""
        return len(shape) > 2 if self.of is None else self.of.guesses(shape)

    def _clean(self) -> None:
        (axis,) = _axes("axis", self.axis)
        self._keep(names=_part_names(self.names), axis=axis, of=as_declaration(self.of))


@dataclass(frozen=True, slots=True, repr=False)
class Given(Declaration):
    """The fans as numbers, whatever the shape: a bias from its kernel's.

    Args:
        fan_in: A positive number.
        fan_out: A positive number; None is fan_in.
    """

    fan_in: float
    fan_out: float | None = None

    def _fans(self, shape: Shape) -> Fans:
        del shape
        return Fans(self.fan_in, self.fan_in if self.fan_out is None else self.fan_out)

    def _clean(self) -> None:
        for name in ("fan_in", "fan_out"):
            value = getattr(self, name)
            if value is None and name == "fan_out":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                kind = type(value).__name__
                raise Refused(f"{name} must be a number, got {kind}.", TypeError)
            if not 0 < value < math.inf:
                raise Refused(f"{name} must be positive and finite.")


KINDS: dict[str, type[Declaration]] = {
    kind.__name__: kind for kind in (Fan, Stacked, Fused, Given)
}


def as_declaration(value: Any) -> Declaration | None:
    """Return a declaration: one, None, "conv", a number, or a pair of numbers."""
    if value is None or isinstance(value, Declaration):
        return value
    if value == "conv":
        return Fan.conv()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Given(value)
    if isinstance(value, tuple) and len(cast("tuple[Any, ...]", value)) == 2:
        return Given(*value)
    hint = f"; did you mean Fan.layout({value!r})?" if isinstance(value, str) else "."
    raise Refused(
        "must be None, a declaration such as Fan.layout('oi'), 'conv', a number or a "
        f"pair of numbers, got {value!r}{hint}",
        ValueError if isinstance(value, str) else TypeError,
    )


def fans_of(of: Declaration | None, shape: Shape) -> Fans:
    """Return the fans by a declaration, or by Keras's rule."""
    return compute_fans(shape) if of is None else of._fans(shape)


def vector_fans(fan: Declaration | None, shape: Shape) -> Fans:
    """Return the fans of a weight; a vector without a declaration has fan_in 1."""
    if fan is None and len(shape) < 2:
        return Fans(1, math.prod(shape))
    return fans_of(fan, shape)


def part_shapes(shape: Shape, parts: Parts) -> list[Shape]:
    """Return the shape of every part."""
    before, after = shape[: parts.axis], shape[parts.axis + 1 :]
    return [(*before, size, *after) for size in parts.sizes]


def _part_names(value: Any) -> tuple[tuple[Name, int | None], ...]:
    """Return names and lengths; None is an equal share."""
    if isinstance(value, int) and not isinstance(value, bool):
        return tuple((i, None) for i in range(_count("parts", value)))
    if isinstance(value, Mapping):
        value = tuple(cast("Mapping[Any, Any]", value).items())
    if not isinstance(value, (tuple, list)) or not value:
        raise Refused(
            "parts must be lengths, names, a dict of both, or how many they are, got "
            f"{value!r}.",
            TypeError,
        )
    items = cast("list[Any]", value)
    pairs = [
        (str(x), None) if isinstance(x, str)
        else (x[0], x[1] if x[1] is None else _count("parts", x[1], least=0))
        if isinstance(x, (tuple, list))
        else (i, _count("parts", x, least=0))
        for i, x in enumerate(items)
    ]  # fmt: skip
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise Refused(f"parts have one name each, got {names}.")
    return tuple(pairs)


def _axes(name: str, value: Any) -> Axes:
    axes = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    for axis in axes:
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise Refused(
                f"{name} must be an int or a tuple of them, got {value!r}.", TypeError
            )
    return axes


def _count(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        kind = type(value).__name__
        raise Refused(f"{name} must be an int, got {kind}.", TypeError)
    if value < least:
        raise Refused(f"{name} must be >= {least}, got {value}.")
    return value


def _rank(axes: Iterable[Axes]) -> int:
    return sum(map(len, axes))


def _over(fan: float, divisor: int) -> float:
    return fan // divisor if fan % divisor == 0 else fan / divisor
