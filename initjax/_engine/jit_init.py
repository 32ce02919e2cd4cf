"""`jit_init`: in place of `jax.jit` around an initialization function."""

from __future__ import annotations

import contextlib
import functools
import gc
import types
import weakref
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, NamedTuple

import jax
from jax.core import Tracer

from .._core.arguments import in_trace
from .._errors import shown
from .blocks import is_on_cpu
from .execute import Engine, Report
from .hostkeys import host_keys
from .keys import size_of
from .loops import open_loops, opened_outputs
from .options import check_options, is_placement, listed, static_places
from .outline import outline
from .placing import Order, Undecided, asked, bound, place
from .plan import SetupPlan, plan_of, plan_of_whole
from .progress import bar
from .rounding import ENDS_ROUND_ALIKE
from .trace import read

# JAX's debugging modes look at the program as it was written
_DEBUGGING = ("jax_debug_key_reuse", "jax_debug_nans", "jax_debug_infs")


class Whole(NamedTuple):
    """A function that `jax.jit` compiles as one program, and why."""

    reason: str


class Call(NamedTuple):
    """A function traced for some arguments, and what runs it."""

    engine: Engine | Whole
    arguments: list[Any]
    outputs: Any


class JitInit:
    """An initialization function that is compiled in pieces; see `jit_init`."""

    def __init__(
        self,
        fun: Callable[..., Any],
        out_shardings: Any,
        static_argnums: int | Iterable[int],
        static_argnames: str | Iterable[str],
        progress: bool | None,
        exact: bool,
    ) -> None:
        """Check the options and keep them."""
        is_model = hasattr(fun, "init") and not isinstance(fun, type)
        if is_model or not callable(fun):
            raise TypeError(
                f"jit_init({shown(fun)}): fun must be a function, got "
                f"{type(fun).__name__}; give the one that makes the parameters"
                f"{', jit_init(model.init)' * is_model}."
            )
        if progress not in (None, True, False):
            raise TypeError(
                f"jit_init(progress={progress!r}): progress is True, False or None; "
                "give True for a bar."
            )
        if exact not in (True, False):
            raise TypeError(
                f"jit_init(exact={exact!r}): exact is True or False; give False where "
                "the last bits may differ from those of jax.jit."
            )
        numbers, names = listed(static_argnums), listed(static_argnames)
        options: dict[str, Any] = {
            "out_shardings": out_shardings,
            "static_argnums": numbers,
            "static_argnames": names,
        }
        given = {name: x for name, x in options.items() if x is not None and x != ()}
        self._jitted = jax.jit(fun, **given)
        self._marked = {n: x for n, x in given.items() if n != "out_shardings"}
        self._fun, self._progress, self._exact = fun, progress, exact
        self._outputs: Outputs = weakref.WeakKeyDictionary()
        self._static = static_places(fun, numbers, names)
        self._has_layouts = not all(map(is_placement, jax.tree.leaves(out_shardings)))
        functools.update_wrapper(self, fun, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Initialize: what `jax.jit(fun)` would return, bit for bit."""
        if _under_trace((args, kwargs)) or _flag("jax_disable_jit"):
            return self._fun(*args, **kwargs)
        call = self._trace(args, kwargs)
        if isinstance(call.engine, Whole):
            run = functools.partial(_run_whole, self._jitted, args, kwargs)
        else:
            run = functools.partial(call.engine.run, call.arguments)
        if self._progress:
            sizes = list(map(size_of, jax.tree.leaves(call.outputs)))
            with bar(len(sizes), sum(sizes), "jit_init") as report:
                outputs = run(report)
        else:
            outputs = run()
        return jax.tree.unflatten(jax.tree.structure(call.outputs), outputs)

    def lower(self, *args: Any, **kwargs: Any) -> SetupPlan:
        """Return what a call with such arguments would compile and run.

        Arguments may be `jax.ShapeDtypeStruct`s. Nothing is compiled or allocated.
        """
        call = self._trace(args, kwargs)
        if isinstance(call.engine, Whole):
            return plan_of_whole(jax.tree.leaves(call.outputs), call.engine.reason)
        return plan_of(call.engine, _paths(call.outputs))

    def trace(self, *args: Any, **kwargs: Any) -> Any:
        """Return what `jax.jit(fun).trace` does: `jax.export` takes it."""
        return self._jitted.trace(*args, **kwargs)

    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Return the types of what a call returns, as `jax.jit(fun).eval_shape`."""
        return self._jitted.eval_shape(*args, **kwargs)

    def clear_cache(self) -> None:
        """Forget what was traced and compiled for this function."""
        for jaxpr in (*self._outputs,):
            _ENGINES.pop(jaxpr, None)
        self._outputs.clear()
        self._jitted.clear_cache()  # pyright: ignore[reportAttributeAccessIssue]  # public, and not in JAX's stubs

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        """Bind to an object, as a method: it is the first argument."""
        del kind
        return self if owner is None else types.MethodType(self, owner)

    def __deepcopy__(self, memo: Any) -> JitInit:
        """Return this function itself, as functions are copied."""
        del memo
        return self

    def _trace(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
        """Trace the function, or find that it is traced, cut and compiled already."""
        try:
            traced = self._jitted.trace(*args, **kwargs)
        except TypeError as error:
            if "valid JAX type" in str(error):
                self._refuse_outputs(args, kwargs)
            raise
        numbers, names = self._static
        positional = [x for i, x in enumerate(args) if i not in numbers]
        named = {name: x for name, x in kwargs.items() if name not in names}
        arguments = jax.tree.leaves((positional, named))
        outputs, wanted = self._described(traced)
        debugging = [flag for flag in _DEBUGGING if _flag(flag)]
        if self._has_layouts or debugging:
            reason = (
                f"{debugging[0]} is on" if debugging else "out_shardings has layouts"
            )
            return Call(Whole(reason), arguments, outputs)
        given = tuple(map(bound, arguments))
        device = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time
        engines = _ENGINES.setdefault(traced.jaxpr, {})
        key = (wanted, given, device, self._exact)
        if key not in engines:
            engines[key] = _engine(traced.jaxpr, wanted, given, self._exact)
        return Call(engines[key], arguments, outputs)

    def _refuse_outputs(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Say which output is no JAX type, and what to do; JAX says neither."""

        @functools.wraps(self._fun)
        def look(*args: Any, **kwargs: Any) -> None:
            for path, x in jax.tree.leaves_with_path(self._fun(*args, **kwargs)):
                try:
                    jax.typeof(x)
                except TypeError:
                    name = getattr(x, "__name__", None) or shown(x)
                    where = jax.tree_util.keystr(path, simple=True, separator="/")
                    raise TypeError(
                        f"jit_init({getattr(self, '__name__', 'fun')}): the output "
                        f"{where!r} is {name}, no array; return arrays alone, or use "
                        "adapters.equinox.filter_jit_init, which keeps what else "
                        "Equinox's modules hold."
                    ) from None

        jax.jit(look, **self._marked).trace(*args, **kwargs)

    def _described(self, traced: Any) -> tuple[Any, Order]:
        """Return the types of a trace's outputs, and where each is wanted."""
        if traced.jaxpr not in self._outputs:
            outputs = traced.out_info
            wanted = tuple(asked(x.sharding) for x in jax.tree.leaves(outputs))
            self._outputs[traced.jaxpr] = outputs, wanted
        return self._outputs[traced.jaxpr]


# as long as JAX keeps a trace, so that equal functions share what was compiled
Outputs = weakref.WeakKeyDictionary[Any, tuple[Any, Order]]
Engines = weakref.WeakKeyDictionary[Any, dict[Any, Engine | Whole]]
_ENGINES: Engines = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def _no_collections() -> Generator[None]:
    """Let no garbage be looked for: there is none, and JAX's heap is large."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_no_collections()
def _engine(closed: Any, wanted: Order, given: Order, exact: bool) -> Engine | Whole:
    """Return what runs a traced function, for arguments and outputs placed so."""
    if closed.effects:
        return Whole(f"side effects ({', '.join(sorted(map(str, closed.effects)))})")
    if len(closed.jaxpr.invars) != len(given):
        return Whole("arguments that the trace does not list")
    graph = read(closed)
    # where what loops keep was measured
    if ENDS_ROUND_ALIKE and all(map(is_on_cpu, (*wanted, *given))):
        graph = open_loops(graph)
    whole, graph = graph, graph if exact else open_loops(graph, exact=False)
    host = host_keys(graph)
    pieces = outline(graph, host.leaves)
    try:
        order = place(graph, pieces, host, wanted, given)
    except Undecided as undecided:
        return Whole(str(undecided))
    opened = set() if exact else opened_outputs(whole, graph)
    return Engine(graph, host, pieces, order, given, exact, opened)


def _run_whole(
    jitted: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    report: Report | None = None,
) -> list[Any]:
    """Return the outputs of one program for everything; a bar moves when it is done."""
    outputs = jax.tree.leaves(jitted(*args, **kwargs))
    if report is not None:
        jax.block_until_ready(outputs)
        report(len(outputs), sum(map(size_of, outputs)))
    return outputs


def _flag(name: str) -> bool:
    return bool(getattr(jax.config, name))


def _under_trace(values: Any) -> bool:
    return in_trace() or any(isinstance(x, Tracer) for x in jax.tree.leaves(values))


def _paths(tree: Any) -> list[str]:
    return [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(tree)]


def jit_init(
    fun: Callable[..., Any] | None = None,
    *,
    out_shardings: Any = None,
    static_argnums: int | Iterable[int] = (),
    static_argnames: str | Iterable[str] = (),
    progress: bool | None = None,
    exact: bool = True,
    **others: Any,
) -> Any:
    """Return `fun` compiled in pieces: use it in place of `jax.jit(fun)`.

    `jax.jit` makes one program in which every parameter is a chain of its own, so
    compiling takes longer with every layer. Here the function is traced once, keys are
    derived on the host, and what is left is cut into one small program per output;
    programs that differ in nothing but keys are compiled once. The result is that of
    `jax.jit(fun)`, bit for bit. What cannot be cut (control flow around sampling,
    but for loops over keys; side effects, callbacks) is compiled as `jax.jit` would;
    `lower` says what and why.

    Args:
        fun: Any function that makes parameters: `model.init` of Flax or Haiku, a
            function that builds an NNX or Equinox model and returns its arrays, a vmap
            of one over keys. It is not changed. Without it, a decorator.
        out_shardings: Where the outputs live, as `jax.jit` takes it: one sharding or a
            tree of them that is a prefix of the outputs; None leaves it to JAX.
        static_argnums: Arguments that are compile-time constants, by place.
        static_argnames: The same by name.
        progress: True shows a bar of arrays and bytes done, drawn by rich.
        exact: False also opens what cannot be cut without touching last bits: loops
            whose samples are scaled outside, laws of `log`, `exp` and their kin, and
            samples that several outputs share. Each sample then is within 4 units in
            the last place of the largest one; `lower(...).inexact` names the outputs.
        **others: Options of `jax.jit` that have no place here, each refused by name.

    Returns:
        A `JitInit`: a function with `fun`'s arguments and results. Its method
        `lower(*args, **kwargs)` returns the plan of a call; `trace`, `eval_shape` and
        `clear_cache` are those of a jitted function, `jax.export` takes it, and as an
        attribute of a class it is a method. Under an outer trace it is `fun` itself. A
        second call with arguments of the same shapes traces and compiles nothing. No
        two outputs share a buffer.

    Raises:
        TypeError: `fun` is not callable, `progress` not a bool or None, `exact` not a
            bool; an option of `jax.jit` that has no place here; at the call, an output
            that is no array, such as an activation function of an Equinox module.
        ImportError: At a call with `progress=True` without rich.
        Exception: What `fun` or `jax.jit` raises, at the call, unchanged.
    """
    check_options(others)

    def make(fun: Callable[..., Any]) -> JitInit:
        options = out_shardings, static_argnums, static_argnames, progress, exact
        return JitInit(fun, *options)

    return make if fun is None else make(fun)
