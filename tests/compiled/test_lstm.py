"""The plan's LSTM is the op's, with every option, from call to call."""

import numpy as np
import pytest

import minifer
from helpers.layers import numbers
from minifer import init, layers, nonlinearities, objectives, updates
from minifer.layers import Gate

CASES = {
    "plain": {"peepholes": False}, "peepholes": {}, "backwards": {"backwards": True},
    "final": {"only_return_final": True}, "clipped": {"grad_clipping": 0.01},
    "clipped, no peepholes": {"grad_clipping": 0.01, "peepholes": False},
    "states": {"learn_init": True, "hid_init": init.Normal(1),
               "cell_init": init.Normal(1)},
    "final, backwards": {"only_return_final": True, "backwards": True},
    "forget gate": {"forgetgate": Gate(b=init.Constant(5))},
}
#: The op's own, which know more.
OTHERS = {"steps": {"gradient_steps": 3},
          "hard": {"nonlinearity": nonlinearities.rectify}}


def both_ways(options, threads, given=None):
    minifer.random.set_rng(0)
    source = layers.InputLayer((None, None, 3))
    below = layers.DenseLayer(source, 5, num_leading_axes=2)
    net = layers.LSTMLayer(below, 4, **options(below) if callable(options) else options)
    y, params = layers.get_output(net), layers.get_all_params(net, trainable=True)
    loss = objectives.squared_error(y, 0.5).sum()
    start, found = layers.get_all_param_values(net), {}
    for mode in ("eager", "compiled"):
        layers.set_all_param_values(net, start)
        step = minifer.function([source.input_var],
                                [y, loss, minifer.grad(loss, source.input_var)],
                                updates.sgd(loss, params, 0.01), mode=mode,
                                threads=threads)
        found[mode] = []
        for shape in ((2, 13, 3), (3, 25, 3), (2, 1, 3)):
            found[mode] += [*step(numbers(shape).astype("float32")),
                            *layers.get_all_param_values(net)]
    for eager, compiled in zip(found["eager"], found["compiled"], strict=True):
        np.testing.assert_allclose(compiled, eager, rtol=1e-3, atol=1e-5)
    return {type(one).__name__ for one in step.plan.steps}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_it_is_the_layer(name, threads):
    assert "LSTMStep" in both_ways(CASES[name], threads)


def test_a_layer_may_give_the_states():
    def options(below):
        code = layers.SliceLayer(layers.DenseLayer(below, 4, num_leading_axes=2), 0, 1)
        return {"hid_init": code, "cell_init": code}

    assert "LSTMStep" in both_ways(options, 2)


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_the_ops(name):
    assert "SequenceStep" in both_ways(OTHERS[name], 2)


def test_a_plan_that_predicts_prepares_no_way_back():
    net = layers.LSTMLayer(layers.InputLayer((None, None, 3)), 4)
    x = numbers((2, 13, 3)).astype("float32")
    predict = minifer.function([layers.get_all_layers(net)[0].input_var],
                               layers.get_output(net, deterministic=True), threads=2)
    np.testing.assert_allclose(predict(x), layers.get_output(net, x), rtol=1e-4,
                               atol=1e-6)
    step, = (one for one in predict.plan.steps if type(one).__name__ == "LSTMStep")
    assert "factors" not in step.helper.kept


def test_it_is_the_same_from_call_to_call():
    minifer.random.set_rng(0)
    net = layers.LSTMLayer(layers.InputLayer((None, None, 3)), 4)
    loss = objectives.squared_error(layers.get_output(net), 0.5).sum()
    params = layers.get_all_params(net)
    find = minifer.function([layers.get_all_layers(net)[0].input_var],
                            [loss, *minifer.grad(loss, params)], threads=2)
    x = numbers((3, 37, 3)).astype("float32")
    first = [np.array(one) for one in find(x)]
    for _ in range(5):
        for one, again in zip(first, find(x), strict=True):
            np.testing.assert_array_equal(one, again)
