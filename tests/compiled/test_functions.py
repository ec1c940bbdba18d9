"""Functions and threads, forks, copies: they take turns, start over, or refuse."""

import copy
import os
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import threadpoolctl

import minifer
from helpers import runs
from minifer import layers, nonlinearities, objectives, random, tensor, updates
from minifer.device.threads import Workers
from minifer.errors import SettingError
from minifer.training import Trainer


def network():
    random.set_rng(3)
    net = layers.InputLayer((None, 1, 12, 12), tensor.tensor4("x"))
    net = layers.MaxPool2DLayer(layers.Conv2DLayer(net, 8, 3), 2)
    return layers.DenseLayer(net, 3, nonlinearity=nonlinearities.softmax)


def predicting(**options):
    net = network()
    source = layers.get_all_layers(net)[0].input_var
    return minifer.function([source], layers.get_output(net), **options)


def pictures(count, seed):
    return np.random.default_rng(seed).normal(size=(count, 1, 12, 12)).astype("float32")


@pytest.mark.parametrize("mode", ["compiled", "eager"])
def test_threads_that_call_one_function_take_turns(mode):
    predict = predicting(mode=mode, batch=9, threads=2)
    given = [pictures(1 + seed % 9, seed) for seed in range(40)]
    alone = [predict(x) for x in given]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            for found, expected in zip(pool.map(predict, given), alone, strict=True):
                np.testing.assert_array_equal(found, expected)


def test_steps_from_several_threads_are_all_taken():
    net, y = network(), tensor.ivector("y")
    source = layers.get_all_layers(net)[0].input_var
    loss = objectives.categorical_crossentropy(layers.get_output(net), y).mean()
    step = updates.adam(loss, layers.get_all_params(net))
    train = minifer.function([source, y], loss, step)
    x, labels = pictures(6, 0), np.arange(6) % 3
    with ThreadPoolExecutor(8) as pool:
        losses = list(pool.map(lambda _: train(x, labels), range(48)))
    assert step.state["t"] == 48 and len(set(losses)) == 48


def test_blas_has_its_threads_back_after_two_blocks_that_overlap():
    def limits():
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info()
                if pool["user_api"] == "blas"]

    before = limits()
    first, second = Workers(2).blas_alone(), Workers(2).blas_alone()
    first.__enter__()
    second.__enter__()
    assert set(limits()) == {1}
    first.__exit__(None, None, None)
    assert set(limits()) == {1}
    second.__exit__(None, None, None)
    assert limits() == before


@pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_function_is_neither_copied_nor_pickled(take):
    for thing in (predicting(), Trainer(network())):
        if take is copy.copy and isinstance(thing, Trainer):
            continue  # shares its functions, which take turns
        with pytest.raises(SettingError, match="function: expected to be used where"):
            take(thing)


class Calls(layers.Layer):
    """Calls a function from within its pass."""

    function = None

    def get_output_shape_for(self, shape):
        return shape

    def forward(self, x):
        function, self.function = self.function, None
        if function is not None:
            function(x)
        return x * 1, None

    def backward(self, dy, cache):
        return dy, {}


@pytest.mark.parametrize("mode", ["compiled", "eager"])
def test_a_function_that_a_layer_of_it_calls_is_refused_or_works(mode):
    net = Calls(layers.InputLayer((None, 2), tensor.matrix("x")))
    net = layers.DenseLayer(net, 3)
    source, layer = layers.get_all_layers(net)[:2]
    compute = minifer.function([source.input_var], layers.get_output(net), mode=mode)
    x = np.ones((4, 2), "float32")
    expected, layer.function = compute(x), compute
    if mode == "compiled":
        with pytest.raises(SettingError, match="from within it: a layer calls it"):
            compute(x)
    np.testing.assert_array_equal(compute(x), expected)


def test_batches_go_on_in_the_child_of_a_fork(tmp_path):
    script = tmp_path / "batches.py"
    script.write_text(textwrap.dedent("""
        import os, sys
        import numpy as np
        from minifer.training import Batches
        images = np.arange(40.).reshape(40, 1, 1)
        batches = Batches(images, np.arange(40), "cpu", 5, augment=lambda i, n, e: -i)
        batches.begin(np.arange(40))
        batches.batch(0)
        child = os.fork()
        found = [batches.batch(n)[0].sum() for n in (1, 2)]
        if child == 0:
            os._exit(0 if found == [-35, -60] else 1)
        print(found, os.waitpid(child, 0)[1])
    """))
    done = subprocess.run([sys.executable, "-W", "ignore", script], text=True,
                          capture_output=True, timeout=60,
                          env=runs.environment(PYTHONPATH=str(runs.TESTS.parent)))
    assert done.stdout == "[np.float64(-35.0), np.float64(-60.0)] 0\n", done.stderr


FORKS = {
    "pool": """
        with multiprocessing.get_context("fork").Pool(2) as pool:
            found = pool.map(work, range(4))""",
    "executor": """
        context = multiprocessing.get_context("fork")
        with concurrent.futures.ProcessPoolExecutor(2, context) as pool:
            found = list(pool.map(work, range(4)))""",
    "bare": """
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, pickle.dumps([work(seed) for seed in range(4)]))
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as file:
            found = pickle.load(file)"""}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("kind", FORKS)
def test_the_child_of_a_fork_goes_on(kind, held, tmp_path):
    """With functions made before and after; also while another thread is in one."""
    script = tmp_path / "forks.py"
    script.write_text(textwrap.dedent(f"""
        import concurrent.futures, multiprocessing, os, pickle, sys, threading
        sys.path[:0] = {[str(runs.TESTS), str(runs.TESTS.parent)]!r}
        import numpy as np
        import importlib.util
        spec = importlib.util.spec_from_file_location("functions", {__file__!r})
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)

        predict = module.predicting(threads=2, batch=64)
        predict(module.pictures(64, 0))

        def work(seed):
            x = module.pictures(64, seed)
            return predict(x).tolist(), module.predicting(threads=2)(x).tolist()

        expected = [work(seed) for seed in range(4)]
        if {held}:
            stop = threading.Event()
            def busy():
                while not stop.is_set():
                    predict(module.pictures(64, 9))
            thread = threading.Thread(target=busy, daemon=True)
            thread.start()
        {textwrap.indent(textwrap.dedent(FORKS[kind]), "        ").strip()}
        assert found == expected
        print("equal")
    """))
    done = subprocess.run([sys.executable, "-W", "ignore", script], text=True,
                          capture_output=True, timeout=60)
    assert done.stdout == "equal\n", done.stderr
