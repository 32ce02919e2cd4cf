"""Names and saved forms: get, serialize, deserialize, register."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, overload

import jax
import numpy as np

from ._core.config import array_node, from_node
from ._core.initializer import Initializer
from ._core.names import BUILT_IN, HIDDEN, REGISTERED, built_in, name_of, snake
from ._core.names import custom_objects as names_in_scope
from ._core.streams import digest_words, path_of
from ._core.values import ArrayValue
from ._errors import Refused, shown
from ._fans.fans import mapping_of

T = TypeVar("T", bound=type[Initializer])

_KERAS: set[type[Initializer]] = set()


def named(*aliases: str, keras: Literal[2, 3] | None = None) -> Callable[[T], T]:
    """Name a law of initjax itself: its class name, in snake case, and aliases.

    Args:
        *aliases: What else Keras or JAX call it.
        keras: The first Keras that has it; its "...V2" names came with Keras 2.
    """

    def name(cls: T) -> T:
        spellings = [cls.__name__, snake(cls.__name__), *aliases]
        if keras == 2:
            spellings.append(f"{cls.__name__}V2")
        if keras:
            _KERAS.add(cls)
        BUILT_IN.update(dict.fromkeys(spellings, cls))
        return cls

    return name


BUILT_IN.update(dict.fromkeys(HIDDEN, Initializer))


def get(identifier: Any) -> Any:
    """Return the initializer that an identifier means.

    Args:
        identifier: None (gives None); a name, such as "he_normal" or "HeNormal"; a dict
            that `serialize` or Keras wrote; a class (gives an instance with defaults);
            an array (gives a `Constant` of it); an initializer or any other callable
            (comes back, the same object).

    Raises:
        ValueError: An unknown name, with the nearest known ones; a bad config.
        TypeError: Any other kind of identifier.

    References:
        Keras, `keras.initializers.get`.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str) or mapping_of(identifier) is not None:
        try:
            return from_node(identifier)
        except Refused as refused:
            raise refused.at(f"get({shown(identifier)})") from None
    if isinstance(identifier, (np.ndarray, np.generic, jax.Array)):
        return BUILT_IN["Constant"](identifier)
    found = identifier() if isinstance(identifier, type) else identifier
    if callable(found):
        return found
    raise TypeError(
        f"get({shown(identifier)}): an identifier is None, a name, a config, a class, "
        f"an array or a callable, got {type(identifier).__name__}; "
        "give a name, such as 'he_normal'."
    )


def serialize(
    initializer: Initializer, form: Literal["keras2", "keras3"] = "keras2"
) -> dict[str, Any]:
    """Return an initializer as JSON-able data that Keras reads too.

    Keras's laws are written so that real Keras loads the same law: a path in `seed`
    becomes a 32-bit seed of its digest, and what Keras has no place for but does not
    need (the path, a default dtype, a method) goes beside the config under "initjax",
    where only initjax looks. Arguments that change the law and that Keras does not know
    stay in the config, so that Keras refuses them instead of drawing another law.

    Args:
        initializer: A law, or an instance of a registered class.
        form: "keras2": {"class_name", "config"}, which Keras 2 and 3 read. "keras3":
            with "module" and "registered_name"; arrays as Keras 3 writes them.

    Raises:
        TypeError: Not a law (a function has no config), or a class not registered.
        ValueError: Another form.
    """
    where = f"serialize({shown(initializer)})"
    if not isinstance(form, str) or form not in ("keras2", "keras3"):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
        raise ValueError(
            f"{where}: form must be 'keras2' or 'keras3', got {shown(form)}."
        )
    if not isinstance(initializer, Initializer):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass functions
        raise TypeError(
            f"{where}: needs a law, got {type(initializer).__name__}; only laws have a "
            "config: give one, such as HeNormal(), or of a class that you register."
        )
    try:
        name = name_of(type(initializer))
    except Refused as refused:
        raise refused.at(where) from None
    is_keras = type(initializer) in _KERAS
    config, extra = initializer.get_config(), {}
    if is_keras:
        config, extra = _for_keras(initializer, config, form)
    node: dict[str, Any] = {"class_name": name, "config": config}
    if form == "keras3":
        module = "keras.initializers" if is_keras else "initjax"
        registered = name if name in REGISTERED else None
        node = {"module": module, **node, "registered_name": registered}
    return node | ({"initjax": extra} if extra else {})


def _for_keras(
    initializer: Initializer, config: dict[str, Any], form: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a config for Keras and what only initjax reads."""
    extra = {name: config.pop(name) for name in ("dtype", "method") if name in config}
    seed = config.get("seed")
    if seed is not None and not (isinstance(seed, int) and 0 <= seed < 2**31):
        extra["seed"] = seed
        path = path_of(initializer.seed)  # type: ignore[attr-defined]
        config["seed"] = int(digest_words(path)[1] >> 1)  # fits signed 32 bits
    if config.get("batch_axis") == "rest":
        del config["batch_axis"]
        config["input_axes"] = config.pop("in_axis")
        config["output_axes"] = config.pop("out_axis")
    value = getattr(initializer, "value", None)
    if form == "keras3" and isinstance(value, ArrayValue):
        config["value"] = array_node(value)
    return config, extra


def deserialize(
    config: str | Mapping[str, Any] | None,
    custom_objects: Mapping[str, Any] | None = None,
) -> Any:
    """Return the initializer that `serialize`, Keras 2 or Keras 3 wrote.

    Nothing is imported and no code is evaluated, whatever the config names: classes
    come from initjax, from `register`, or from `custom_objects`.

    Args:
        config: A dict with "class_name" and "config", or a bare name; None gives None.
        custom_objects: Classes or functions by name, looked up first.

    Raises:
        ValueError: An unknown name, with the nearest known ones; a foreign module; a
            bad field, as the constructor says.
        TypeError: A config of a wrong kind.

    References:
        Keras, `keras.initializers.deserialize`.
    """
    if config is None:
        return None
    try:
        with names_in_scope({} if custom_objects is None else custom_objects):
            return from_node(config)
    except Refused as refused:
        raise refused.at(f"deserialize({shown(config)})") from None


@overload
def register(cls: T, *, name: str | None = None) -> T: ...
@overload
def register(cls: None = None, *, name: str | None = None) -> Callable[[T], T]: ...
def register(cls: Any = None, *, name: str | None = None) -> Any:
    """Let a law of your own join `get`, `serialize` and `deserialize`.

    A class decorator, plain or with a name:

        @initjax.register
        @dataclasses.dataclass(frozen=True)
        class Exponential(initjax.Initializer): ...

    Args:
        cls: A subclass of `Initializer`, a frozen dataclass.
        name: What saved configs call it; by default the class name. The snake-case form
            is an identifier too. Keras's form "package>Name" works.

    Raises:
        TypeError: Not a subclass of `Initializer`; a name that is not a str.
        ValueError: An empty name, or one that is taken by another class.
    """
    if cls is None:
        return lambda cls: register(cls, name=name)  # pyright: ignore[reportUnknownLambdaType]  # a decorator with arguments
    if not (isinstance(cls, type) and issubclass(cls, Initializer)):
        raise TypeError(
            f"register({shown(cls)}): needs a subclass of initjax.Initializer; "
            "pass functions in custom_objects instead."
        )
    where = f"register({cls.__name__})"
    name = cls.__name__ if name is None else name
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
        kind = type(name).__name__
        raise TypeError(f"{where}: name must be a str, got {kind}; leave it out.")
    if not name:
        raise ValueError(f"{where}: name must not be empty; leave it out.")
    for spelling in (name, snake(name)):
        known = built_in(spelling) or REGISTERED.get(spelling)
        if known is not None and _origin(known) != _origin(cls):
            raise ValueError(
                f"{where}: the name {shown(spelling)} is taken by "
                f"{known.__module__}.{known.__qualname__}; give another, such as "
                f"register(name='package>{cls.__name__}')."
            )
    REGISTERED[name] = REGISTERED[snake(name)] = cls
    return cls


def _origin(cls: type) -> tuple[str, str]:
    """Return what stays the same when a notebook cell defines a class again."""
    return cls.__module__, cls.__qualname__
