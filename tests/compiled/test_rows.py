"""Networks that make more images of a batch than came in: their plans have room."""

import numpy as np
import pytest

import minifer
from helpers.devices import DEVICES
from helpers.layers import numbers
from minifer import layers, objectives, updates
from minifer.compiled.rows import most_rows
from minifer.errors import ShapeError

ABOVE = {
    "conv": lambda x: layers.Conv2DLayer(x, 4, 3),
    "conv, norm, pool": lambda x: layers.MaxPool2DLayer(layers.batch_norm(
        layers.Conv2DLayer(x, 8, 3, pad="same")), 2),
    "pool": lambda x: layers.MaxPool2DLayer(x, 2),
    "rectify": lambda x: layers.NonlinearityLayer(x),
    "two convs": lambda x: layers.Conv2DLayer(layers.Conv2DLayer(x, 8, 3), 8, 3),
    "dense": lambda x: layers.DenseLayer(x, 3),
}


@pytest.mark.parametrize("device", ["cpu", *DEVICES])
@pytest.mark.parametrize("above", ABOVE)
def test_frames_of_films_are_images(above, device):
    films = layers.InputLayer((None, None, 2, 8, 8))
    frames = layers.ReshapeLayer(films, (-1, 2, 8, 8))
    net = layers.DenseLayer(ABOVE[above](frames), 2, nonlinearity=None)
    y, params = layers.get_output(net), layers.get_all_params(net, trainable=True)
    loss, start = objectives.squared_error(y, 1.0).mean(), (
        layers.get_all_param_values(net))
    found = {}
    for mode in ("eager", "compiled"):
        layers.set_all_param_values(net, start)
        step = minifer.function([films.input_var], y, updates.sgd(loss, params, 0.1),
                                mode=mode, device=device)
        found[mode] = [np.asarray(step(numbers(shape).astype("float32")))
                       for shape in ((3, 5, 2, 8, 8), (2, 9, 2, 8, 8))]
        found[mode] += layers.get_all_param_values(net)
    assert [len(one) for one in found["compiled"][:2]] == [15, 18]
    for eager, compiled in zip(found["eager"], found["compiled"]):
        np.testing.assert_allclose(compiled, eager, rtol=1e-3, atol=1e-4)


def test_dropout_of_frames():
    films = layers.InputLayer((None, None, 2, 8, 8))
    net = layers.DropoutLayer(layers.ReshapeLayer(films, (-1, 2, 8, 8)))
    y = minifer.function([films.input_var], layers.get_output(net))(
        np.ones((3, 5, 2, 8, 8), "float32"))
    assert y.shape == (15, 2, 8, 8) and 0.4 < (y == 0).mean() < 0.6


def test_the_longest_first_axis_is_found():
    films = layers.InputLayer((None, None, 3))
    rows = layers.ReshapeLayer(films, (-1, 3))
    few = layers.ReshapeLayer(layers.DenseLayer(rows, 2), (-1, 10))
    given = {films: np.ones((5, 4, 3))}
    assert most_rows([films], given) == 5 and most_rows([rows], given) == 20
    assert most_rows([few], given) == 20

    class Silent(layers.Layer):
        def get_output_shape_for(self, input_shape):
            raise NotImplementedError

        def forward(self, x):
            return x, ()

        def backward(self, dy, cache):
            return dy, {}

    assert most_rows([Silent(films)], given) is None
    run = minifer.function([films.input_var], layers.get_output(Silent(films)))
    assert run(np.ones((5, 4, 3), "float32")).shape == (5, 4, 3) and run.plan is None


def test_a_layer_that_makes_more_than_it_says_is_named():
    class Frames(layers.Layer):
        def forward(self, x):
            return x.reshape(-1, *x.shape[2:]), (x.shape,)

        def backward(self, dy, cache):
            return dy.reshape(cache[0]), {}

    films = layers.InputLayer((None, 2, 3))
    net = layers.NonlinearityLayer(Frames(films, name="frames"))
    run = minifer.function([films.input_var], layers.get_output(net))
    with pytest.raises(ShapeError, match="'frames': expected at most 4 images, by its "
                       r"get_output_shape_for, got an output of shape \(8, 3\)"):
        run(np.ones((4, 2, 3), "float32"))
