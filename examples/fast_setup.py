"""A sharded Flax transformer, set up without the wait for `jax.jit(model.init)`.

The model is plain Linen and knows nothing of initjax. `ij.jit_init` takes the place of
`jax.jit` around its `init` and fills it on one device, on a mesh of eight simulated CPU
devices, and on the same mesh held by two processes. You see the plan (8 layers, a
handful of programs), the times of the first calls, and a check that every array lives
where it was asked to and has the bits that `jax.jit` gives it on one device.

    pip install "initjax[examples]"
    python examples/fast_setup.py
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# read as JAX starts, so set before; of two flags the last holds
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count="
    + ("4" if "--process" in sys.argv else "8")  # in each of two processes, or in one
)

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import initjax as ij

try:
    import flax.linen as nn
except ImportError:
    raise SystemExit('needs Flax: pip install "initjax[examples]"') from None

PROCESSES = 2
TIME_LIMIT = 120.0  # seconds, for both processes together
TOKENS = np.zeros((1, 16), np.int32)  # not JAX's, which must not start at import

# -- the model: nothing here is about initjax ----------------------------------------


class Block(nn.Module):
    """Causal self-attention and an MLP, each on the normalized residual stream."""

    heads: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the updated residual stream."""
        mask = nn.make_causal_mask(x[..., 0])
        attention = nn.MultiHeadDotProductAttention(self.heads, name="attention")
        x = x + attention(nn.LayerNorm(name="ln_1")(x), mask=mask)
        y = nn.Dense(4 * x.shape[-1], name="mlp_in")(nn.LayerNorm(name="ln_2")(x))
        return x + nn.Dense(x.shape[-1], name="mlp_out")(nn.gelu(y))


class Transformer(nn.Module):
    """A decoder with an orthogonal head: one weight that needs a factorization."""

    vocab: int = 1024
    positions: int = 128
    width: int = 256
    layers: int = 8
    heads: int = 8

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Return the logits of the next token at every position."""
        x = nn.Embed(self.vocab, self.width, name="tokens")(tokens)
        places = jnp.arange(tokens.shape[-1])
        x = x + nn.Embed(self.positions, self.width, name="positions")(places)
        for i in range(self.layers):
            x = Block(self.heads, name=f"block_{i}")(x)
        orthogonal = nn.initializers.orthogonal()
        x = nn.LayerNorm(name="ln_out")(x)
        return nn.Dense(self.vocab, kernel_init=orthogonal, name="head")(x)


# -- where its arrays live -----------------------------------------------------------

# the first pattern that the path ends with decides; the rest is copied to every device
RULES = (
    (r"(query|key|value)/kernel", PartitionSpec(None, "model")),  # by heads
    (r"(query|key|value)/bias", PartitionSpec("model")),
    (r"attention/out/kernel", PartitionSpec("model")),
    (r"mlp_in/kernel", PartitionSpec("data", "model")),
    (r"mlp_out/kernel", PartitionSpec("model", "data")),
    (r"embedding|head/kernel", PartitionSpec("data")),
)


def spec(path: str) -> PartitionSpec:
    """Return how the array of a path is cut."""
    found = (cut for pattern, cut in RULES if re.search(rf"/({pattern})$", path))
    return next(found, PartitionSpec())


def path_of(path: Any) -> str:
    """Return a path as text: params/block_0/mlp_in/kernel."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def ask(model: nn.Module, key: jax.Array) -> Any:
    """Return the sharding of every array, on all devices of all processes."""
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("data", "model"))
    shapes = jax.eval_shape(model.init, key, TOKENS)
    return jax.tree_util.tree_map_with_path(
        lambda path, _: NamedSharding(mesh, spec(path_of(path))), shapes
    )


# -- the checks ----------------------------------------------------------------------


def leaves(tree: Any) -> dict[str, Any]:
    """Return the leaves of a tree by path."""
    return {path_of(path): x for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Tell whether two arrays have the same shape, dtype and bits."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def check(variables: Any, wanted: dict[str, Any], shardings: Any = None) -> int:
    """Hold this process' shards to the wanted arrays; return how many there are."""
    got, asked = leaves(variables), leaves(shardings)
    assert got.keys() == wanted.keys()
    shards = 0
    for path, x in got.items():
        where = asked.get(path, x.sharding)
        assert x.sharding.is_equivalent_to(where, x.ndim), f"{path}: on {x.sharding}"
        whole = np.asarray(wanted[path])
        assert x.shape == whole.shape, f"{path}: {x.shape}, not {whole.shape}"
        for shard in x.addressable_shards:
            equal = same_bits(np.asarray(shard.data), whole[shard.index])
            assert equal, f"{path}: other bits on {shard.device}"
            shards += 1
    return shards


def timed(title: str, init: Callable[..., Any], key: jax.Array) -> Any:
    """Call for the first time, so compile and run; print the seconds."""
    start = time.perf_counter()
    variables = jax.block_until_ready(init(key, TOKENS))
    print(f"{title:<30}{time.perf_counter() - start:6.2f} s", flush=True)
    return variables


# -- one process, and two ------------------------------------------------------------


def run_here(model: nn.Module, key: jax.Array) -> dict[str, Any]:
    """Initialize on one device and on eight; return what `jax.jit` gives, by path."""
    shardings = ask(model, key)
    sharded = ij.jit_init(model.init, out_shardings=shardings)
    print(sharded.lower(key, TOKENS), "", sep="\n")
    print("first calls: the function is traced already, nothing is compiled yet")
    on_one = timed("  jit_init on 1 device", ij.jit_init(model.init), key)
    on_eight = timed("  jit_init on 8 devices", sharded, key)
    wanted = leaves(timed("  jax.jit on 1 device", jax.jit(model.init), key))
    assert check(on_one, wanted) == len(wanted)  # whole, on one device
    shards = check(on_eight, wanted, shardings)
    print(f"one process: {len(wanted)} arrays, {shards} shards equal", flush=True)
    return wanted


def run_member(
    model: nn.Module, seed: int, process: int, port: int, folder: str
) -> None:
    """Be one of two processes: initialize with the other, check what is held here."""
    jax.distributed.initialize(f"127.0.0.1:{port}", PROCESSES, process)
    assert (jax.local_device_count(), jax.device_count()) == (4, 8)
    key = jax.random.key(seed)
    shardings = ask(model, key)
    variables = ij.jit_init(model.init, out_shardings=shardings)(key, TOKENS)
    with np.load(Path(folder, "wanted.npz")) as wanted:
        shards = check(variables, dict(wanted), shardings)
    arrays = len(leaves(variables))
    print(f"process {process}: {arrays} arrays, {shards} shards equal", flush=True)


def finish(member: subprocess.Popen[str], deadline: float) -> None:
    """Wait for a process, to the deadline at most, and print what it said."""
    try:
        said, _ = member.communicate(timeout=max(deadline - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        member.kill()
        said, _ = member.communicate()
        said += f"killed after {TIME_LIMIT:g} s\n"
    print(said, end="", flush=True)


def run_processes(wanted: dict[str, Any], folder: str) -> None:
    """Start this file twice, and wait until both processes have passed."""
    np.savez(Path(folder, "wanted.npz"), **wanted)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, __file__, "--port", str(port), "--folder", folder]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    members = [
        subprocess.Popen([*command, "--process", str(i)], text=True, **pipes)
        for i in range(PROCESSES)
    ]
    deadline = time.monotonic() + TIME_LIMIT
    for member in members:
        finish(member, deadline)
    codes = [member.returncode for member in members]
    if any(codes):
        raise SystemExit(f"the processes ended with {codes}")


def main() -> None:
    """Initialize in every way, or be one of the two processes."""
    parser = argparse.ArgumentParser(description="Set up a sharded Flax transformer.")
    parser.add_argument("--process", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options, model, seed = parser.parse_args(), Transformer(), 0
    if options.process is not None:
        run_member(model, seed, options.process, options.port, options.folder)
        return
    wanted = run_here(model, jax.random.key(seed))
    with tempfile.TemporaryDirectory() as folder:
        run_processes(wanted, folder)
    where = "on 1 device, on 8, and in 2 processes"
    print(f"all {len(wanted)} arrays equal jax.jit's, {where}")


if __name__ == "__main__":
    main()
