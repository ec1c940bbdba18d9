"""Noise, and dropout of whole channels and pixels."""

import numpy as np
import pytest

import minifer
from helpers.layers import numbers, refused
from minifer import layers, tensor
from minifer.layers import (DropoutLayer, GaussianNoiseLayer, InputLayer,
                            RandomizedRectifierLayer, get_output, seed_noise, sharing)
from minifer.random import Stream
from minifer.ranks import Part, Ranks

SHAPE = (6, 2, 3, 4)


def image():
    return InputLayer((None, *SHAPE[1:]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gaussian_noise_is_added(dtype):
    x = numbers(SHAPE).astype(dtype)
    y = get_output(GaussianNoiseLayer(image(), 0.5, rng=7), x)
    noise = Stream(7, "noise").noise_part("normal", 0, x.size).reshape(SHAPE)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, x + 0.5 * noise, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sigma, options", [(0, {}), (0.5, {"deterministic": True})])
def test_without_noise_the_input_passes(sigma, options):
    layer, x = GaussianNoiseLayer(image(), sigma), numbers(SHAPE)
    np.testing.assert_array_equal(get_output(layer, x, **options), x)
    assert layer.stream.step == 0


@pytest.mark.parametrize("sigma", [-0.1, "0.1", float("inf"), None])
def test_noise_refuses(sigma):
    refused(lambda: GaussianNoiseLayer((None, 3), sigma, name="here"), "sigma",
            repr(sigma))


BUILDS = [lambda x: GaussianNoiseLayer(x, 0.5), RandomizedRectifierLayer,
          lambda x: RandomizedRectifierLayer(x, shared_axes=()),
          lambda x: DropoutLayer(x, shared_axes=(1,))]


@pytest.mark.parametrize("build", BUILDS)
def test_noise_goes_on_from_step_to_step_and_starts_again_by_seed(build):
    layer, x = build(image()), -np.ones(SHAPE)
    seed_noise(layer, 3)
    first, second = get_output(layer, x), get_output(layer, x)
    assert (first != second).any() and layer.stream.step == 2
    seed_noise(layer, 3)
    np.testing.assert_array_equal(get_output(layer, x), first)


@pytest.mark.parametrize("build", BUILDS)
def test_ranks_draw_their_parts_of_the_batch(build):
    layer, x = build(image()), numbers(SHAPE)
    seed_noise(layer, 3)
    whole, pieces = get_output(layer, x), []
    for start, stop in ((0, 3), (3, 6)):
        part = Part(Ranks())
        part.total, part.start, part.stop = len(x), start, stop
        seed_noise(layer, 3)
        with sharing(layer, part):
            pieces.append(get_output(layer, x[start:stop]))
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("build", BUILDS)
def test_compiled_is_eager(build):
    x = numbers(SHAPE).astype("float32")
    results = []
    for mode in ("eager", "compiled"):
        net = build(InputLayer((None, *SHAPE[1:]), tensor.tensor4("x")))
        seed_noise(net, 3)
        run = minifer.function([net.input_layer.input_var], get_output(net), mode=mode)
        results.append([run(x), run(x[:2])])
    for eager, compiled in zip(*results):
        np.testing.assert_array_equal(compiled, eager)


@pytest.mark.parametrize("build, shared_axes", [
    (layers.dropout_channels, (2, 3)), (layers.spatial_dropout, (2, 3)),
    (layers.dropout_locations, (1,))])
def test_dropout_of_channels_and_of_pixels(build, shared_axes):
    layer = build(image(), 0.25, rescale=False, name="drop")
    assert type(layer) is DropoutLayer and layer.shared_axes == shared_axes
    assert (layer.p, layer.rescale, layer.name) == (0.25, False, "drop")
    assert build((None, 2, 3)).shared_axes == tuple(a for a in shared_axes if a < 3)


def test_the_fifth_place_is_no_name():
    with pytest.raises(TypeError, match="positional argument"):
        DropoutLayer((None, 3), 0.5, True, (), 7)
