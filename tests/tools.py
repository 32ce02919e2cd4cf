"""What several tests need: fresh keys, 64-bit mode, comparisons, counts of programs."""

import contextlib
import functools
import importlib.util
import math
import re
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import initjax as ij

FLOATS = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
COMPLEX = ("complex64", "complex128")
WIDE = ("float64", "complex128", "int64", "uint64")
# in these devices wait for each other; on simulated ones several may do so for ever
COLLECTIVES = re.compile(
    r"\b(all-reduce|all-gather|all-to-all|collective-\w+|reduce-scatter)"
)
VERSION = tuple(map(int, jax.__version__.split(".")[:2]))
# before jaxlib 0.9 XLA's log differs in the last bit between vector loop and remainder
STABLE_LOG = VERSION >= (0, 9)
# before jaxlib 0.8 XLA rounds float32 to float16 on the way to float8
FLOAT8_ROUNDED_ONCE = VERSION >= (0, 8)


def written(x):
    """What names a case: its repr without an address, the same in every process."""
    return re.sub(r"<(?:\w+\.)*(\w+) object at 0x\w+>", r"\1", repr(x))


def public():
    """All public names, loaded."""
    return {name: getattr(ij, name) for name in ij.__all__}


@functools.cache
def hook():
    """What makes the site's pages of the laws, `docs/_hooks/catalogue.py`."""
    path = Path(__file__).parents[1] / "docs" / "_hooks" / "catalogue.py"
    spec = importlib.util.spec_from_file_location("hook", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def root(seed=5):
    """A fresh typed key: the same bits, not yet used."""
    return jax.random.key(seed)


def wide(dtype):
    """64-bit mode for the dtypes that need it."""
    if jnp.dtype(dtype).name not in WIDE:
        return contextlib.nullcontext()
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    return jax.experimental.enable_x64()


def assert_same_bits(actual, expected, what=""):
    """Equal dtype, shape and bytes; on an old XLA equal up to its log's last bit."""
    a, b = np.asarray(actual), np.asarray(expected)
    assert (a.dtype, a.shape) == (b.dtype, b.shape), what
    if STABLE_LOG or a.tobytes() == b.tobytes():
        assert a.tobytes() == b.tobytes(), f"{what}: {np.mean(a != b):.2%} differ"
        return
    eps = float(jnp.finfo(a.dtype).eps)
    np.testing.assert_allclose(
        a.astype(np.complex128), b.astype(np.complex128), rtol=3 * eps, err_msg=what
    )


def assert_moments(x, mean, std, what=""):
    """Mean and standard deviation within five standard errors."""
    x = np.asarray(x).ravel()
    x = x.astype(np.complex128 if np.iscomplexobj(x) else np.float64)
    n = x.size
    square = np.abs(x - mean) ** 2
    mean_error = abs(x.mean() - mean) * math.sqrt(n) / std
    assert mean_error < 5, f"{what}: mean is {mean_error:.1f} standard errors off"
    square_error = abs(square.mean() - std**2) * math.sqrt(n)
    assert square_error <= 5 * square.std() + 1e-9 * std**2, (
        f"{what}: variance is off by {square_error / math.sqrt(n):.2g} of {std**2:.2g}"
    )


def assert_refused(call, kind, message):
    """The exact exception, its whole message, and no inner one shown."""
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    if isinstance(message, re.Pattern):
        assert message.fullmatch(str(caught.value))
    else:
        assert str(caught.value) == message
    # the inner exception is not shown
    assert caught.value.__suppress_context__ or not caught.value.__context__


BUILT = []  # an entry for every executable that XLA builds in this process


@jax.monitoring.register_event_duration_secs_listener
def listen(event, seconds, **_):
    if event == "/jax/core/compile/backend_compile_duration":
        BUILT.append(seconds)


def count_compilations(run):
    """How many executables XLA builds while `run` runs."""
    before = len(BUILT)
    run()
    return len(BUILT) - before


_JOINED = """
import os, sys
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
import jax
jax.distributed.initialize("127.0.0.1:" + sys.argv[1], 2, int(sys.argv[2]))
"""


def in_two_processes(program, *arguments):
    """Run a program, after `import jax`, in two processes of four devices each.

    It finds the number of its process in `sys.argv[2]`, the arguments after it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-c", _JOINED + textwrap.dedent(program), port]
    both = [
        subprocess.Popen(
            [*command, str(i), *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for i in range(2)
    ]  # fmt: skip
    said = [one.communicate(timeout=120) for one in both]
    assert [one.returncode for one in both] == [0, 0], said
