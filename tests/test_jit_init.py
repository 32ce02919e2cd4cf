"""`jit_init` is `jax.jit`, bit for bit, in fewer and smaller programs."""

import contextlib
import functools
import gc
import itertools
import os
import re
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from jax.sharding import Mesh, NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P
from random_inits import inits
from setup_models import KEY, MODELS, TOKENS, Linen, ours
from tools import VERSION, in_two_processes, wide

import initjax as ij
from initjax._engine.jit_init import _ENGINES

pytestmark = pytest.mark.usefixtures("as_frameworks_expect")
MESH = Mesh(np.array(jax.devices()).reshape(4, 2), ("data", "model"))


def words(x):
    is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(x) if is_key else x)


def assert_same(actual, expected, placed=True):
    """The same tree of the same arrays: bits, types, devices."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    pairs = zip(
        jax.tree.leaves_with_path(actual), jax.tree.leaves(expected), strict=True
    )
    for (path, a), b in pairs:
        where = jax.tree_util.keystr(path)
        assert (a.shape, a.dtype) == (b.shape, b.dtype), where
        assert getattr(a, "weak_type", None) == getattr(b, "weak_type", None), where
        assert words(a).tobytes() == words(b).tobytes(), where
        if placed:
            assert a.sharding.is_equivalent_to(b.sharding, a.ndim), where
            assert a.committed == b.committed, where
            assert jax.typeof(a) == jax.typeof(b), where


def both(fun, *args, **options):
    """Return what jit_init gives, having compared it with what jit gives."""
    actual = ij.jit_init(fun, **options)(*args)
    assert_same(actual, jax.jit(fun, **options)(*args))
    return actual


# -- the same bits -------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_that_of_jit(name):
    fun, args = MODELS[name]
    both(fun, *args)


def test_outputs_that_read_others():
    def init(key, x):
        a, b = jax.random.split(key)
        w, v = jax.random.normal(a, (8, 16)), jax.random.normal(b, (16, 8)) * 0.1
        y = jnp.tanh(x @ w) @ v
        return {"w": w, "v": v, "mean": y.mean(0), "w_scale": 1 / jnp.abs(w).sum(0)}

    x = jnp.linspace(0, 1, 32).reshape(4, 8)
    plan = ij.jit_init(init).lower(KEY, x)
    assert set(plan.fallbacks) == {"['w']", "['w_scale']"}
    both(init, KEY, x)
    rows = NamedSharding(MESH, P("data"))
    spread = {"w": rows, "v": rows, "mean": None, "w_scale": None}
    placed = ij.jit_init(init, out_shardings=spread)(KEY, x)
    assert_same(placed["v"], jax.jit(init)(KEY, x)["v"], placed=False)


def test_a_model_with_the_older_mode_of_threefry():
    with jax.threefry_partitionable(False):
        both(Linen(1).init, KEY, TOKENS)
        both(*MODELS["haiku"][:1], *MODELS["haiku"][1])


def test_a_model_in_64_bits():
    with wide("float64"):
        params = both(lambda k: Linen(1).init(k, TOKENS), KEY)
        both(lambda k: jax.random.normal(k, (16, 16)) * 0.3, KEY)
        both(lambda seed: jax.random.normal(jax.random.key(seed), (16,)), -(2**40))
    assert jax.tree.leaves(params)


EXAMPLES = int(os.environ.get("INITJAX_EXAMPLES", "10"))
RUN = itertools.count(1)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[*HealthCheck],
)
@given(inits())
def test_a_random_function_is_that_of_jit(init):
    if next(RUN) % 100 == 0:  # thousands of executables fill the memory
        jax.clear_caches()
    args = (jax.random.key(3), jnp.linspace(-1, 2, 6), 3)
    try:
        expected = jax.jit(init)(*args)
    except Exception as error:
        with pytest.raises(type(error)):
            ij.jit_init(init)(*args)
    else:
        assert_same(ij.jit_init(init)(*args), expected)


@pytest.mark.parametrize("shape", [(), (1,), (8,), (64, 16)])
def test_a_map_over_keys_rounds_as_its_loop_does(shape):
    """XLA contracts sums of products in an array that it does not in a loop."""

    def one(key):
        return jax.random.uniform(key, shape, minval=-0.3, maxval=0.7)

    both(lambda key: jax.lax.map(one, jax.random.split(key, 2)), KEY)


# -- fewer programs ------------------------------------------------------------------


COMPILED = []


def _listen(name, _seconds, **_):
    if name == "/jax/core/compile/backend_compile_duration":
        COMPILED.append(name)


jax.monitoring.register_event_duration_secs_listener(_listen)


@contextlib.contextmanager
def compilations():
    """Count what XLA compiles."""
    del COMPILED[:]
    yield COMPILED


@pytest.mark.parametrize("stack", ["loop", "remat", "vmap", "scan"])
def test_depth_adds_no_program(stack):
    few, many = (ij.jit_init(Linen(n, stack).init).lower(KEY, TOKENS) for n in (1, 6))
    assert few.compiled == many.compiled <= 12
    if stack != "scan" or VERSION >= (0, 9):  # before, a loop stays whole
        assert set(many.fallbacks) == {"['params']['Dense_0']['kernel']"}  # orthogonal


def test_each_program_is_compiled_once_and_nothing_the_second_time():
    traces = []

    def init(key, tokens):
        traces.append(1)
        return Linen(3).init(key, tokens)

    jitted = ij.jit_init(init)
    programs = jitted.lower(KEY, TOKENS).compiled
    jax.block_until_ready(jitted(KEY, TOKENS))  # key_data and its like
    jax.clear_caches()
    keys = [jax.random.key(1), jax.random.key(2)]
    again = ij.jit_init(lambda key, tokens: init(key, tokens))
    with compilations() as events:
        jax.block_until_ready(again(KEY, TOKENS))
        # and numbers such as gains; what serves all shapes is there already
        assert len(events) <= programs + 1
        del events[:]
        first, second = (again(key, TOKENS) for key in keys)
        assert events == []
    assert len(traces) == 2
    kernel = ("params", "Block_0", "Dense_0", "kernel")
    a, b = (functools.reduce(dict.__getitem__, kernel, t) for t in (first, second))
    assert (a != b).all()


def test_another_jit_init_of_the_same_function_compiles_nothing():
    init = Linen(1).init
    jax.block_until_ready(ij.jit_init(init)(KEY, TOKENS))
    with compilations() as events:
        jax.block_until_ready(ij.jit_init(init)(KEY, TOKENS))
    assert events == []


def test_what_is_compiled_goes_with_the_function():
    """Nothing is held, no closed-over array either, once nobody can call it."""
    gc.collect()
    before = len(_ENGINES)
    init = ij.jit_init(lambda key: jnp.zeros(3))
    init(KEY)
    assert len(_ENGINES) == before + 1
    del init
    gc.collect()
    assert len(_ENGINES) == before


# -- the plan ------------------------------------------------------------------------


def test_the_plan_is_a_table_made_before_anything_is_compiled():
    with compilations() as events:
        plan = ij.jit_init(Linen(3).init).lower(
            jax.ShapeDtypeStruct((), KEY.dtype), jax.ShapeDtypeStruct((1, 4), jnp.int32)
        )
    assert events == []
    params = jax.eval_shape(Linen(3).init, KEY, TOKENS)
    leaves = jax.tree.leaves(params)
    assert plan.outputs == len(leaves) == sum(row.runs for row in plan.programs)
    assert plan.size == sum(x.size * x.dtype.itemsize for x in leaves)
    assert plan.peak >= plan.size
    assert plan.whole is None
    assert str(plan).splitlines()[0].split() == [
        *("runs", "each", "shards", "way", "returns", "computes")
    ]
    if VERSION >= (0, 9):  # the first with blocks
        assert re.search(r"blocks +4 types +truncated_normal", str(plan))
    assert re.search(r"program +float32\[32,50\] ", str(plan))
    assert plan.explain() in str(plan).replace("\n  ", "\n")
    assert plan.explain() == (
        "['params']['Dense_0']['kernel']: factorizes a matrix (qr)"
    )


def test_the_peak_is_that_of_one_device():
    fun = functools.partial(ij.RandomNormal(), shape=(64, 64))
    sharded = NamedSharding(MESH, P("data", "model"))
    plan = ij.jit_init(fun, out_shardings=sharded).lower(KEY)
    assert (plan.size, plan.peak) == (64 * 64 * 4, 64 * 64 * 4 // 8)
    assert plan.programs[0].shards == 8


WHY = {
    "samples inside control flow (scan)": lambda k: jax.lax.scan(
        lambda x, k: (x + jax.random.normal(k, (16,)), None),
        jnp.zeros(16),
        jax.random.split(k, 3),
    )[0],
    "factorizes a matrix (cholesky)": lambda k: jnp.linalg.cholesky(
        jnp.eye(16) * jnp.exp(jax.random.normal(k, (16,)))
    ),
    "a host callback (pure_callback)": lambda k: jax.pure_callback(
        lambda x: np.asarray(x) * 2,
        jax.ShapeDtypeStruct((16,), jnp.float32),
        jax.random.normal(k, (16,)),
    ),
    "2 outputs share what they are computed from": lambda k: (lambda w: (w + 1, w * 2))(
        jax.random.normal(k, (16,))
    ),
    "not arithmetic along long axes (exp)": lambda k: jnp.exp(
        jax.random.normal(k, (16,))
    ),
    "not arithmetic along long axes (reduce_sum)": lambda k: jax.random.normal(
        k, (16, 16)
    ).sum(0),
}


@pytest.mark.parametrize("why", WHY)
def test_the_plan_says_why_an_output_falls_back(why):
    plan = ij.jit_init(WHY[why]).lower(KEY)
    assert set(plan.fallbacks.values()) == {why}
    both(WHY[why], KEY)


# -- where outputs live --------------------------------------------------------------


def several(key, x):
    """Return arrays of every kind of piece."""
    keys = jax.random.split(key, 4)
    return {
        "normal": jax.random.normal(keys[0], (64, 32)) * 0.3,
        "short": jax.random.normal(keys[1], (8, 4)),
        "factors": jax.nn.initializers.orthogonal()(keys[2], (8, 8)),
        "zeros": jnp.zeros(8),
        "x": x,
        "sum": x.sum(),
        "key": keys[3],
    }


X = np.arange(8, dtype=np.float32)
NOTHING = dict.fromkeys(("normal", "short", "factors", "zeros", "x", "sum", "key"))
SPREAD = NOTHING | {
    "normal": P("data", "model"),
    "short": P("data"),
    "factors": P("model", "data"),
    "zeros": P(("data", "model")),
}


def on(mesh, specs):
    return {n: s if s is None else NamedSharding(mesh, s) for n, s in specs.items()}


DEVICES = jax.devices()
PLACES = {
    "one_sharding_for_all": (lambda: NamedSharding(MESH, P()), (KEY, X)),
    "some": (lambda: on(MESH, SPREAD), (KEY, X)),
    "another_device": (lambda: SingleDeviceSharding(DEVICES[2]), (KEY, X)),
    "key_on_another_device": (lambda: None, (jax.device_put(KEY, DEVICES[1]), X)),
    "x_on_another_device": (lambda: None, (KEY, jax.device_put(X, DEVICES[1]))),
    "x_spread": (
        lambda: None,
        (KEY, jax.device_put(X, NamedSharding(MESH, P("data")))),
    ),
    "key_replicated": (
        lambda: None,
        (jax.device_put(KEY, NamedSharding(MESH, P())), X),
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_outputs_live_where_jit_puts_them(name):
    shardings, args = PLACES[name]
    placed = ij.jit_init(several, out_shardings=shardings())(*args)
    expected = jax.jit(several, out_shardings=shardings())(*args)
    one_device = jax.jit(several)(KEY, X)
    assert_same(placed, one_device, placed=False)
    for name, x in placed.items():
        assert x.sharding.is_equivalent_to(expected[name].sharding, x.ndim), name


EXPLICIT = jax.make_mesh(
    (4, 2), ("data", "model"), axis_types=(jax.sharding.AxisType.Explicit,) * 2
)
ONE = Mesh(np.array(DEVICES[2:3]), ("one",))
HOMES = {
    "anywhere": None,
    "device": SingleDeviceSharding(DEVICES[1]),
    "mesh_of_one": NamedSharding(ONE, P()),
    "replicated": NamedSharding(MESH, P()),
    "replicated_explicit": NamedSharding(EXPLICIT, P()),
    "spread": NamedSharding(MESH, P("data")),
    "spread_explicit": NamedSharding(EXPLICIT, P(("data", "model"))),
}
LAW = ij.HeNormal()
KEYED = {
    "law": lambda key: LAW(key, (16, 8)),
    "split": lambda key: [
        jax.random.normal(k, (16,)) * 0.3 for k in jax.random.split(key, 2)
    ],
    "itself": lambda key: (key, LAW(key, (16, 8)), jnp.zeros(3)),
    "flax": lambda key: nn.Dense(8).init(key, jnp.ones((1, 8))),
}


@pytest.mark.parametrize("make", [jax.random.key, jax.random.PRNGKey])
@pytest.mark.parametrize("home", HOMES)
def test_outputs_live_where_the_key_does(home, make):
    """Bits, devices, commitment and types are those of jit, ensembles' too."""
    if home == "spread_explicit" and not hasattr(jax, "set_mesh"):
        pytest.skip("JAX itself fails there before it has jax.set_mesh")
    key = make(3)
    if home.startswith("spread"):
        key = jax.random.split(key, 8)
    key = key if HOMES[home] is None else jax.device_put(key, HOMES[home])
    raw = make is jax.random.PRNGKey
    for fun in [*KEYED.values()][: 2 if raw else None]:
        both(jax.vmap(fun) if home.startswith("spread") else fun, key)


def test_outputs_live_where_the_key_does_in_two_processes():
    """Keys on one device of each process, whole on all, a member on each."""
    in_two_processes(
        """
        import jax.numpy as jnp
        import numpy as np
        import initjax as ij
        from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

        law = ij.HeNormal()
        rules = ij.Rules([("w", law)])
        tree = {"w": jax.ShapeDtypeStruct((16, 8), "float32")}
        mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
        whole, members = NamedSharding(mesh, P()), NamedSharding(mesh, P("x"))

        def fun(key):
            a, b = jax.random.split(key)
            return law(a, (16, 8)), jax.random.normal(b, (8,)) * 0.3, jnp.zeros(3), key

        def same(x, y):
            if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
                x, y = jax.random.key_data(x), jax.random.key_data(y)
            assert x.committed == y.committed
            assert x.sharding.is_equivalent_to(y.sharding, x.ndim)
            for a, b in zip(x.addressable_shards, y.addressable_shards, strict=True):
                assert np.asarray(a.data).tobytes() == np.asarray(b.data).tobytes()

        for make in (jax.random.key, jax.random.PRNGKey):
            everywhere = jax.jit(lambda: make(3), out_shardings=whole)
            here = jax.device_put(make(3), jax.local_devices()[1])
            for key in (make(3), here, everywhere()):
                jax.tree.map(same, ij.jit_init(fun)(key), jax.jit(fun)(key))
                expected = jax.jit(lambda key: law(key, (16, 8)))(key)
                same(law(key, (16, 8)), expected)
                out = ij.init_tree(rules, tree, key)["w"]
                assert out.committed == expected.committed
                assert out.sharding.is_equivalent_to(expected.sharding, 2)
            keys = jax.jit(lambda: jax.random.split(make(3), 8), out_shardings=members)
            mapped = jax.vmap(fun)
            jax.tree.map(same, ij.jit_init(mapped)(keys()), jax.jit(mapped)(keys()))
        """
    )


def _two(key):
    w = jax.random.normal(key, (16, 8))
    return w, w * 2


def _members(keys):
    return jax.vmap(lambda k: (LAW(k, (4, 8)), LAW(jax.random.split(k)[0], (4, 8))))(
        keys
    )


def _of_data(key, x):
    w = jax.random.normal(key, (8, 16))
    return w, x @ w, jax.random.normal(jax.random.split(key)[0], (8,))


def _placed(how):
    def init(key):
        a, b = jax.random.split(key)
        return how(jax.random.normal(a, (16, 8))), jax.random.normal(b, (4,))

    return init


ROWS, COLUMNS = NamedSharding(MESH, P("data")), NamedSharding(MESH, P(None, "data"))
KEYS, DATA = jax.random.split(KEY, 8), jnp.linspace(0, 1, 32).reshape(4, 8)
REACHED = {
    "one_of_two": (_two, (KEY,), (ROWS, None)),
    "one_of_members": (_members, (KEYS,), (ROWS, None)),
    "all_of_members": (_members, (jax.device_put(KEYS, ROWS),), (ROWS, ROWS)),
    "weight_of_data": (_of_data, (KEY, DATA), (ROWS, None, None)),
    "rows_of_data": (_of_data, (KEY, jax.device_put(DATA, ROWS)), None),
    "columns_of_data": (_of_data, (KEY, jax.device_put(DATA, COLUMNS)), None),
    "constraint": (
        _placed(lambda w: jax.lax.with_sharding_constraint(w, ROWS)),
        (KEY,),
        None,
    ),
    "device_put": (_placed(lambda w: jax.device_put(w, ROWS)), (KEY,), None),
    "type": (
        _placed(lambda w: jax.sharding.reshard(w, NamedSharding(EXPLICIT, P("data")))),
        (jax.device_put(KEY, HOMES["replicated_explicit"]),),
        None,
    ),
    "law": (
        lambda key: (LAW(key, (16, 8), out_sharding=ROWS), jnp.zeros(3)),
        (KEY,),
        None,
    ),
    "dead_data_elsewhere": (
        lambda key, x: (x + 1, LAW(key, (16, 8)))[1],
        (jax.device_put(KEY, DEVICES[1]), jax.device_put(DATA, DEVICES[2])),
        None,
    ),
}


@pytest.mark.parametrize("name", REACHED)
def test_a_sharding_reaches_what_jit_lets_it_reach(name):
    """What asks for no place follows the shardings that the compiler sees."""
    if name == "type" and not hasattr(jax.sharding, "reshard"):
        pytest.skip("jax.sharding.reshard is newer")
    fun, args, shardings = REACHED[name]
    options = {} if shardings is None else {"out_shardings": shardings}
    both(fun, *args, **options)


@pytest.mark.skipif(not hasattr(jax, "set_mesh"), reason="jax.set_mesh is newer")
@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
@pytest.mark.parametrize("specs", [NOTHING, SPREAD], ids=["nothing", "specs"])
def test_specs_are_read_under_a_mesh(kind, specs):
    kinds = (getattr(jax.sharding.AxisType, kind),) * 2
    shardings = None if specs is NOTHING else specs
    with jax.set_mesh(jax.make_mesh((4, 2), ("data", "model"), axis_types=kinds)):
        placed = ij.jit_init(several, out_shardings=shardings)(KEY, X)
        expected = jax.jit(several, out_shardings=shardings)(KEY, X)
        for name, x in placed.items():
            assert x.sharding.is_equivalent_to(expected[name].sharding, x.ndim), name
            assert words(x).tobytes() == words(expected[name]).tobytes() or (
                name == "short"  # JAX's own bits depend on the mesh there
            )


def test_no_device_holds_a_whole_elementwise_array():
    fun = Linen(1, head=jax.nn.initializers.normal()).init
    shapes = jax.eval_shape(fun, KEY, TOKENS)
    shardings = jax.tree.map(
        lambda x: NamedSharding(
            MESH, P("data", "model") if x.ndim == 2 and x.shape[1] > 50 else P()
        ),
        shapes,
    )
    init = ij.jit_init(fun, out_shardings=shardings)
    engine = init._trace((KEY, TOKENS), {}).engine
    spread = 0
    for number, future in engine.compiled.items():
        program = engine.programs[number]
        if program.order[0].spec != P("data", "model"):
            continue
        spread += 1
        executable = future.result()
        size = program.piece.results[0].aval.size * 4
        memory = executable.memory_analysis()
        assert memory.output_size_in_bytes == size // 8
        assert memory.temp_size_in_bytes <= 68  # where a shard begins
        shape = ",".join(map(str, program.piece.results[0].aval.shape))
        assert f"[{shape}]" not in executable.as_text().partition("ENTRY")[2]
    assert spread
    one_device = jax.jit(fun)(KEY, TOKENS)
    assert_same(init(KEY, TOKENS), one_device, placed=False)


def test_a_sharded_ensemble_with_orthogonal_kernels_does_not_hang():
    init = jax.vmap(Linen(1).init, (0, None))
    keys = jax.random.split(KEY, 8)
    spread = NamedSharding(MESH, P(("data", "model")))
    placed = ij.jit_init(init, out_shardings=spread)(keys, TOKENS)
    assert_same(placed, jax.jit(init)(keys, TOKENS), placed=False)
    for x in jax.tree.leaves(placed):
        assert x.sharding.is_equivalent_to(spread, x.ndim)


def test_a_prefix_of_shardings_covers_what_is_below_it():
    spread = NamedSharding(MESH, P("data"))

    def tree(key):
        return {"a": (jnp.zeros(4), jnp.ones((4, 4))), "b": jnp.zeros(3)}

    placed = ij.jit_init(tree, out_shardings={"a": spread, "b": None})(KEY)
    assert all(x.sharding == spread for x in placed["a"])


# -- as jit --------------------------------------------------------------------------


def test_static_arguments_by_place_and_by_name():
    def init(key, n, law="normal"):
        return getattr(jax.random, law)(key, (n,))

    positional, named = ((KEY, 16), {}), ((KEY,), {"n": 24, "law": "uniform"})
    for options, args, kwargs in (
        ({"static_argnums": (1, 2)}, *positional),
        ({"static_argnums": (1, 2)}, *named),  # the names follow from the places
        ({"static_argnames": ("n", "law")}, *positional),
        ({"static_argnames": ("n", "law")}, *named),
        ({"static_argnums": 1, "static_argnames": "law"}, *positional),
    ):
        expected = jax.jit(init, **options)(*args, **kwargs)
        assert_same(ij.jit_init(init, **options)(*args, **kwargs), expected)


def test_under_an_outer_trace_it_is_the_function():
    def fun(key):
        return jax.random.normal(key, (16,))

    init = ij.jit_init(fun)
    batched = jax.vmap(init)(jax.random.split(KEY, 3))
    assert_same(batched, jax.vmap(fun)(jax.random.split(KEY, 3)))
    ours, theirs = (jax.jit(lambda f=f: f(KEY)).lower().as_text() for f in (init, fun))
    assert ours == theirs
    with jax.disable_jit():
        assert_same(init(KEY), fun(KEY), placed=False)


def test_more_keys_than_the_host_derives():
    keys = jax.random.split(KEY, 70_000)
    both(lambda keys: jax.vmap(lambda k: jax.random.bits(k, (2,)))(keys), keys)


def test_the_checker_of_keys_sees_the_whole_program():
    def reused(key):
        return jax.random.normal(key, (2,)), jax.random.uniform(key, (2,))

    with jax.debug_key_reuse(True):
        with pytest.raises(jax.errors.KeyReuseError):
            ij.jit_init(reused)(jax.random.key(1))
        plan = ij.jit_init(lambda k: jax.random.normal(k, (2,))).lower(KEY)
    assert plan.whole == "jax_debug_key_reuse is on"


def _update(flag, value):
    @contextlib.contextmanager
    def mode():
        before = getattr(jax.config, flag)
        jax.config.update(flag, value)
        try:
            yield
        finally:
            jax.config.update(flag, before)

    return mode


MODES = {
    "disable_jit": jax.disable_jit,
    "debug_nans": lambda: jax.debug_nans(True),
    "debug_infs": lambda: jax.debug_infs(True),
    "tracer_leaks": jax.checking_leaks,
    "log_compiles": jax.log_compiles,
    "explain_misses": _update("jax_explain_cache_misses", True),
    "enable_checks": _update("jax_enable_checks", True),
    "rank_promotion": lambda: jax.numpy_rank_promotion("raise"),
    "dtype_promotion": lambda: jax.numpy_dtype_promotion("strict"),
    **{
        f"guard_{level}": functools.partial(jax.transfer_guard, level)
        for level in ("log", "disallow")
    },
}
TABLE = np.arange(1 << 15, dtype=np.float32)


def _of_every_kind(key):
    """Keys by host, by JAX, of many; numbers, tables, keys that are returned."""
    a, b, c = jax.random.split(key, 3)
    d = jax.random.split(a, 3)[jnp.cumsum(jnp.arange(3))[1]]
    law = ij.RandomNormal(stddev=0.3, mean=0.1)
    many = jax.vmap(lambda k: jax.random.normal(k, (16, 8)))(jax.random.split(b, 2))
    return law(d, (8, 16)), many, jnp.asarray(TABLE), c, jnp.zeros(3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("home", ["anywhere", "replicated"])
def test_modes_of_jax_change_nothing(mode, home):
    key = jax.device_put(KEY, HOMES[home])
    rbg = jax.random.key(3, impl="rbg")
    with MODES[mode]():
        both(_of_every_kind, key)
        both(_two, rbg)


def test_each_output_has_a_buffer_of_its_own():
    def init(key, x):
        w = jax.random.normal(key, (16,))
        return w, w, jnp.array(w), x, x, key, key

    x = jnp.arange(4.0)
    outputs = both(init, KEY, x)
    buffers = {y.unsafe_buffer_pointer() for y in (*outputs[:5], x)}
    assert len(buffers) == 6
    jax.jit(lambda a: a + 1, donate_argnums=0)(outputs[0])
    jax.jit(lambda a: a + 1, donate_argnums=0)(outputs[3])
    assert (outputs[1] == outputs[2]).all()
    assert x.sum() == 6


# -- what is not understood ----------------------------------------------------------


def test_an_exception_of_the_model_is_the_users():
    class Broken(Exception):
        pass

    def init(key):
        raise Broken("the model's own")

    with pytest.raises(Broken, match="the model's own"):
        ij.jit_init(init)(KEY)


def test_a_side_effect_happens_once(capfd):
    def init(key):
        jax.debug.print("the mean is near {}", 0)
        return jax.random.normal(key, (16,))

    actual = jax.block_until_ready(ij.jit_init(init)(KEY))
    jax.effects_barrier()
    assert capfd.readouterr().out.count("the mean is near 0") == 1
    assert_same(actual, jax.jit(init)(KEY))
    assert "side effects" in ij.jit_init(init).lower(KEY).explain()


def test_a_large_array_that_is_closed_over_is_passed_not_compiled_in():
    table = np.arange(1 << 18, dtype=np.float32)
    both(lambda key: {"table": jnp.asarray(table), "b": jnp.zeros(3)}, KEY)
    both(lambda key: jnp.asarray(table) / 3, KEY)
    init = ij.jit_init(lambda key: jnp.asarray(table))
    program = init._trace((KEY,), {}).engine.programs[0]
    assert len(program.lowered.as_text()) < 2000


def test_what_samples_nothing_and_what_returns_nothing():
    both(lambda: jnp.zeros(3))
    both(lambda: (3, 2.5, None))
    both(lambda key: key, KEY)
    assert ij.jit_init(lambda key: None)(KEY) is None
    assert ij.jit_init(lambda key: {})(KEY) == {}


def test_shardings_of_the_wrong_structure_are_an_error():
    with pytest.raises(ValueError, match="out_shardings"):
        ij.jit_init(several, out_shardings={"normal": None})(KEY, X)
    with pytest.raises(ValueError, match="incompatible devices"):
        ij.jit_init(
            lambda k: (jnp.zeros(2), jnp.ones(2)),
            out_shardings=tuple(map(SingleDeviceSharding, DEVICES[:2])),
        )(KEY)


def test_wrong_options_are_refused_at_once():
    with pytest.raises(TypeError, match=r"^jit_init\(3\): fun must be a function, got"):
        ij.jit_init(3)
    with pytest.raises(TypeError, match=r"^jit_init\(progress='x'\): "):
        ij.jit_init(several, progress="x")


@pytest.mark.parametrize("name", ["initjax", "training"])
def test_a_bar_counts_to_the_end(name, monkeypatch):
    """To all arrays and all bytes, also where jit runs one program for everything."""
    fun, args = MODELS[name]
    seen = []

    @contextlib.contextmanager
    def bar(arrays, size, caller):
        left = [arrays, size]

        def report(more, more_bytes):
            left[0] -= more
            left[1] -= more_bytes

        yield report
        seen.append(left)

    monkeypatch.setattr("initjax._engine.jit_init.bar", bar)
    expected = jax.jit(fun)(*args)
    assert_same(ij.jit_init(fun, progress=True)(*args), expected)
    with jax.debug_nans(True):
        ij.jit_init(fun, progress=True)(*args)
    assert seen == [[0, 0], [0, 0]]


def test_a_bar_is_drawn_by_rich(monkeypatch):
    both = (ij.jit_init(ours, progress=p)(KEY) for p in (True, None))
    assert_same(*both)
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(ImportError, match=r"pip install 'initjax\[progress\]'"):
        ij.jit_init(ours, progress=True)(KEY)
