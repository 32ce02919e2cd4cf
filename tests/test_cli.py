"""The command line: what it prints, what it refuses, and with which exit codes."""

import io
import json
import os
import pickle
import random
import subprocess
import sys
import tracemalloc
import types
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors
import safetensors.numpy

import initjax as ij
from initjax import _models
from initjax._cli import output
from initjax._cli.main import COMMANDS, main
from initjax._core.tables import Table
from initjax._errors import Refused
from initjax._report.tensors import mapped

# -- files ---------------------------------------------------------------------------

MODEL = {
    "name": "small",
    "parameters": [
        {"path": f"h.{i}.{name}", "shape": shape, "dtype": "float32"}
        for i in range(2)
        for name, shape in {"c_fc.weight": [4, 8], "c_fc.bias": [8]}.items()
    ]
    + [{"path": "steps", "shape": [], "dtype": "int32"}],
}
RULES = ij.Rules([("**/bias", "zeros"), ("**/weight", "he_normal"), ("steps", "zeros")])
ARRAYS = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.ones(5, np.float32),
}
PLAN = ij.plan(RULES, MODEL)
OTHER = ij.plan(
    ij.Rules([("**/weight", "zeros"), ("**", "ones")]),
    {"parameters": MODEL["parameters"][:3]},
)


def raw(header, numbers=b"", length=None):
    """A file of tensors, whatever it says of itself."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + (
        text + numbers
    )


def one(dtype="F32", shape=(2,), offsets=(0, 8), name="a"):
    return {name: {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


BAD = {  # files that are no tensors, and what is said of them
    "empty": (b"", "it has 0 bytes, a header needs 8."),
    "png": (
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        "its header would have 727,905,341,920,923,785 bytes, at most 40.",
    ),
    "huge": (raw(b"{}", length=2**64 - 1), "its header would have "
             "18,446,744,073,709,551,615 bytes, at most 2."),
    "no json": (raw(b"{'a': 1}"), "its header is no JSON: Expecting property name "
                "enclosed in double quotes: line 1 column 2 (char 1)."),
    "no utf-8": (raw(b'{"\xff": 1}'), "its header is no UTF-8."),
    "a list": (raw([1]), "its header is no object of tensors by name: [1]."),
    "cut off": (raw(one(), bytes(5)),
                "its tensors have 8 bytes, and it has 5 for them."),
    "too long": (raw(one(), bytes(9)),
                 "its tensors have 8 bytes, and it has 9 for them."),
    "overlap": (raw(one() | one(name="b", offsets=(4, 12)), bytes(12)),
                "its tensors overlap at byte 4."),
    "gap": (raw(one(offsets=(4, 12)), bytes(12)), "its tensors leave a gap at byte 0."),
    "twice": (raw(b'{"a": 1, "a": 1}'), "its header has 'a' twice."),
    "twice inside": (raw(b'{"a": {"shape": [], "shape": [1]}}'),
                     "its header has 'shape' twice."),
    "negative": (raw(one(shape=(-2,)), bytes(8)), "'a' must have a dtype, a shape and "
                 "data_offsets, got {'dtype': 'F32', 'shape': [-2], 'data_offsets': "
                 "[0, 8]}."),
    "fractions": (raw(one(shape=(2.0,)), bytes(8)), "'a' must have a dtype, a shape "
                  "and data_offsets, got {'dtype': 'F32', 'shape': [2.0], "
                  "'data_offsets': [0, 8]}."),
    "no place": (raw({"a": None}),
                 "'a' must have a dtype, a shape and data_offsets, got None."),
    "backwards": (raw(one(offsets=(8, 0)), bytes(8)), "'a' is F32[2], and has -8 "
                  "bytes."),
    "astronomic": (raw(one(shape=(2**62, 2**62)), bytes(8)), "'a' is F32"
                   "[4611686018427387904, 4611686018427387904], and has 8 bytes."),
    "no dtype": (raw(one("F31"), bytes(8)), "'a' is 'F31', which JAX does not have."),
    "an escape": (raw(one(name="\x1b[2J"), bytes(8)),
                  "'\\x1b[2J' is no name of a tensor."),
    "metadata": (raw({"__metadata__": {"a": 1}}),
                 "its metadata are no texts by name: {'a': 1}."),
}  # fmt: skip


class Evil:
    """A pickle that makes a file where it is loaded."""

    def __reduce__(self):
        return Path.touch, (Path("executed"),)


def index(folder, weight_map):
    folder.mkdir()
    text = json.dumps({"metadata": {}, "weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of all kinds."""
    home = tmp_path_factory.mktemp("files")
    texts = {
        **{"model.json": json.dumps(MODEL), "list.json": "[1, 2]", "bad.json": "{"},
        **{"rules.json": json.dumps(RULES.get_config()), "deep.json": "[" * 10**5},
        **{"plan.json": PLAN.to_json(), "other.json": OTHER.to_json()},
        **{"fake.json": '{"leaves": 3}'},
        "row.json": '{"parameters": [{"path": "a"}]}',
        "escape.json": json.dumps(
            {"parameters": [dict(MODEL["parameters"][0], path="\x1b[2J")]}
        ),
    }
    for name, text in texts.items():
        (home / name).write_text(text)
    for name, (content, _) in BAD.items():
        (home / name).write_bytes(content)
    (home / "latin.json").write_bytes(b'"\xff"')
    (home / "pickle").write_bytes(pickle.dumps(Evil()))
    safetensors.numpy.save_file(ARRAYS, home / "good.safetensors")
    (home / "none.safetensors").write_bytes(raw({}))
    (home / "none").mkdir()
    (home / "none" / "model.bin").write_bytes(pickle.dumps(Evil()))
    for name, content in {"sharded": ARRAYS, "lacking": {"b": np.ones(1)}}.items():
        parts = {f"{i}.safetensors": n for i, n in enumerate(content)}
        index(home / name, {t: f for f, t in parts.items()})
        for file, tensor in parts.items():
            safetensors.numpy.save_file({tensor: content[tensor]}, home / name / file)
    index(home / "missing", {"a": "gone.safetensors"})
    index(home / "outside", {"a": "../good.safetensors"})
    index(home / "number", {"a": 3})
    index(home / "unlisted", {"b": "0.safetensors"})
    safetensors.numpy.save_file(ARRAYS, home / "unlisted" / "0.safetensors")
    index(home / "untrue", {"c": "0.safetensors"})
    safetensors.numpy.save_file({}, home / "untrue" / "0.safetensors")
    index(home / "several", {})
    (home / "several" / "b.safetensors.index.json").write_text("{}")
    (home / "pair").mkdir()
    for name in "ab":
        safetensors.numpy.save_file(ARRAYS, home / "pair" / f"{name}.safetensors")
    return home


@pytest.fixture(autouse=True)
def in_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def run(capsys):
    """Run a command: its exit code, stdout and stderr."""

    def run(*arguments):
        code = main(arguments)
        return code, *capsys.readouterr()

    return run


# -- wrong uses ----------------------------------------------------------------------

WRONG = {
    "": "initjax: give a command; known: list, show, plan, check, diff, init.",
    "chek": "initjax: no command 'chek'; did you mean 'check'?",
    "frobnicate": "initjax: no command 'frobnicate'; known: list, show, plan, check, "
    "diff, init.",
    "--verbose": "initjax: unrecognized arguments: --verbose; see initjax --help.",
    "list laws all": "unrecognized arguments: all; see initjax list --help.",
    "list rules": "argument WHAT: one of laws, recipes, presets is needed, got "
    "'rules'; see initjax list --help.",
    "list --search qqq": "no line of laws has the text 'qqq'.",
    "list --sear=q": "unrecognized arguments: --sear=q; see initjax list --help.",
    "show he_normal": "the following arguments are required: --shape; see initjax "
    "show --help.",
    "show he_norml --shape 2,2": "get('he_norml'): unknown initializer 'he_norml'; did "
    "you mean 'he_normal' or 'he_normalV2' or 'he_uniform'? A law of your own needs "
    "initjax.register, or custom_objects.",
    "show torch.he --shape 2": "no preset 'torch.he'; see initjax list presets.",
    "show torch.layers --shape 2": "torch.layers makes Rules, no law; see initjax "
    "list.",
    "show ones --shape 2,-1": "argument --shape: sizes like 512,512 are needed, got "
    "'2,-1'; see initjax show --help.",
    "show ones --shape": "argument --shape: expected one argument; see initjax show "
    "--help.",
    "show ones --shape 2 --dtype flt": "argument --dtype: a dtype like bfloat16 is "
    "needed, got 'flt'; see initjax show --help.",
    "show ones --shape 2 --config {": "argument --config: no JSON: Expecting property "
    "name enclosed in double quotes: line 1 column 2 (char 1); see initjax show "
    "--help.",
    "show ones --shape 2 --config [1]": 'argument --config: a JSON object like {"scale"'
    ": 2} is needed, got '[1]'; see initjax show --help.",
    'show he_normal --shape 2 --config {"x":1}': "HeNormal.from_config({'x': 1}): has "
    "no field 'x'; known: ['batch_axis', 'dtype', 'fan', 'in_axis', 'out_axis', "
    "'seed'].",
    "show orthogonal --shape 2": "Orthogonal().law(shape=(2,)): needs a shape of rank "
    ">= 2, got rank 1; for a vector use RandomNormal(stddev=n ** -0.5).",
    "show scaled --shape 2": "Scaled.from_config({}): needs the field 'initializer'; "
    "give it.",
    "plan model.json": "one of the arguments --recipe --rules is required; see initjax "
    "plan --help.",
    "plan model.json --recipe lama": "argument --recipe: one of bert, gpt2, llama, "
    "mixtral, resnet, t5, vit is needed, got 'lama'; see initjax plan --help.",
    "plan model.json --recipe t5": "recipe t5 needs d_model: --set d_model=N.",
    "plan model.json --recipe llama --set heads=true": "recipe llama takes layers, "
    "layout, no 'heads'.",
    "plan model.json --recipe bert --layers 2": "recipe bert takes layout, heads, no "
    "'layers'.",
    "plan model.json --recipe bert --set heads=maybe": "recipe bert: heads is bool, "
    "got 'maybe'.",
    "plan model.json --recipe bert --set heads": "argument --set: NAME=VALUE is "
    "needed, got 'heads'; see initjax plan --help.",
    "plan model.json --recipe gpt2 --layers -2": "argument --layers: a whole number "
    "from 0 on is needed, got '-2'; see initjax plan --help.",
    "plan model.json --recipe gpt2 --layout hwio": "argument --layout: one of io, oi "
    "is needed, got 'hwio'; see initjax plan --help.",
    "plan model.json --rules rules.json --layout oi": "'layout' is of recipes, and no "
    "--recipe is given.",
    "plan model.json --rules rules.json --recipe t5": "argument --recipe: not allowed "
    "with argument --rules; see initjax plan --help.",
    "plan model.json --recipe vit --set style=big": "recipes.vit: style must be 'jax' "
    "or 'timm', got 'big'.",
    "plan gone.json --recipe llama": "gone.json: No such file or directory.",
    "plan none --recipe llama": "none is no file.",
    "plan bad.json --recipe llama": "bad.json is no JSON: Expecting property name "
    "enclosed in double quotes: line 1 column 2 (char 1).",
    "plan latin.json --recipe llama": "latin.json is no JSON: it is no UTF-8.",
    "plan list.json --recipe llama": 'list.json is no manifest, {"parameters": '
    "[{path, shape, dtype}, ...]}, and no config.json with a model_type.",
    "plan row.json --recipe llama": "a manifest lists parameters as {path, shape, "
    "dtype}, got {'path': 'a'}.",
    "plan model.json --rules list.json": "Rules.from_config: needs a dict, as "
    "get_config returns, got list.",
    "plan model.json --recipe gpt2": "1 of 5 leaves match no rule: steps (); 3 of 6 "
    "rules have no leaf: '**/{*norm*,*Norm*,ln,ln_*}/{scale,weight,gamma,g}': matches "
    "nothing; '**/{wte,wpe,*[eE]mbed*}/{embedding,embeddings,weight}': matches nothing"
    "; '**/c_proj/{kernel,weight,w}': matches nothing; add a rule or default=.",
    "plan model.json --rules rules.json --explain steps.2": "TreePlan.explain("
    "'steps.2'): no such leaf; nearest is 'steps'.",
    "plan model.json --rules rules.json --json --html x": "argument --html: not "
    "allowed with argument --json; see initjax plan --help.",
    "check": "the following arguments are required: CHECKPOINT; see initjax check "
    "--help.",
    "check gone": "gone: No such file or directory.",
    "check none": "none has no *.safetensors files.",
    "check none.safetensors": "none.safetensors has no tensors.",
    "check /dev/zero": "/dev/zero cannot be read as safetensors: it is no file.",
    "check several": "several has several indices: b.safetensors.index.json, "
    "model.safetensors.index.json; give one of them.",
    "check several/b.safetensors.index.json": "several/b.safetensors.index.json has no "
    "tensors.",
    "check missing": "missing/gone.safetensors: No such file or directory.",
    "check outside": "outside/model.safetensors.index.json names '../good.safetensors'"
    ", no file beside it.",
    "check number": "number/model.safetensors.index.json names 3, no file beside it.",
    "check unlisted": "0.safetensors has 'a.weight', and unlisted/model.safetensors."
    "index.json has not.",
    "check untrue": "untrue/model.safetensors.index.json has 'c', and 0.safetensors "
    "has not.",
    "check pair": "two files have 'a.weight'; give one of them.",
    "check good.safetensors --plan model.json": "model.json is no plan, as initjax "
    "plan --json prints it.",
    "check good.safetensors --recipe bert --plan plan.json": "argument --plan: not "
    "allowed with argument --recipe; see initjax check --help.",
    "check good.safetensors --set style=timm": "'style' is of recipes, and no --recipe "
    "is given.",
    "diff plan.json": "the following arguments are required: B; see initjax diff "
    "--help.",
    "diff plan.json good.safetensors": "plan.json is a plan and good.safetensors a "
    "checkpoint; give two alike.",
    "diff good.safetensors gone": "gone: No such file or directory.",
    "init model.json --rules rules.json --seed 0": "the following arguments are "
    "required: --out; see initjax init --help.",
    "init model.json --rules rules.json --out x": "the following arguments are "
    "required: --seed; see initjax init --help.",
    "init model.json --rules rules.json --out x --seed -1": "argument --seed: a whole "
    "number from 0 on is needed, got '-1'; see initjax init --help.",
    "init model.json --rules rules.json --out x --seed 4294967296": "argument --seed: "
    "a seed is below 2^32, got 4294967296; see initjax init --help.",
    "init model.json --rules rules.json --out x --seed 0 --file-size big": "argument "
    "--file-size: a size like 5GB or 500MB is needed, got 'big'; see initjax init "
    "--help.",
    "init model.json --rules rules.json --out x --seed 0 --rank 2 --count 2": "--rank "
    "2 must be below --count 2.",
}


@pytest.mark.parametrize("given", WRONG)
def test_a_wrong_use_is_one_line(given, run):
    words = given.split(" ") if given else []
    place = f"initjax {words[0]}: " if words and words[0] in COMMANDS else ""
    assert run(*words) == (2, "", f"{place}{WRONG[given]}\n")


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("command", ["check", "diff"])
def test_a_file_of_something_else_is_one_line(command, name, run):
    files = [name] if command == "check" else ["good.safetensors", name]
    text = f"initjax {command}: {name} cannot be read as safetensors: {BAD[name][1]}\n"
    assert run(command, *files) == (2, "", text)


def test_a_pickle_is_not_loaded_and_nesting_has_an_end(run):
    for command in (["check", "pickle"], ["plan", "pickle", "--recipe", "llama"]):
        code, out, err = run(*command)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert not Path("executed").exists()
    pickle.loads(Path("pickle").read_bytes())
    assert Path("executed").exists()  # it would be seen
    code, out, err = run("plan", "deep.json", "--recipe", "llama")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("initjax plan: deep.json is no JSON: ")


def test_a_header_that_says_that_it_is_huge_is_not_read(run, tmp_path):
    path = tmp_path / "sparse"
    path.write_bytes(raw(b"", length=150_000_000))
    os.truncate(path, 400_000_000)  # on disk it is nothing
    tracemalloc.start()
    code, out, err = run("check", str(path))
    code_json, _, err_json = run("plan", str(path), "--recipe", "llama")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
    assert (code, out, code_json) == (2, "", 2)
    assert err.endswith(
        "its header would have 150,000,000 bytes, at most 100,000,000.\n"
    )
    assert err_json.endswith("has 400,000,000 bytes, too many for a JSON file.\n")


def test_what_the_library_reads_is_read_and_nothing_else(tmp_path):
    """Files with a few bytes changed, cut off or added."""
    whole, chance = Path("good.safetensors").read_bytes(), random.Random(0)
    path, counts = tmp_path / "a", {True: 0, False: 0}
    for _ in range(250):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 2)):
            content[chance.randrange(140)] = chance.choice(b'0123456789",:[]{}abAFB ')
        path.write_bytes(content[: chance.choice([None, None, None, -1, 50])])
        try:
            ours = {*mapped([path])}
        except Refused:
            ours = None
        try:
            with safetensors.safe_open(path, framework="np") as file:
                theirs = {*file.keys()}
        except safetensors.SafetensorError:
            theirs = None
        assert ours == theirs, bytes(content)
        counts[ours is None] += 1
    assert min(counts.values()) > 5


# -- outputs -------------------------------------------------------------------------

SHOWN = {
    "list --search CATEG": """\
law          other names  what it is
Categorical  categorical  One of `values`, with `probabilities`.
""",
    "list --search kaiming_n": """\
law       other names                what it is
HeNormal  he_normal, kaiming_normal  Cut normal, mean 0, standard deviation sqrt(2 / fan_in).
""",  # noqa: E501
    "list recipes --search bert": """\
recipe  arguments      what it is
bert    layout, heads  BERT's rules: a normal of 0.02 cut at two of its standard deviations.
""",  # noqa: E501
    "list presets --search torch.xavier_u": """\
preset                what it is
torch.xavier_uniform  U(-a, a), a = gain sqrt(6 / (fan_in + fan_out)).
""",
    "show he_uniform --shape 6,2 --dtype bfloat16": """\
HeUniform()
Uniform on [-a, a), a = sqrt(6 / fan_in): mean 0, std sqrt(2 / fan_in).
names   HeUniform, he_uniform, kaiming_uniform, he_uniformV2, HeUniformV2
alike   flax.lora_a, jax.he_uniform, jax.kaiming_uniform, keras.HeUniform
shape   6x2 bfloat16
fans    fan_in 6, fan_out 2
mean    0
std     0.57735
bounds  -1 to 1
""",
    'show torch.normal --config {"std":0.5} --shape 3': """\
RandomNormal(stddev=0.5)
Normal law, entries independent: mean `mean`, standard deviation `stddev`.
names   RandomNormal, random_normal, normal, RandomNormalV2
shape   3 float32
mean    0
std     0.5
bounds  -inf to inf
""",
    "show ones --shape  --dtype complex64": """\
Ones()
All entries 1: mean 1, standard deviation 0.
names   Ones, ones, one, OnesV2
alike   flax.ones_init, keras.Ones, sonnet.Ones, torch.ones
shape   - complex64
mean    1
std     0
bounds  1 to 1
""",
    "plan model.json --rules rules.json": """\
leaves  path             shape  dtype    law         fan_in  fan_out     std  way
     2  h/*/c_fc/bias    8      float32  Zeros()          -        -       0  host
     2  h/*/c_fc/weight  4x8    float32  HeNormal()       4        8  0.7071  program
     1  steps            -      int32    Zeros()          -        -       0  host

leaves  rule         parameters  bytes
     2  '**/bias'            16   64 B
     2  '**/weight'          64  256 B
     1  'steps'               1    4 B
5 leaves, 81 parameters, 324 B, 1 program, fingerprint 548118580b1e48ee
""",
    "plan model.json --rules rules.json --dtype float16 --explain h.1.c_fc.weight": """\
h/1/c_fc/weight: float16[4, 8], 64 B, in 1 shard
  rule    '**/weight'
  law     HeNormal()
  fans    (4, 8) (in, out), by Keras's rule
  entries mean 0, std 0.7071
  stream  fold_in_path(key, 'h', 1, 'c_fc', 'weight')
  way     program
""",
}


@pytest.mark.parametrize("given", SHOWN)
def test_what_is_shown(given, run):
    assert run(*given.split(" ")) == (0, SHOWN[given], "")


def test_a_plan_as_json_is_the_plans_and_a_dtype_is_of_floats(run):
    code, out, err = run(
        "plan", "model.json", "--rules", "rules.json", "--json", "--dtype", "float16"
    )
    dtypes = [leaf["dtype"] for leaf in json.loads(out)["leaves"]]
    assert (code, err, dtypes) == (0, "", 2 * ["float16", "float16"] + ["int32"])
    assert run("plan", "model.json", "--rules", "rules.json", "--json") == (
        0,
        PLAN.to_json() + "\n",
        "",
    )


# -- commands that hand on -----------------------------------------------------------


class Found:
    """Stands in for a report and a comparison: what the command line asks of them."""

    rows, findings = "ab", ("one",)
    files, kept, bytes, complete = "ab", "", 324, True

    def __init__(self, fine):
        self.ok = self.equal = fine

    def __str__(self):
        return "a table"

    def to_json(self):
        return '{"a": 1}'

    def to_html(self, path):
        Path(path).write_text("<p>")


@pytest.fixture
def called(monkeypatch):
    """What is handed to the functions behind the commands; they find nothing wrong."""
    calls = {"fine": True}

    def stand_in(name):
        def call(*arguments, **options):
            calls[name] = arguments, options
            return Found(calls["fine"])

        monkeypatch.setattr(_models, name, call)

    for name in ("report", "compare", "write_checkpoint"):
        stand_in(name)
    if not hasattr(ij.TreePlan, "from_json"):
        read = {plan.to_json(): plan for plan in (PLAN, OTHER)}
        monkeypatch.setattr(ij.TreePlan, "from_json", read.__getitem__, raising=False)
    return calls


@pytest.mark.parametrize("place", ["good.safetensors", "sharded"])
def test_check_maps_the_tensors_and_reports(place, run, called):
    assert run("check", place, "--singular") == (0, "a table\n", "")
    (tensors, plan), options = called["report"]
    assert (plan, options) == (None, {"singular": True})
    assert {*tensors} == {*ARRAYS}
    for name, array in ARRAYS.items():
        assert isinstance(tensors[name], np.memmap)
        assert tensors[name].dtype == array.dtype
        assert (tensors[name] == array).all()
    called["fine"] = False
    assert run("check", place, "--json") == (1, '{"a": 1}\n', "")
    said = "2 weights, 1 finding\nwritten to report.html\n"
    assert run("check", place, "--html", "report.html") == (1, said, "")
    assert Path("report.html").read_text() == "<p>"


@pytest.mark.parametrize(
    ("given", "plan"),
    [
        ("--rules both.json", ij.plan(ij.Rules([("**", "ones")]), ARRAYS)),
        ("--plan plan.json", PLAN),
    ],
)
def test_check_holds_them_to_a_plan(given, plan, run, called):
    rules = ij.Rules([("**", "ones")]).get_config()
    Path("both.json").write_text(json.dumps(rules))
    assert run("check", "good.safetensors", *given.split()) == (0, "a table\n", "")
    assert called["report"][0][1].fingerprint == plan.fingerprint


def test_diff_of_checkpoints(run, called):
    assert run("diff", "good.safetensors", "sharded") == (0, "a table\n", "")
    a, b = called["compare"][0]
    assert {*a} == {*b} == {*ARRAYS}
    called["fine"] = False
    assert run("diff", "sharded", "sharded", "--json") == (1, '{"a": 1}\n', "")


def test_diff_of_plans(run, called):
    same = f"the same weights: fingerprint {PLAN.fingerprint[:16]}\n"
    assert run("diff", "plan.json", "plan.json") == (0, same, "")
    zeros = '{"class_name": "Zeros", "config": {}}'
    ones = '{"class_name": "Ones", "config": {}}'
    he = json.dumps(ij.serialize(ij.HeNormal()))
    rows = [
        ("path", "field", "a", "b"),
        ("h/0/c_fc/bias", "law", zeros, ones),
        ("h/0/c_fc/weight", "law", he, zeros),
        ("h/1/c_fc/bias", "-", "has", "lacks"),
        ("h/1/c_fc/weight", "law", he, zeros),
        ("steps", "-", "has", "lacks"),
    ]
    code, out, err = run("diff", "plan.json", "other.json")
    *lines, last = out.splitlines()
    assert (code, err) == (1, "")
    assert lines == Table(rows[0], rows[1:]).lines()
    prints = PLAN.fingerprint, OTHER.fingerprint
    assert last == f"fingerprints {prints[0][:16]} and {prints[1][:16]}"
    code, out, err = run("diff", "plan.json", "other.json", "--json")
    assert (code, json.loads(out)) == (
        1,
        {
            "equal": False,
            "fingerprints": [*prints],
            "rows": [dict(zip(rows[0], row, strict=True)) for row in rows[1:]],
        },
    )


def test_init_hands_its_plan_key_and_share_on(run, called, monkeypatch):
    said = "out: 2 files, 324 B; complete\n"
    words = "init model.json --rules rules.json --seed 7 --out out".split()
    assert run(*words) == (0, said, "")
    (plan, key, folder), options = called["write_checkpoint"]
    assert (plan.fingerprint, folder) == (PLAN.fingerprint, "out")
    assert (jax.random.key_data(key) == jax.random.key_data(jax.random.key(7))).all()
    usual = {"file_bytes": 5 * 10**9, "rank": 0, "count": 1, "progress": False}
    assert options == usual
    more = "--file-size 1.5MB --rank 1 --count 3 --no-progress".split()
    monkeypatch.setattr(Found, "complete", False)
    monkeypatch.setattr(Found, "kept", "a")
    said = "out: 2 files, 324 B; 1 kept as they were; the files of other ranks are yet "
    assert run(*words, *more) == (0, said + "to come\n", "")
    options = called["write_checkpoint"][1]
    given = {"file_bytes": 1_500_000, "rank": 1, "count": 3, "progress": False}
    assert options == given


T5 = {"parameters": [{"path": path, "shape": (6, 4), "dtype": "float32"}
      for path in ("rel_bias.weight", "shared.weight", "q.weight", "w",
                   "norm.weight")]}  # fmt: skip


def fan_in_of(run, *given):
    """The fan_in of T5's queries by a plan."""
    code, out, err = run("plan", *given, "--recipe", "t5", "--json")
    assert (code, err) == (0, "")
    fans = {leaf["path"]: leaf["fans"] for leaf in json.loads(out)["leaves"]}
    return fans["q/weight"][0][0]


@pytest.mark.parametrize(("layout", "fan_in"), [(None, 6), ("io", 6), ("oi", 4)])
def test_a_manifest_may_say_its_layout(layout, fan_in, run):
    Path("t5.json").write_text(json.dumps({**T5, "layout": layout}))
    assert fan_in_of(run, "t5.json", "--set", "d_model=4") == fan_in
    if layout == "oi":  # but the user's word is the last
        assert fan_in_of(run, "t5.json", "--set", "d_model=4", "--layout", "io") == 6


def test_a_config_of_hugging_face_is_a_model_and_says_its_recipes_arguments(
    run, monkeypatch
):
    asked, arguments = [], {"d_model": 4, "layout": "oi"}

    def recipe_of_config(config):
        asked.append(config)
        return types.SimpleNamespace(arguments=arguments)

    reader = types.SimpleNamespace(
        manifest_of_config=lambda config: T5, recipe_of_config=recipe_of_config
    )
    monkeypatch.setattr("initjax._cli.reading.hugging_face", reader)
    Path("config.json").write_text('{"model_type": "t5"}')
    assert fan_in_of(run, "config.json") == 4
    assert fan_in_of(run, "config.json", "--layout", "io") == 6
    code, out, err = run("plan", "config.json", "--recipe", "resnet")
    assert (code, out, err.startswith("initjax plan: ")) == (2, "", True)
    assert asked == 2 * [{"model_type": "t5"}]  # of its own recipe alone


LAYERS = {
    "h.0.c_proj.weight h.1.c_proj.weight h.2.c_proj.weight": 3,
    "blocks_0/c_proj/kernel blocks_1/c_proj/kernel": 2,
    "model.stages.0.1.c_proj.w model.stages.1.7.c_proj.w": 2,
}


@pytest.mark.parametrize("paths", LAYERS)
def test_layers_are_counted_where_a_recipe_needs_them(paths, run):
    more = ["x.ln.weight", "wte.weight", "head.weight", "x.bias"]
    rows = [
        {"path": path, "shape": [4, 4], "dtype": "float32"}
        for path in [*paths.split(), *more]
    ]
    Path("deep.manifest").write_text(json.dumps({"parameters": rows}))
    code, out, _ = run("plan", "deep.manifest", "--recipe", "gpt2", "--json")
    assert code == 0
    stds = {leaf["path"]: leaf["std"] for leaf in json.loads(out)["leaves"]}
    path = paths.split()[0].replace(".", "/")
    assert stds[path] == pytest.approx(0.02 / (2 * LAYERS[paths]) ** 0.5)


# -- the functions behind --------------------------------------------------------------


def test_check_finds_what_is_wrong_with_real_weights(run, tmp_path):
    good = jax.tree.map(np.asarray, ij.init_tree(RULES, MODEL, jax.random.key(1)))
    bad = {**good, "h.0.c_fc.weight": good["h.0.c_fc.weight"] * np.float32(100)}
    paths = {name: str(tmp_path / name) for name in ("good", "bad")}
    safetensors.numpy.save_file(good, paths["good"])
    safetensors.numpy.save_file(bad, paths["bad"])
    for how in (["--rules", "rules.json"], ["--plan", "plan.json"]):
        code, out, err = run("check", paths["good"], *how)
        assert (code, err) == (0, ""), out
        code, out, err = run("check", paths["bad"], *how)
        assert (code, err) == (1, "")
        assert "h/0/c_fc/weight" in out
        code, out, err = run("check", paths["bad"], *how, "--json")
        assert (code, err, bool(json.loads(out))) == (1, "", True)
    assert run("check", paths["bad"], *how, "--html", str(tmp_path / "page"))[0] == 1
    assert "h/0/c_fc/weight" in (tmp_path / "page").read_text().replace("<wbr>", "")


def test_diff_of_real_weights(run, tmp_path):
    other = {**ARRAYS, "b": np.zeros(5, np.float32)}
    safetensors.numpy.save_file(other, tmp_path / "other")
    assert run("diff", "good.safetensors", "sharded")[0] == 0
    code, out, err = run("diff", "good.safetensors", str(tmp_path / "other"))
    assert (code, err) == (1, "")
    assert "b" in out.split()
    code, out, err = run("diff", "sharded", str(tmp_path / "other"), "--json")
    assert (code, err, bool(json.loads(out))) == (1, "", True)


def test_init_writes_what_init_tree_makes(run, tmp_path):
    out = str(tmp_path / "out")
    words = "init model.json --rules rules.json --seed 1 --no-progress --out"
    assert run(*words.split(), out)[0] == 0
    files = [*map(str, Path(out).glob("*.safetensors"))]
    whole = ij.init_tree(RULES, MODEL, jax.random.key(1))
    assert ij.fingerprint(mapped(files)) == ij.fingerprint(whole)


def test_a_plan_is_written_as_a_page(run, tmp_path):
    page = tmp_path / "plan.html"
    words = ["plan", "model.json", "--rules", "rules.json", "--html", str(page)]
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == [f"written to {page}"]
    assert "h/0/c_fc/weight" in page.read_text().replace("<wbr>", "")


def test_a_plan_that_is_none_is_one_line(run):
    for words in (["check", "good.safetensors", "--plan", "fake.json"],
                  ["diff", "plan.json", "fake.json"]):  # fmt: skip
        code, out, err = run(*words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(f"initjax {words[0]}: fake.json is no plan: ")


def test_a_real_config_is_a_model(run):
    config = {
        **{"model_type": "llama", "hidden_size": 8, "intermediate_size": 16},
        **{"num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 32},
        **{"num_key_value_heads": 1, "tie_word_embeddings": False},
    }
    Path("llama.json").write_text(json.dumps(config))
    code, out, err = run("plan", "llama.json", "--recipe", "llama")
    assert (code, err) == (0, "")
    assert "model/layers/*/self_attn/k_proj/weight" in out


# -- the door --------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_shows_an_example_and_fits_the_terminal(name, run):
    code, out, err = run(name, "--help")
    assert (code, err) == (0, "")
    assert f"examples:\n  initjax {name} " in out
    assert max(map(len, out.splitlines())) <= 88


def test_the_help_and_the_version(run):
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    assert all(f"  {name}" in out and text in out for name, text in COMMANDS.items())
    assert "exit codes:" in out
    assert run("--version") == (0, "initjax 0.1.0\n", "")


def test_as_a_module_it_starts_with_little():
    """Without what whole models need, and without rich."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "initjax", "--version"],
        env={**os.environ, "PYTHONPATH": str(Path(ij.__file__).parents[1])},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "initjax 0.1.0\n")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "initjax._cli.main" in loaded
    late = ("initjax._models", "initjax._rules", "initjax._engine", "initjax._report")
    assert not [m for m in loaded if m.startswith((*late, "rich", "matplotlib"))]


def raises(error):
    def run(given):
        raise error

    return run


def test_interrupted_and_unexpected_errors(run, monkeypatch):
    from initjax._cli import list as command

    cases = [
        (KeyboardInterrupt(), 130, "interrupted."),
        (ZeroDivisionError("a bug"), 2, "a bug"),
        (MemoryError(), 2, "MemoryError"),
        (ValueError("plan: of\n  two\n  lines\nand\x1b[2Jmore"), 2,
         "of; two; lines; and\\x1b[2Jmore"),
        (KeyError("a key"), 2, "a key"),
        (PermissionError(13, "Permission denied", "f"), 2, "f: Permission denied."),
        (OSError(28, "write_checkpoint: no room."), 2, "no room."),
    ]  # fmt: skip
    for error, code, said in cases:
        monkeypatch.setattr(command, "run", raises(error))
        assert run("list") == (code, "", f"initjax list: {said}\n")
    monkeypatch.setenv("INITJAX_DEBUG", "1")
    monkeypatch.setattr(command, "run", raises(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        main(["list"])


def test_a_warning_is_one_line(run):
    rules = ij.Rules([("**/w", "ones"), ("**", "ones")], strict=False)
    Path("loose.json").write_text(json.dumps(rules.get_config()))
    code, out, err = run("plan", "model.json", "--rules", "loose.json")
    assert (code, out.splitlines()[0].split()[0]) == (0, "leaves")
    said = "rules without a leaf: '**/w': matches nothing"
    assert err == f"initjax plan: warning: {said}\n"


@pytest.mark.parametrize("given", [["show", "ones", "--shape", "2"], ["--help"]])
def test_nobody_reads_on(given, monkeypatch, capfd):
    """As of `initjax list | head -1`: silent, and nothing is left to complain later."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(given) == 141
    monkeypatch.undo()
    assert capfd.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_has_tables_by_rich_unless_no_color_is_set(no_color, monkeypatch):
    stdout = Terminal()
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    table = Table(("law", "n"), [("[b]Haar\n\x1b[2J", "1")], right=(1,))
    output.say(table, "a [b]text")
    text = stdout.getvalue()
    assert r"[b]Haar\n\x1b[2J" in text
    assert text.endswith("a [b]text\n")
    if no_color:
        assert text == "law               n\n[b]Haar\\n\\x1b[2J  1\na [b]text\n"
    else:
        assert "\x1b[1m" in text  # the head is bold


def test_a_narrow_terminal_folds_what_is_long_alone(monkeypatch):
    stdout = Terminal()
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.delenv("NO_COLOR", raising=False)
    row = (*3 * ["layers/" * 20], *4 * ["128256x4096"])
    output.say(Table(row, [row]))
    lines = stdout.getvalue().splitlines()
    assert len(lines) > 10
    assert sum(line.count("128256x4096") for line in lines) == 8


def test_without_rich_a_terminal_has_plain_tables(monkeypatch):
    stdout = Terminal()
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    output.say(Table(("law",), [("Zeros",)]))
    assert stdout.getvalue() == "law\nZeros\n"


def test_what_a_terminal_would_obey_is_escaped(run):
    code, out, _ = run("plan", "escape.json", "--recipe", "bert", "--explain", "x")
    assert code == 2
    Path("all.json").write_text(json.dumps(ij.Rules([("**", "ones")]).get_config()))
    code, out, _ = run("plan", "escape.json", "--rules", "all.json")
    assert code == 0
    assert "\\x1b[2J" in out
    assert "\x1b" not in out


def test_show_draws(run, monkeypatch):
    drawn = []
    figure = types.SimpleNamespace(savefig=lambda path: drawn.append(path))
    monkeypatch.setattr(
        _models, "plot_law", lambda *given: drawn.append(given) or figure
    )
    code, out, _ = run("show", "ones", "--shape", "2,3", "--plot", "law.png")
    assert (code, out.splitlines()[-1]) == (0, "drawn in law.png")
    assert drawn == [(ij.Ones(), (2, 3), None), "law.png"]
