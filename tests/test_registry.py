"""Names and saved forms: every spelling of Keras is read, and nothing is executed."""

import dataclasses
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES

import initjax as ij

each_case = pytest.mark.parametrize("case", CASES, ids=str)

# every string that keras.initializers.get of Keras 2 or Keras 3 accepts, verbatim
KERAS_NAMES = {
    ij.Initializer: "Initializer initializer",
    ij.Constant: "Constant ConstantV2 constant",
    ij.GlorotNormal: "GlorotNormal GlorotNormalV2 glorot_normal glorot_normalV2",
    ij.GlorotUniform: "GlorotUniform GlorotUniformV2 glorot_uniform glorot_uniformV2",
    ij.HeNormal: "HeNormal HeNormalV2 he_normal he_normalV2",
    ij.HeUniform: "HeUniform HeUniformV2 he_uniform he_uniformV2",
    ij.Identity: "Identity IdentityV2 identity IdentityInitializer",
    ij.LecunNormal: "LecunNormal LecunNormalV2 lecun_normal lecun_normalV2",
    ij.LecunUniform: "LecunUniform LecunUniformV2 lecun_uniform lecun_uniformV2",
    ij.Ones: "Ones OnesV2 ones one",
    ij.Orthogonal: "Orthogonal OrthogonalV2 orthogonal OrthogonalInitializer",
    ij.RandomNormal: "RandomNormal RandomNormalV2 random_normal normal",
    ij.RandomUniform: "RandomUniform RandomUniformV2 random_uniform uniform",
    ij.STFT: "STFT stft STFTInitializer",
    ij.TruncatedNormal: "TruncatedNormal TruncatedNormalV2 truncated_normal",
    ij.VarianceScaling: "VarianceScaling VarianceScalingV2 variance_scaling",
    ij.Zeros: "Zeros ZerosV2 zeros zero",
}
# what jax.nn.initializers calls its own
JAX_NAMES = {
    ij.Constant: "constant",
    ij.DeltaOrthogonal: "delta_orthogonal",
    ij.GlorotNormal: "glorot_normal xavier_normal",
    ij.GlorotUniform: "glorot_uniform xavier_uniform",
    ij.HeNormal: "he_normal kaiming_normal",
    ij.HeUniform: "he_uniform kaiming_uniform",
    ij.LecunNormal: "lecun_normal",
    ij.LecunUniform: "lecun_uniform",
    ij.Ones: "ones",
    ij.Orthogonal: "orthogonal",
    ij.TruncatedNormal: "truncated_normal",
    ij.VarianceScaling: "variance_scaling",
    ij.Zeros: "zeros",
}


pytestmark = pytest.mark.usefixtures("registry")


def pairs(names):
    return [(name, cls) for cls, text in names.items() for name in text.split()]


# -- names ----------------------------------------------------------------------------


def test_the_list_of_keras_names_is_whole():
    assert len(pairs(KERAS_NAMES)) == len(dict(pairs(KERAS_NAMES))) == 62


@pytest.mark.parametrize(("name", "cls"), pairs(KERAS_NAMES) + pairs(JAX_NAMES))
def test_every_name_means_its_class_with_defaults(name, cls):
    assert ij.get(name) == cls()
    assert ij.deserialize(name) == cls()
    assert ij.get({"class_name": name, "config": {}}) == cls()


def test_every_function_of_jax_nn_initializers_has_a_name():
    """Save "normal" and "uniform", which here mean Keras's laws."""
    listed = {name for name in dir(jax.nn.initializers) if name.islower()}
    listed = {name for name in listed if not name.startswith("_")}
    ours = {name for name, _ in pairs(JAX_NAMES)}
    assert listed - ours == {"normal", "uniform"}


def test_get_of_none_is_none():
    assert ij.get(None) is None
    assert ij.deserialize(None) is None


@each_case
def test_get_of_an_initializer_is_itself(case):
    assert ij.get(case.init) is case.init


@pytest.mark.parametrize("function", [len, lambda key, shape, dtype: None])
def test_get_of_a_function_is_itself(function):
    assert ij.get(function) is function


@pytest.mark.parametrize("cls", KERAS_NAMES, ids=lambda cls: cls.__name__)
def test_get_of_a_class_is_an_instance(cls):
    assert ij.get(cls) == cls()


@pytest.mark.parametrize("array", [np.ones(3), jnp.ones(3), np.float32(1)])
def test_get_of_an_array_is_its_constant(array):
    assert ij.get(array) == ij.Constant(array)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("he_norml", "he_normal"),
        ("HENormal", "HeNormal"),
        ("glorot", "glorot_normal"),
        ("Xavier_uniform", "xavier_uniform"),
        ("random-normal", "random_normal"),
        ("truncatednormal", "truncated_normal"),
        ("orthgonal", "orthogonal"),
    ],
)
def test_a_misspelt_name_names_the_nearest(wrong, right):
    with pytest.raises(ValueError, match="did you mean .*" + right):
        ij.get(wrong)


# -- saved forms ----------------------------------------------------------------------


@each_case
@pytest.mark.parametrize("form", ["keras2", "keras3"])
def test_serialize_and_deserialize_are_inverse(case, form):
    node = json.loads(json.dumps(ij.serialize(case.init, form)))
    assert ij.deserialize(node) == case.init
    assert ij.get(node) == case.init


@each_case
def test_forms_differ_in_what_keras_3_adds(case):
    old, new = (ij.serialize(case.init, form) for form in ("keras2", "keras3"))
    assert old["class_name"] == new["class_name"] == type(case.init).__name__
    assert new.keys() - old.keys() == {"module", "registered_name"}
    in_keras = type(case.init) in KERAS_NAMES
    assert new["module"] == ("keras.initializers" if in_keras else "initjax")
    assert new["registered_name"] is None


SAVED = [
    # Keras 2
    ({"class_name": "HeNormal", "config": {"seed": 5}}, ij.HeNormal(seed=5)),
    ({"class_name": "ZerosV2", "config": {}}, ij.Zeros()),
    ({"class_name": "Ones"}, ij.Ones()),
    ({"class_name": "Ones", "config": None}, ij.Ones()),
    (
        {"class_name": "RandomUniform", "config": {"minval": 0, "maxval": 1}},
        ij.RandomUniform(0, 1),
    ),
    (
        {"class_name": "HeNormal", "config": {"seed": None, "dtype": "float16"}},
        ij.HeNormal(dtype="float16"),
    ),
    (
        {"class_name": "VarianceScaling", "config": {"distribution": "normal"}},
        ij.VarianceScaling(distribution="truncated_normal"),
    ),
    (
        {"class_name": "VarianceScaling", "config": {"distribution": "Normal"}},
        ij.VarianceScaling(distribution="truncated_normal"),
    ),
    ({"class_name": "Constant", "config": {"value": [[1, 2]]}}, ij.Constant([[1, 2]])),
    # early Keras 3
    ({"class_name": "IdentityInitializer", "config": {"gain": 2.0}}, ij.Identity(2.0)),
    ({"class_name": "OrthogonalInitializer", "config": {}}, ij.Orthogonal()),
    ({"class_name": "STFTInitializer", "config": {"side": "imag"}}, ij.STFT("imag")),
    # Keras 3, with its module and registered name
    *[
        (
            {
                "module": module,
                "class_name": "GlorotUniform",
                "config": config,
                "registered_name": None,
            },
            init,
        )
        for module in ("keras.initializers", "keras.src.initializers", "tf_keras", None)
        for config, init in [
            ({"seed": None}, ij.GlorotUniform()),
            (
                {"seed": None, "input_axes": None, "output_axes": None},
                ij.GlorotUniform(),
            ),
            (
                {"seed": 3, "input_axes": [0], "output_axes": [1, 2]},
                ij.GlorotUniform(3, in_axis=0, out_axis=(1, 2), batch_axis="rest"),
            ),
        ]
    ],
    (
        {
            "module": "keras.initializers",
            "class_name": "HeNormal",
            "config": {
                "seed": {
                    "module": "keras.random",
                    "class_name": "SeedGenerator",
                    "config": {"seed": 42, "name": "seed_generator"},
                    "registered_name": None,
                }
            },
            "registered_name": None,
        },
        ij.HeNormal(seed=42),
    ),
    *[
        (
            {
                "module": "keras.initializers",
                "class_name": "Constant",
                "config": {
                    "value": {
                        "class_name": wrapper,
                        "config": {"value": [1.0, 2.0], "dtype": "float32"},
                    }
                },
                "registered_name": None,
            },
            ij.Constant([1.0, 2.0]),
        )
        for wrapper in ("__numpy__", "__tensor__")
    ],
    # functions of Keras 3 are saved by name
    ({"class_name": "function", "config": "he_normal"}, ij.HeNormal()),
]


@pytest.mark.parametrize(("saved", "init"), SAVED)
def test_configs_that_keras_wrote_are_read(saved, init):
    assert ij.deserialize(saved) == init
    assert ij.get(saved) == init


def test_reading_a_config_leaves_it_as_it_was():
    for saved, _ in SAVED:
        before = json.dumps(saved)
        ij.deserialize(saved)
        assert json.dumps(saved) == before


def test_what_keras_has_no_place_for_is_beside_the_config():
    clone = ij.RandomNormal(seed=("encoder", 3), dtype="bfloat16")
    node = ij.serialize(clone)
    assert node["config"] == {
        "mean": 0.0,
        "stddev": 0.05,
        "seed": node["config"]["seed"],
    }
    assert node["initjax"] == {"seed": ["encoder", 3], "dtype": "bfloat16"}


@pytest.mark.parametrize("seed", [-1, 2**31, "head", ("encoder", 3)])
def test_a_seed_that_keras_cannot_hold_becomes_one_that_it_can(seed):
    numbers = [
        ij.serialize(ij.HeNormal(seed=seed), form)["config"]["seed"]
        for form in ("keras2", "keras3")
    ]
    assert numbers[0] == numbers[1]
    assert type(numbers[0]) is int
    assert 0 <= numbers[0] < 2**31


def test_different_streams_have_different_keras_seeds():
    clones = [ij.clone_initializer(ij.HeNormal(), i) for i in ("a", "b", -1, -2)]
    clones += ij.clone_initializer(ij.HeNormal(), num=4)
    seeds = {ij.serialize(clone)["config"]["seed"] for clone in clones}
    assert len(seeds) == len(clones)


@pytest.mark.parametrize("seed", [None, 0, 7, 2**31 - 1])
def test_a_seed_that_keras_can_hold_is_kept(seed):
    node = ij.serialize(ij.HeNormal(seed=seed))
    assert node == {"class_name": "HeNormal", "config": {"seed": seed}}


# -- laws of one's own ----------------------------------------------------------------


@dataclasses.dataclass(frozen=True, repr=False)
class Exponential(ij.Initializer):
    """A law that the package does not have."""

    rate: float = 1.0

    def _sample(self, key, shape, dtype):
        return jax.random.exponential(key, shape, dtype) / jnp.asarray(self.rate, dtype)


def test_register_adds_the_class_under_its_name():
    assert ij.register(Exponential) is Exponential
    assert ij.get("Exponential") == ij.get("exponential") == Exponential()


@pytest.mark.parametrize("form", ["keras2", "keras3"])
@pytest.mark.parametrize("name", [None, "mylib>Exponential", "Memoryless"])
def test_a_registered_law_is_saved_and_read(name, form):
    ij.register(name=name)(Exponential)
    node = json.loads(json.dumps(ij.serialize(Exponential(2.0), form)))
    assert node["class_name"] == (name or "Exponential")
    assert ij.deserialize(node) == Exponential(2.0)


def test_a_keras_package_name_is_found_by_its_registered_name():
    ij.register(Exponential, name="mylib>Exponential")
    node = {
        "module": "mylib.layers",
        "class_name": "Exponential",
        "config": {"rate": 3.0},
        "registered_name": "mylib>Exponential",
    }
    assert ij.deserialize(node) == Exponential(3.0)
    assert ij.get("mylib>exponential") == Exponential()


def test_registering_again_is_no_clash():
    """As when a notebook cell runs twice."""
    ij.register(Exponential)
    again = type(Exponential.__name__, (Exponential,), dict(vars(Exponential)))
    assert ij.register(again) is again
    assert type(ij.get("exponential")) is again


def test_custom_objects_are_looked_up_first():
    custom = {"HeNormal": Exponential, "half": ij.Constant(0.5)}
    assert ij.deserialize("HeNormal", custom) == Exponential()
    assert ij.deserialize("half", custom) == ij.Constant(0.5)
    assert ij.deserialize("HeNormal") == ij.HeNormal()


def test_a_law_of_ones_own_reads_its_fields_by_its_own_words():
    """Keras's reading of "normal" is for VarianceScaling alone."""

    @dataclasses.dataclass(frozen=True)
    class Noise(ij.Initializer):
        distribution: str = "uniform"

    assert Noise.from_config({"distribution": "normal"}) == Noise("normal")


# -- safety ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"module": "antigravity", "class_name": "fly", "config": {}},
        {
            "module": "this",
            "class_name": "s",
            "config": {},
            "registered_name": "this>s",
        },
        {"class_name": "antigravity", "config": {}},
        {"class_name": "this.s", "config": {}},
        {"class_name": "__lambda__", "config": {"value": "import antigravity"}},
        {"class_name": "function", "config": "antigravity.fly"},
        {"class_name": "__import__('antigravity')"},
        {
            "class_name": "HeNormal",
            "config": {"seed": {"module": "this", "class_name": "s", "config": {}}},
        },
        {
            "class_name": "HeNormal",
            "config": {},
            "initjax": {"seed": {"class_name": "__lambda__", "config": {}}},
        },
    ],
)
def test_a_config_imports_nothing_and_runs_nothing(config):
    before = set(sys.modules)
    with pytest.raises(ValueError, match=r"initjax imports|unknown init|cannot read"):
        ij.deserialize(config)
    assert set(sys.modules) == before
    assert not {"this", "antigravity"} & before
