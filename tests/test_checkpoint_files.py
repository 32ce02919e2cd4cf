"""Checkpoints from plans: the bits of init_tree, whole or made anew, never mixed."""

import contextlib
import errno
import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open
from tools import assert_refused, assert_same_bits, count_compilations, wide

import initjax as ij
from initjax import Fan, Rules, Spec
from initjax._checkpoints import folder, writer
from initjax._checkpoints.layout import share_of
from initjax._engine.cost import FEW
from initjax._rules import pieces
from initjax.adapters import safetensors as files


def uniform(key, shape, dtype):
    return jax.random.uniform(key, shape, dtype)


QKV = Fan.fused(("q", "k", "v"), axis=1)
RULES = Rules(
    [
        ("**/bias", "zeros"),
        ("**/scale", "ones"),
        ("table", Spec("random_normal", fan=Fan.embedding())),
        ("**/qkv", Spec("glorot_normal", fan=QKV)),
        ("**/square", "orthogonal"),
        ("**/own", uniform),
        ("**/{wave,half,small}", "random_normal"),
        ("**", "he_normal"),
    ]
)


def struct(*shape, dtype="float32"):
    return jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))


TREE = {
    "table": struct(700, 64, dtype="bfloat16"),  # three pieces of FEW rows
    "layers": [
        {
            "kernel": struct(65, 67),
            "bias": struct(67),
            "qkv": struct(12, 36),
            "scale": struct(dtype="float16"),
        }
        for _ in range(2)
    ],
    "last": {
        "square": struct(8, 8),
        "own": struct(5, 3),
        "wave": struct(7, dtype="complex64"),
        "half": struct(33, 5, dtype="float16"),
        "small": struct(9, dtype="float8_e4m3fn"),
        "none": struct(0, 4),
        "bias": struct(20_000, dtype="int32"),  # two pieces
    },
}
PLAN = ij.plan(RULES, TREE)
MOST = 20_000  # bytes of a file: TREE has several, and one larger tensor
# what fails, and at which of its calls
STEPS = [
    *((folder, "store", n) for n in (1, 3, 4, 7, 14)),
    *((os, "replace", n) for n in (0, 2, 3, 6)),
    *((os, "fsync", n) for n in (5, 12)),
]
LITTLE = ij.plan(
    Rules([("bias", "zeros"), ("**", "random_normal")]),
    {name: TREE["table"] for name in ("a", "b", "c")} | {"bias": struct(3)},
)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """As if the arrays were large."""
    monkeypatch.setattr(pieces, "rows_of", lambda sizes: FEW)
    monkeypatch.setattr(pieces, "MANY", FEW)


def write(path, seed=3, plan=PLAN, **options):
    key = jax.random.key(seed)
    return ij.write_checkpoint(plan, key, path, **{"file_bytes": MOST} | options)


def contents(path):
    return {x.name: x.read_bytes() for x in path.iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A checkpoint that nothing interrupted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "rows_of", lambda sizes: FEW)
        patch.setattr(pieces, "MANY", FEW)
        path = tmp_path_factory.mktemp("whole") / "model"
        written = write(path)
    assert written == writer.Written(
        tuple(path / name for name in sorted(contents(path)) if "-of-" in name),
        (),
        sum(len(x) for name, x in contents(path).items() if "-of-" in name),
        True,
    )
    return path


def copied(path, to):
    shutil.copytree(path, to / "copy")
    return to / "copy"


# -- what is in the files ----------------------------------------------------------


def test_the_tensors_are_those_of_init_tree(whole):
    """The real library reads them; their names are paths with dots."""
    paths = sorted(whole.glob("*.safetensors"))
    names = [f"model-0000{i}-of-00005.safetensors" for i in range(1, 6)]
    assert [path.name for path in paths] == names
    made = ij.init_tree(RULES, TREE, jax.random.key(3))
    jax.tree.map(assert_same_bits, files.load(paths, made), made)
    for path in paths:
        with safe_open(path, "np") as file:
            assert file.metadata() == {"format": "pt"}


def test_the_index_is_as_hugging_face_writes_it(whole):
    index = json.loads((whole / "model.safetensors.index.json").read_text())
    named = {}
    for path in whole.glob("*.safetensors"):
        with safe_open(path, "np") as file:
            named |= dict.fromkeys(file.keys(), path.name)
    assert index["weight_map"] == named
    assert index["metadata"] == {
        "total_parameters": PLAN.parameters,
        "total_size": PLAN.bytes,
    }


def test_tensors_are_aligned_and_files_keep_their_size(whole):
    for path in whole.glob("*.safetensors"):
        raw = path.read_bytes()
        start = 8 + int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8:start])
        del header["__metadata__"]
        assert start % 8 == 0
        assert len(header) == 1 or len(raw) - start <= MOST
        for row in header.values():
            begin, end = row["data_offsets"]
            entries = np.prod(row["shape"], dtype=int)
            assert not entries or begin % ((end - begin) // entries) == 0


def test_initjax_json_says_whose_files_these_are(whole):
    about = json.loads((whole / "initjax.json").read_text())
    assert about["plan"] == PLAN.fingerprint
    assert about["platform"] == "cpu"
    assert {row["name"]: (row["bytes"], row["sha256"]) for row in about["files"]} == {
        name: (len(x), hashlib.sha256(x).hexdigest())
        for name, x in contents(whole).items()
        if "-of-" in name
    }
    assert about["key"] not in ("", str(jax.random.key_data(jax.random.key(3))))


def test_one_file_needs_no_index(tmp_path):
    plan = ij.plan(Rules([("a", "zeros")]), {"a": struct(3)})
    written = write(tmp_path, plan=plan, metadata={"b": "1", "a": "2"})
    assert {*contents(tmp_path)} == {"initjax.json", "model.safetensors"}
    with safe_open(written.files[0], "np") as file:
        assert file.metadata() == {"a": "2", "b": "1"}
    again = write(tmp_path / "2", plan=plan, metadata={"a": "2", "b": "1"})
    assert again.files[0].read_bytes() == written.files[0].read_bytes()


def test_a_program_is_compiled_once(tmp_path):
    law = ij.Orthogonal(gain=1.5)
    tree = {f"w{i}": struct(6, 3) for i in range(5)}
    plan = ij.plan(Rules([("**", law)]), tree)
    assert count_compilations(lambda: write(tmp_path, plan=plan, file_bytes=100)) <= 1


def test_wide_dtypes(tmp_path):
    """Threads have flags of their own."""
    with wide("float64"):
        rules = Rules([("i", ij.RandomNormal(stddev=0.1)), ("**", "orthogonal")])
        tree = {"i": struct(100, 300, dtype="float64"), "o": struct(4, 4)}
        plan = ij.plan(rules, tree)
        (path,) = write(tmp_path, plan=plan, file_bytes=10**9).files
        made = ij.init_tree(rules, tree, jax.random.key(3))
        jax.tree.map(assert_same_bits, files.load(path, made), made)
    refused = "write_checkpoint: 'i' by rule 'i': dtype float64 needs 64-bit mode; "
    with pytest.raises(ValueError, match=refused):
        write(tmp_path / "narrow", plan=plan)


def test_no_piece_is_there_when_the_next_large_one_is_made(tmp_path, monkeypatch):
    alive, make = [], pieces._made

    def made(wide, maker):
        assert not [ref for ref in alive if ref() is not None]
        entries = make(wide, maker).copy()
        alive.append(weakref.ref(entries))
        return entries

    monkeypatch.setattr(pieces, "_made", made)
    monkeypatch.setattr(pieces, "ROOM", 0)
    write(tmp_path)
    assert len(alive) > len(PLAN.rows)


def test_a_raw_key_on_a_mesh_draws_the_same(tmp_path):
    mesh = jax.make_mesh((8,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    raw = jax.random.key_data(jax.random.key(3))
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    ij.write_checkpoint(LITTLE, jax.device_put(raw, whole), tmp_path / "mesh")
    write(tmp_path / "alone", plan=LITTLE, file_bytes=10**9)
    assert contents(tmp_path / "mesh") == contents(tmp_path / "alone")


# -- again, after anything ---------------------------------------------------------


class Killed(BaseException):
    """Nothing catches it."""


@contextlib.contextmanager
def failing(monkeypatch, owner, name, n, error):
    """The n-th call of a function fails instead."""
    calls, real = itertools.count(), getattr(owner, name)

    def call(*args, **kwargs):
        if next(calls) == n:
            raise error
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, call)
        if isinstance(error, Killed):
            patch.setattr(folder.Path, "unlink", lambda *args, **kwargs: None)
        with pytest.raises(type(error)):
            yield


@pytest.mark.parametrize(("owner", "name", "n"), STEPS)
def test_a_killed_call_is_repeated(whole, tmp_path, monkeypatch, owner, name, n):
    """Nothing half-written has a file's name, and the bytes are those of one call."""
    for _ in range(2):  # killed twice in the same way, the second time further on
        with failing(monkeypatch, owner, name, n, Killed()):
            write(tmp_path)
        expected = contents(whole)
        for path in tmp_path.glob("*.safetensors"):
            assert path.read_bytes() == expected[path.name]
    whole_then = {x.name: x.stat().st_mtime_ns for x in tmp_path.glob("*.safetensors")}
    written = write(tmp_path)
    assert contents(tmp_path) == contents(whole)
    kept = {x.name: x.stat().st_mtime_ns for x in written.kept}
    assert kept.items() <= whole_then.items()
    assert len(kept) >= len(whole_then) - 1  # one may lack its record


def test_a_full_disk_loses_nothing(whole, tmp_path, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")
    with failing(monkeypatch, folder, "store", 9, full):
        write(tmp_path)
    assert not [*tmp_path.glob(".*.part")]
    monkeypatch.setattr(folder, "store", lambda out, data: out.write(data))
    assert len(write(tmp_path).kept) == 1
    assert contents(tmp_path) == contents(whole)


def test_a_process_that_is_killed(tmp_path):
    """SIGKILL in the middle of the second file."""
    code = """
import os, signal, sys
sys.path.insert(0, "tests")
os.environ["JAX_PLATFORMS"] = "cpu"
import test_checkpoint_files as t
real, calls = t.folder.store, iter(range(99))
def store(out, data):
    if next(calls) == 5:
        out.write(bytes(data)[:5])
        os.kill(os.getpid(), signal.SIGKILL)
    real(out, data)
t.folder.store = store
t.write(t.folder.Path(sys.argv[1]), plan=t.LITTLE)
"""
    command = [sys.executable, "-c", code, tmp_path / "killed"]
    root = os.path.dirname(os.path.dirname(__file__))
    done = subprocess.run(command, timeout=120, check=False, cwd=root)
    assert done.returncode == -signal.SIGKILL
    assert [*(tmp_path / "killed").glob(".*.part")]
    assert len(write(tmp_path / "killed", plan=LITTLE).kept) == 1
    write(tmp_path / "whole", plan=LITTLE)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.parametrize("harm", ["flipped", "cut", "gone"])
def test_a_damaged_file_is_made_anew(whole, tmp_path, harm):
    path = copied(whole, tmp_path)
    name = "model-00003-of-00005.safetensors"
    data = bytearray((path / name).read_bytes())
    data[-1] ^= 1
    (path / name).unlink()
    if harm != "gone":
        (path / name).write_bytes(data if harm == "flipped" else data[:-1])
    written = write(path)
    assert [x.name for x in written.files if x not in written.kept] == [name]
    assert contents(path) == contents(whole)


def test_another_s_record_counts_for_nothing(whole, tmp_path, monkeypatch):
    """As where two plans begin in one directory at a time."""
    with failing(monkeypatch, folder, "store", 9, Killed()):
        write(tmp_path)
    (record,) = tmp_path.glob(".*.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"of": "another"}))
    assert write(tmp_path).kept == ()
    assert contents(tmp_path) == contents(whole)


def test_what_is_whole_is_not_touched(whole, tmp_path):
    path = copied(whole, tmp_path)
    before = {x: x.stat().st_mtime_ns for x in path.iterdir()}
    written = write(path)
    assert written.kept == written.files
    assert {x: x.stat().st_mtime_ns for x in path.iterdir()} == before


# -- several processes -------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_three_processes_share_the_work(whole, tmp_path, order):
    parts = [write(tmp_path, rank=rank, count=3) for rank in order]
    assert [part.complete for part in parts] == [False, False, True]
    mine = [path for part in parts for path in part.files]
    assert sorted(mine) == sorted(tmp_path.glob("*.safetensors"))
    assert contents(tmp_path) == contents(whole)


def test_others_may_go_on(whole, tmp_path):
    """Two of three, then one alone, then more processes than files."""
    write(tmp_path, rank=0, count=3)
    write(tmp_path, rank=1, count=3)
    assert 2 <= len(write(tmp_path).kept) < 5
    assert contents(tmp_path) == contents(whole)
    assert write(tmp_path, rank=7, count=9) == writer.Written((), (), 0, True)


def test_shares_are_balanced():
    sizes = [5, 5, 5, 5, 3, 3, 1]
    every = [folder.File(f"{i}", (), b"", n) for i, n in enumerate(sizes)]
    shares = [share_of(every, rank, 3) for rank in range(3)]
    assert sorted(itertools.chain(*shares)) == sorted(every)
    assert {sum(file.bytes for file in share) for share in shares} <= {8, 9, 10}


def test_a_bar_is_told_all_bytes(whole, tmp_path, monkeypatch):
    told = []

    @contextlib.contextmanager
    def bar(arrays, size, caller):
        done = []
        yield lambda *more: done.append(more)
        assert [arrays, size] == [sum(column) for column in zip(*done, strict=True)]
        told.append(caller)

    path = copied(whole, tmp_path)
    (path / "model-00003-of-00005.safetensors").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(writer, "bar", bar)
        write(path, progress=True)
    assert told == ["write_checkpoint"]
    write(path, progress=True)  # rich's own


# -- refusals ----------------------------------------------------------------------


def bare(name="w", dtype="float32"):
    return ij.plan(Rules([("**", "ones")]), {name: struct(2, dtype=dtype)})


def traced(path):
    return jax.jit(lambda key: ij.write_checkpoint(PLAN, key, path))(jax.random.key(0))


ARGUMENTS = [
    (lambda p: write(p, rank=3, count=3), "rank must be below count=3, got 3."),
    (lambda p: write(p, rank=-1), "rank must be at least 0, got -1."),
    (lambda p: write(p, count=0), "count must be at least 1, got 0."),
    (lambda p: write(p, file_bytes=0), "file_bytes must be at least 1, got 0."),
    (
        lambda p: write("gs://bucket/model"),
        "gs://bucket/model is no directory that is mounted here; write to one.",
    ),
    (
        lambda p: write(p, plan=ij.plan(Rules([], strict=False), {})),
        "the plan has no leaves.",
    ),
    (
        lambda p: write(p, plan=bare(dtype="int4")),
        "'w' is int4, which safetensors files do not have; give its rule a dtype that "
        "they have: Spec(law, dtype=...).",
    ),
    (
        lambda p: write(p, plan=bare("__metadata__")),
        "safetensors files keep '__metadata__' for themselves; rename the leaf.",
    ),
    (traced, "runs outside of jax.jit, with a concrete key."),
]
KINDS = [
    (lambda p: write(p, rank=True), "rank is an int, got True."),
    (lambda p: write(p, file_bytes="5GB"), "file_bytes is an int, got '5GB'."),
    (
        lambda p: write(p, progress="x"),
        "progress is True, False or None, got 'x'.",
    ),
    (
        lambda p: write(p, metadata={"a": 1}),
        "metadata are texts by name, got {'a': 1}; give str() of each.",
    ),
    (lambda p: write(3), "directory is a path, got 3."),
    (lambda p: write("a\0b"), r"directory is a path, got 'a\x00b'."),
    (
        lambda p: write(p, plan=RULES),
        "the first argument is the result of ij.plan, got Rules.",
    ),
]
WRONG = [
    *((call, ValueError, message) for call, message in ARGUMENTS),
    *((call, TypeError, message) for call, message in KINDS),
]


@pytest.mark.parametrize(("call", "kind", "message"), WRONG)
def test_wrong_arguments_are_refused(call, kind, message, tmp_path):
    """Before anything is made."""
    path = tmp_path / "model"
    assert_refused(lambda: call(path), kind, f"write_checkpoint: {message}")
    assert not path.exists()


def changed(path, text):
    (path / "initjax.json").write_text(text)


def begun_on_gpu(path):
    about = json.loads((path / "initjax.json").read_text())
    changed(path, json.dumps(about | {"platform": "gpu"}))


# each: what happens to a checkpoint, the call, the exception, the message after the
# directory; HEX are 16 digits
OTHERS = [
    (
        lambda path: None,
        lambda path: write(path, plan=bare()),
        ValueError,
        "holds another plan (fingerprint HEX, not HEX); give another directory.",
    ),
    (
        lambda path: None,
        lambda path: write(path, seed=4),
        ValueError,
        "holds this plan under another key (digest HEX, not HEX); give that key, or "
        "another directory.",
    ),
    (
        lambda path: None,
        lambda path: write(path, file_bytes=MOST // 2),
        ValueError,
        "was begun with another file_bytes, metadata or order of leaves; give the "
        "same, or another directory.",
    ),
    (
        begun_on_gpu,
        write,
        ValueError,
        "was begun on gpu, and this is cpu, whose last bits may differ; go on there, "
        "or give another directory.",
    ),
    (
        lambda path: (path / "initjax.json").unlink(),
        write,
        FileExistsError,
        "holds model-00001-of-00005.safetensors, and no initjax.json says that it is "
        "of this checkpoint; give another directory.",
    ),
    *(
        (
            lambda path, text=text: changed(path, text),
            write,
            ValueError,
            "has a file initjax.json that is none of ours; give another directory.",
        )
        for text in ("[]", "{", '{"files": 3}')
    ),
    (
        lambda path: (shutil.rmtree(path), path.write_text("mine")),
        write,
        NotADirectoryError,
        "is a file; give a directory.",
    ),
]


@pytest.mark.parametrize(("happens", "call", "kind", "message"), OTHERS)
def test_what_is_another_s_is_refused(whole, tmp_path, happens, call, kind, message):
    """And nothing in it is changed."""
    path = copied(whole, tmp_path)
    happens(path)
    before = contents(tmp_path) if path.is_file() else contents(path)
    text = re.escape(f"write_checkpoint: {path} {message}")
    pattern = re.compile(text.replace("HEX", r"\w{16}"))
    assert_refused(lambda: call(path), kind, pattern)
    assert before == (contents(tmp_path) if path.is_file() else contents(path))


FAILURES = [
    (errno.EROFS, "give a directory that can be written"),
    (errno.EACCES, "give a directory that can be written"),
    (errno.ENOTDIR, "give a directory that can be written"),
    (errno.ENOSPC, "make room and call again: files that are whole are kept"),
    (errno.EIO, "call again: files that are whole are kept"),
]


@pytest.mark.parametrize(("number", "way"), FAILURES)
def test_what_the_system_refuses(tmp_path, monkeypatch, number, way):
    def opened(*args, **kwargs):
        raise OSError(number, os.strerror(number), "a long name.part")

    monkeypatch.setattr(folder, "open", opened, raising=False)
    with pytest.raises(OSError, match="write_checkpoint") as caught:
        write(tmp_path)
    assert caught.value.errno == number
    assert caught.value.strerror == (
        f"write_checkpoint: {tmp_path}: {os.strerror(number)}; {way}."
    )
    assert caught.value.__suppress_context__


def test_too_little_room_is_known_before(tmp_path, monkeypatch):
    """What was left behind goes before."""
    monkeypatch.setattr(folder.Folder, "free", lambda self: 1000)
    (tmp_path / ".model-00002-of-00005.safetensors.0.part").touch()
    size = 210
    with pytest.raises(OSError, match="are to be written") as caught:
        write(tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.strerror == (
        f"write_checkpoint: {tmp_path}: {size} kB are to be written, 1 kB are free; "
        "make room and call again: files that are whole are kept."
    )
    assert {*contents(tmp_path)} == {"initjax.json"}


def test_a_bar_needs_rich(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(ImportError, match=r"^write_checkpoint\(progress=True\)"):
        write(tmp_path / "model", progress=True)
    assert not (tmp_path / "model").exists()
