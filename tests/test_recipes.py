"""Recipes give published models the weights of their authors' code."""

import functools
import json
import math
import re
from collections import Counter
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipe_models import D_KV, FF, HEADS, LISTS, MODELS, PATCH, D, manifest
from tools import assert_moments, assert_same_bits, root

import initjax as ij
from initjax import Rules, recipes

INF = math.inf
KEPT = 0.8796256610342398  # of a normal's standard deviation if cut at two of them


# -- the laws, as (mean, standard deviation, least, greatest) --------------------------


def constant(value):
    return value, 0.0, value, value


def normal(stddev):
    return 0.0, stddev, -INF, INF


def cut(sigma, at=2.0):
    """N(0, sigma^2) between -at sigma and at sigma; at a hundred, all of it."""
    return 0.0, sigma * (KEPT if at == 2 else 1), -at * sigma, at * sigma


def uniform(limit):
    return 0.0, limit / math.sqrt(3), -limit, limit


ZERO, ONE = constant(0.0), constant(1.0)


def he_hwio(shape):
    """He's law for gradients, N(0, 2 / fan_out)."""
    height, width, _, outputs = shape
    return normal(math.sqrt(2 / (height * width * outputs)))


def he_oihw(shape):
    outputs, _, height, width = shape
    return normal(math.sqrt(2 / (outputs * height * width)))


def glorot(shape):
    return uniform(math.sqrt(6 / sum(shape)))


def lecun(inputs):
    return cut(1 / math.sqrt(inputs) / KEPT)


# -- the models ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Case:
    """A model, its recipe, and the laws of its leaves by the end of their paths."""

    name: str
    model: str  # of `MODELS` or `LISTS`, or a manifest
    recipe: Rules
    laws: dict[str, object]  # regular expressions, of which each path fits one

    def __str__(self):
        """Give the name, which pytest shows."""
        return self.name


def llama_laws(last):
    return {
        r"embed_tokens/\w+": normal(0.02),
        r"(q|k|v|gate|up)_proj/\w+": normal(0.02),
        r"lm_head/\w+": normal(0.02),
        r"(o|down)_proj/\w+": normal(last),
        r"\w*norm/\w+": ONE,
    }


GPT2 = {
    r"(wte|wpe)/\w+": normal(0.02),
    r"(c_attn|c_fc)/(kernel|weight)": normal(0.02),
    r"ln_\w/(scale|weight)": ONE,
    r"bias": ZERO,
}
C_PROJ = r"c_proj/(kernel|weight)"
BERT = {
    r"(word|position|token_type)_embeddings/\w+": cut(0.02),
    r"(query|key|value|dense)/kernel": cut(0.02),
    r"LayerNorm/scale": ONE,
    r"bias": ZERO,
}
MIXTRAL = {
    r"embed_tokens/\w+": normal(0.02),
    r"[qkvo]_proj/\w+": normal(0.02),
    r"lm_head/\w+": normal(0.02),
    r"experts/(gate_up|down)_proj": normal(0.02),
    r"mlp/gate/\w+": normal(0.02),
    r"\w*norm/\w+": ONE,
}
FLAX_VIT = {
    r"embedding/kernel": lecun(3 * PATCH * PATCH),
    r"pos_embedding": normal(0.02),
    r"cls": ZERO,
    r"MlpBlock_0/Dense_\d/kernel": glorot,
    r"MlpBlock_0/Dense_\d/bias": normal(1e-6),
    r"(query|key|value|out|embedding|head)/bias": ZERO,
    r"head/kernel": ZERO,
    r"(LayerNorm_\d|encoder_norm)/scale": ONE,
    r"(LayerNorm_\d|encoder_norm)/bias": ZERO,
}
TIMM_VIT = {
    r"patch_embed/proj/(weight|bias)": uniform(1 / math.sqrt(3 * PATCH * PATCH)),
    r"pos_embed": cut(0.02, at=100),
    r"cls_token": normal(1e-6),
    r"norm\d?/weight": ONE,
}

# fmt: off
CASES = [
    # published lists of parameters
    Case("gpt2-small", "gpt2-small", recipes.gpt2(12),
         GPT2 | {C_PROJ: normal(0.02 / math.sqrt(24))}),
    Case("llama-3-8b", "llama-3-8b", recipes.llama(layout="oi"), llama_laws(0.02)),
    Case("llama-3-8b, by depth", "llama-3-8b", recipes.llama(32, "oi"),
         llama_laws(0.02 / math.sqrt(64))),
    Case("llama-3.1-405b", "llama-3.1-405b", recipes.llama(layout="oi"),
         llama_laws(0.02)),
    Case("llama-3.1-405b, by depth", "llama-3.1-405b", recipes.llama(126, "oi"),
         llama_laws(0.02 / math.sqrt(252))),
    Case("mixtral-8x7b", "mixtral-8x7b", recipes.mixtral("oi"), MIXTRAL),
    Case("resnet-50", "resnet-50", recipes.resnet("oi"), {
        r"convolution/weight": he_oihw,
        r"(embedder|shortcut|layer/[01])/normalization/weight": ONE,
        r"layer/2/normalization/weight": ZERO,
        r"classifier/1/weight": normal(0.01),
        r"bias": ZERO,
    }),
    Case("vit-b-16", "vit-b-16", recipes.vit("jax", "oi"), {
        r"projection/weight": lecun(768),
        r"position_embeddings": normal(0.02),
        r"cls_token": ZERO,
        r"([qkvo]_proj|fc\d)/weight": glorot,
        r"fc\d/bias": normal(1e-6),
        r"classifier/weight": ZERO,
        r"layernorm\w*/weight": ONE,
        r"(projection|[qkvo]_proj|layernorm\w*|classifier)/bias": ZERO,
    }),
    Case("vit-b-16, timm", "vit-b-16", recipes.vit("timm", "oi"), {
        r"projection/(weight|bias)": uniform(1 / math.sqrt(768)),
        r"position_embeddings": cut(0.02, at=100),
        r"cls_token": normal(1e-6),
        r"([qkvo]_proj|fc\d|classifier)/weight": cut(0.02, at=100),
        r"layernorm\w*/weight": ONE,
        r"([qkvo]_proj|fc\d|layernorm\w*|classifier)/bias": ZERO,
    }),
    # modules of the real frameworks
    Case("gpt2 of Flax", "gpt2", recipes.gpt2(2),
         GPT2 | {C_PROJ: normal(0.02 / math.sqrt(4))}),
    Case("llama of NNX", "llama", recipes.llama(), llama_laws(0.02)),
    Case("llama of NNX, by depth", "llama", recipes.llama(2),
         llama_laws(0.02 / math.sqrt(4))),
    Case("bert of Flax", "bert", recipes.bert(), BERT),
    Case("bert of Flax, its own names", "bert, Flax's own names",
         recipes.bert(heads=True), {
        r"Embed_0/embedding": cut(0.02),
        r"(query|key|value|out|Dense_\d)/kernel": cut(0.02),
        r"LayerNorm_\d/scale": ONE,
        r"bias": ZERO,
    }),
    Case("bert of Haiku", "bert of Haiku", recipes.bert(), {
        r"(word|position|token_type)_embeddings/embeddings": cut(0.02),
        r"(query|key|value|linear|linear_\d)/w": cut(0.02),
        r"layer_norm(_\d)?/scale": ONE,
        r"layer_norm(_\d)?/offset": ZERO,
        r"(query|key|value|linear|linear_\d)/b": ZERO,
    }),
    Case("vit of Flax", "vit", recipes.vit(), FLAX_VIT | {
        r"(query|key|value|out)/kernel": glorot,
    }),
    Case("vit of Flax, its attention", "vit, Flax's attention", recipes.vit(heads=True),
         FLAX_VIT | {r"(query|key|value|out)/kernel": uniform(math.sqrt(6 / (D + D)))}),
    Case("vit of Equinox", "vit of Equinox", recipes.vit("jax", "oi", PATCH), {
        r"patch_embed/proj/weight": lecun(3 * PATCH * PATCH),
        r"pos_embed": normal(0.02),
        r"cls_token": ZERO,
        r"(attn/\w+_proj|fc\d)/weight": glorot,
        r"fc\d/bias": normal(1e-6),
        r"head/weight": ZERO,
        r"norm\d?/weight": ONE,
        r"(patch_embed/proj|norm\d?|head)/bias": ZERO,
    }),
    Case("vit of Equinox, timm", "vit of Equinox", recipes.vit("timm", "oi", PATCH),
         TIMM_VIT | {
        r"(attn/\w+_proj|fc\d|head)/weight": cut(0.02, at=100),
        r"(fc\d|norm\d?|head)/bias": ZERO,
    }),
    Case("resnet of Flax", "resnet", recipes.resnet(), {
        r"(Conv_\d|conv_proj|conv_init)/kernel": he_hwio,
        r"(BatchNorm_[01]|norm_proj|bn_init)/scale": ONE,
        r"BatchNorm_2/scale": ZERO,
        r"Dense_0/kernel": normal(0.01),
        r"bias": ZERO,
    }),
    Case("resnet-50 of Haiku", "resnet-50 of Haiku", recipes.resnet(), {
        r"(conv_\d|shortcut_conv|initial_conv)/w": he_hwio,
        r"(initial_batchnorm|shortcut_batchnorm|batchnorm_[01])/scale": ONE,
        r"batchnorm_2/scale": ZERO,
        r"logits/w": normal(0.01),
        r"(offset|b)": ZERO,
    }),
    Case("basic resnet of Haiku", "basic resnet of Haiku",
         recipes.resnet(bottleneck=False), {
        r"(conv_\d|shortcut_conv|initial_conv)/w": he_hwio,
        r"(initial_batchnorm|shortcut_batchnorm|batchnorm_0)/scale": ONE,
        r"batchnorm_1/scale": ZERO,
        r"logits/w": normal(0.01),
        r"(offset|b)": ZERO,
    }),
    Case("t5 of Flax", "t5", recipes.t5(D, D_KV), {
        r"shared/embedding": normal(1.0),
        r"relative_attention_bias/embedding": normal(1 / math.sqrt(D)),
        r"q/kernel": normal(1 / math.sqrt(D * D_KV)),
        r"[kv]/kernel": normal(1 / math.sqrt(D)),
        r"o/kernel": normal(1 / math.sqrt(HEADS * D_KV)),
        r"wi/kernel": normal(1 / math.sqrt(D)),
        r"wo/kernel": normal(1 / math.sqrt(FF)),
        r"\w*layer_norm\w*/scale": ONE,
    }),
    Case("mixtral of Flax", "mixtral", recipes.mixtral(), MIXTRAL),
    # names of PyTorch
    Case("resnet of torchvision", "resnet of torchvision", recipes.resnet("oi"), {
        r"(conv\d|downsample/0)/weight": he_oihw,
        r"(bn[12]|downsample/1)/weight": ONE,
        r"bn3/weight": ZERO,
        r"fc/weight": normal(0.01),
        r"bias": ZERO,
    }),
    Case("basic resnet of torchvision", "basic resnet of torchvision",
         recipes.resnet("oi", bottleneck=False), {
        r"conv\d/weight": he_oihw,
        r"bn1/weight": ONE,
        r"bn2/weight": ZERO,
        r"fc/weight": normal(0.01),
        r"bias": ZERO,
    }),
    Case("vit of timm", "vit of timm", recipes.vit("timm", "oi", PATCH), TIMM_VIT | {
        r"(attn/(qkv|proj)|fc\d|head)/weight": cut(0.02, at=100),
        r"(attn/(qkv|proj)|fc\d|norm\d?|head)/bias": ZERO,
    }),
]
# fmt: on

MANIFESTS = [case for case in CASES if case.model not in MODELS | LISTS]
FRAMEWORKS = [case for case in CASES if case.model in MODELS]

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_manifest = pytest.mark.parametrize("case", MANIFESTS, ids=str)
every_framework = pytest.mark.parametrize("case", FRAMEWORKS, ids=str)


@functools.cache
def model(name):
    return MODELS[name]()


def shapes(case):
    if case in FRAMEWORKS:
        return model(case.model).tree
    if case in MANIFESTS:
        return manifest(case.model)
    listed = LISTS[case.model].items()
    return {path: jax.ShapeDtypeStruct(shape, "float32") for path, shape in listed}


@functools.cache
def weights(case):
    return ij.init_tree(case.recipe, shapes(case), root())


def rows(case):
    return ij.plan(case.recipe, shapes(case)).rows


def leaves(case):
    """Every leaf as planned, and its array."""
    tree = jax.tree.leaves(weights(case))
    return zip(rows(case), [x for x in tree if isinstance(x, jax.Array)], strict=True)


@functools.cache
def promise(law, shape, dtype):
    """What a law promises, as the laws above."""
    found = law.law(shape, dtype)
    return found.mean, found.std, found.low, found.high


# -- plans -----------------------------------------------------------------------------


@every_case
def test_each_kind_of_leaf_has_the_law_of_its_author(case):
    """In strict mode: every leaf has a rule, every rule a leaf."""
    assert case.recipe.strict
    used = set()
    for row in rows(case):
        fitting = [p for p in case.laws if re.fullmatch(rf"(?:.*/)?(?:{p})", row.path)]
        assert len(fitting) == 1, f"{row.path}: {fitting}"
        expected = case.laws[fitting[0]]
        if callable(expected):
            expected = expected(row.shape)
        found = promise(row.law, row.shape, row.dtype)
        assert found == pytest.approx(expected, rel=1e-6), row.path
        assert (row.mean, row.std) == found[:2], row.path
        used.update(fitting)
    assert used == set(case.laws)


def fans_by_hand(path, shape, kind):
    """The (fan_in, fan_out) of a leaf of a manifest, or of each of its parts."""
    match kind, shape:
        case "linear_io", (768, 2304):  # query, key and value
            return ((768, 768),)
        case "linear_io", (inputs, outputs):
            return ((inputs, outputs),)
        case "linear" | "router", (outputs, inputs):
            return ((inputs, outputs),)
        case "conv", (outputs, inputs, height, width):
            return ((inputs * height * width, outputs * height * width),)
        case "expert", (_, gate_and_up, width) if "gate_up" in path:
            return ((width, gate_and_up // 2),)
        case "expert", (_, width, inner):
            return ((inner, width),)
        case "embedding", (_, features):  # a row is picked
            return ((1, features),)
    return ()  # laws that know no fans: norms, biases, a token, positions to add


@every_manifest
def test_the_fans_of_published_models_are_those_counted_by_hand(case):
    listed = manifest(case.model)
    plan = ij.plan(case.recipe, listed)
    kinds = {p["path"].replace(".", "/"): p for p in listed["parameters"]}
    assert plan.parameters == listed["total"]
    assert len(plan.rows) == len(kinds)
    for row in plan.rows:
        leaf = kinds.pop(row.path)
        assert (list(row.shape), row.dtype) == (leaf["shape"], leaf["dtype"])
        expected = fans_by_hand(row.path, row.shape, leaf["kind"])
        if case.name.endswith("timm") and row.path.endswith("projection/bias"):
            expected = ((3 * 16 * 16, 3 * 16 * 16),)  # PyTorch's: of its kernel
        assert row.fans == expected, row.path
    assert not kinds


PROGRAMS = []


@jax.monitoring.register_event_duration_secs_listener
def _listen(name, _seconds, **_):
    if name == "/jax/core/compile/backend_compile_duration":
        PROGRAMS.append(name)


def what_it_took(action):
    """The programs compiled, and the bytes that live on devices afterwards."""
    before, start = jax.live_arrays(), len(PROGRAMS)
    known = {id(x) for x in before}
    result = action()
    new = [x for x in jax.live_arrays() if id(x) not in known]
    del result, before
    return len(PROGRAMS) - start, sum(x.nbytes for x in new)


@every_manifest
def test_a_plan_allocates_and_compiles_nothing(case):
    """Of 405 billion parameters, either; a transfer to a device would raise."""
    with jax.transfer_guard("disallow_explicit"):
        took = what_it_took(lambda: ij.plan(case.recipe, manifest(case.model)))
    assert took == (0, 0)


def test_what_an_array_takes_is_seen():
    """The test above would fail if a plan made the smallest array."""
    init, shape = ij.RandomNormal(), (3, 1009)
    programs, size = what_it_took(functools.partial(init, root(), shape))
    assert programs >= 1
    assert size >= 4 * math.prod(shape)
    with (
        jax.transfer_guard("disallow_explicit"),
        pytest.raises(Exception, match="Disallowed host-to-device"),
    ):
        jnp.asarray(np.zeros(3))


DEPTHS = (3, 4, 6, 3)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (
            "resnet-50",
            "resnet/encoder/stages/{}/layers/{}/layer/2/normalization/weight",
        ),
        (
            "resnet-50 of Haiku",
            "res_net50/~/block_group_{}/~/block_{}/~/batchnorm_2/scale",
        ),
    ],
)
def test_the_last_norm_of_each_of_the_16_blocks_is_zero(name, path):
    case = next(case for case in CASES if case.name == name)
    scales = [
        row
        for row in rows(case)
        if row.path.endswith(("normalization/weight", "scale"))
    ]
    zero = {row.path for row in scales if row.law == ij.Zeros()}
    expected = {
        path.format(i, j) for i, depth in enumerate(DEPTHS) for j in range(depth)
    }
    assert zero == expected
    assert (len(zero), len(scales)) == (16, 53)


@every_case
def test_a_rule_in_front_takes_over_one_leaf(case):
    plan = ij.plan(case.recipe, shapes(case))
    shared = Counter(row.rule for row in plan.rows)
    row = next(row for row in plan.rows if shared[row.rule] > 1)
    own = Rules([(row.path, ij.Constant(0.5))])
    changed = ij.plan(own + case.recipe, shapes(case))
    pairs = zip(plan.rows, changed.rows, strict=True)
    (pair,) = [(old, new) for old, new in pairs if old != new]
    assert pair[0] == row
    assert pair[1].law == ij.Constant(0.5)


@every_case
def test_a_recipe_is_data(case):
    config = json.loads(json.dumps(case.recipe.get_config()))
    assert Rules.from_config(config) == case.recipe


# -- weights ---------------------------------------------------------------------------


@every_framework
def test_every_leaf_has_the_moments_that_its_plan_promises(case):
    for row, x in leaves(case):
        assert (x.shape, x.dtype) == (row.shape, row.dtype), row.path
        values = np.asarray(x, np.float64)
        if row.std == 0:
            assert (values == row.mean).all(), row.path
            continue
        _, _, _, high = promise(row.law, row.shape, row.dtype)
        assert np.abs(values).max() <= high * (1 + 1e-6), row.path
        assert_moments(values, row.mean, row.std, row.path)


@every_framework
def test_a_leaf_is_its_law_on_the_stream_of_its_path(case):
    """One leaf of each rule, the smallest."""
    by_rule = {}
    for row, x in sorted(leaves(case), key=lambda pair: -pair[1].size):
        by_rule[row.rule] = row, x
    assert by_rule.keys() >= {r.name for r in case.recipe.rules if not r.spec.optional}
    for row, x in by_rule.values():
        path = [int(p) if p.isdigit() else p for p in row.path.split("/")]
        expected = row.law(ij.fold_in_path(root(), *path), row.shape, row.dtype)
        assert_same_bits(x, expected, row.path)


@every_framework
def test_the_model_runs_with_its_weights(case):
    y = model(case.model).apply(weights(case))
    assert y.shape[0] == 2
    assert jnp.isfinite(y).all()


def test_an_own_rule_changes_one_array():
    """The others keep their bits."""
    case = next(case for case in FRAMEWORKS if case.name == "llama of NNX")
    own = Rules([("lm_head/kernel", "zeros")])
    changed = ij.init_tree(own + case.recipe, shapes(case), root())
    pairs = zip(leaves(case), jax.tree.leaves(changed), strict=True)
    for (row, x), y in pairs:
        if row.path == "lm_head/kernel":
            assert not y.any()
        else:
            assert_same_bits(y, x, row.path)


QKV, GATE_UP = ("query", "key", "value"), ("gate", "up")


@pytest.mark.parametrize(
    ("recipe", "name", "leaf", "part", "axis", "names"),
    [
        (recipes.gpt2(12), "gpt2-small", "c_attn/weight", (6, 4), 1, QKV),
        (recipes.gpt2(12, "oi"), "gpt2-small", "c_attn/weight", (4, 6), 0, QKV),
        (recipes.mixtral(), "mixtral-8x7b", "gate_up_proj", (3, 6, 4), 2, GATE_UP),
        (recipes.mixtral("oi"), "mixtral-8x7b", "gate_up_proj", (3, 4, 6), 1, GATE_UP),
    ],
    ids=["gpt2 (in, out)", "gpt2 (out, in)", "experts (in, out)", "experts (out, in)"],
)
def test_fused_weights_are_their_clones_side_by_side(
    recipe, name, leaf, part, axis, names
):
    plan = ij.plan(recipe, manifest(name))
    law = next(row.law for row in plan.rows if row.path.endswith(leaf))
    whole = tuple(n * len(names) if i == axis else n for i, n in enumerate(part))
    plain = ij.RandomNormal(stddev=0.02)
    clones = [ij.clone_initializer(plain, name)(root(), part) for name in names]
    assert_same_bits(law(root(), whole), jnp.concatenate(clones, axis))
    assert all((clones[0] != other).any() for other in clones[1:])


# -- refusals --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "arguments"),
    [
        (recipes.gpt2, (12,)),
        (recipes.llama, (12,)),
        (recipes.bert, ()),
        (recipes.vit, ("jax",)),
        (recipes.resnet, ()),
        (recipes.t5, (512, 64)),
        (recipes.mixtral, ()),
    ],
)
def test_a_layout_of_another_name_is_refused(recipe, arguments):
    with pytest.raises(
        ValueError, match=rf"recipes\.{recipe.__name__}: layout must be"
    ):
        recipe(*arguments, layout="hwio")


def test_a_style_of_another_name_is_refused():
    with pytest.raises(
        ValueError, match=r"recipes\.vit: style must be 'jax' or 'timm'"
    ):
        recipes.vit("torch")
