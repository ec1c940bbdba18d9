"""Saliency and Grad-CAM: against answers known by hand and measured slopes."""

import numpy as np
import pytest

from minifer import config, models, random
from minifer.errors import SettingError, ShapeError
from minifer.evaluation import explain
from minifer.layers import (BatchNormLayer, Conv2DLayer, DenseLayer, ElemwiseSumLayer,
                            GlobalPoolLayer, InputLayer, MaxPool2DLayer, batch_norm,
                            dropout, get_all_layers, get_all_params, get_output,
                            move_to)
from minifer.nonlinearities import softmax


def small_network(channels=1):
    """Convolution, batch norm, dropout, pooling and a residual block, in float64."""
    with config.use_floatX("float64"):
        net = InputLayer((None, channels, 8, 6), name="input")
        net = batch_norm(Conv2DLayer(net, 4, 3, pad="same", name="conv1"))
        net = dropout(MaxPool2DLayer(net, 2, name="pool"), p=.5)
        block = batch_norm(Conv2DLayer(net, 4, 3, pad="same", name="conv2"))
        net = ElemwiseSumLayer([net, block], name="sum")
        net = GlobalPoolLayer(net)
        net = DenseLayer(net, 3, nonlinearity=softmax, name="output")
    rng = np.random.default_rng(1)
    for param in get_all_params(net):  # averages too: those of a new network do nothing
        size = rng.uniform(.5, 1.5, param.shape) if "inv_std" in param.name else (
            rng.standard_normal(param.shape))
        param.set_value(size)
    return net


def images(n=3, channels=1, seed=0):
    return np.random.default_rng(seed).standard_normal((n, channels, 8, 6))


def layer(network, name):
    return next(one for one in get_all_layers(network) if one.name == name)


def score(network, given, n, c):
    """log p_c is the logit less what all classes share; so take the logit itself."""
    top = network.input_layer
    return float(get_output(top, given, deterministic=True)[n] @ network.W.value[:, c]
                 + network.b.value[c])


def slope(f, array, place, h=1e-6):
    """The derivative by the two neighbours, slowly."""
    before = array[place]
    array[place] = before + h
    above = f()
    array[place] = before - h
    below = f()
    array[place] = before
    return (above - below) / (2 * h)


# --- saliency -------------------------------------------------------------------

def test_saliency_of_a_linear_network_is_its_weights():
    W = np.array([[1., -2.], [3., 0.], [-5., 4.], [0., .5]])
    net = DenseLayer(InputLayer((None, 1, 2, 2)), 2, W=W, nonlinearity=softmax)
    x = np.random.default_rng(0).standard_normal((2, 1, 2, 2))
    np.testing.assert_array_equal(explain.saliency(net, x, [0, 1]),
                                  [[[1, 3], [5, 0]], [[2, 0], [4, .5]]])


@pytest.mark.parametrize("channels", [1, 2])
def test_saliency_is_the_measured_slope(channels):
    net, x, classes = small_network(channels), images(2, channels), [2, 0]
    found = explain.saliency(net, x, classes)
    assert found.shape == (2, 8, 6) and found.dtype == np.float64
    source = layer(net, "input")
    for n, i, j in np.ndindex(found.shape):
        measured = max(abs(slope(lambda: score(net, {source: x}, n, classes[n]), x,
                                 (n, k, i, j))) for k in range(channels))
        assert found[n, i, j] == pytest.approx(measured, abs=1e-6)


def test_an_image_is_explained_alone_as_in_a_batch():
    net, x = small_network(), images()
    together = explain.saliency(net, x, [0, 1, 2]), explain.grad_cam(net, x, [0, 1, 2])
    for i in range(3):
        alone = (explain.saliency(net, x[i:i + 1], [i]),
                 explain.grad_cam(net, x[i:i + 1], [i]))
        for one, all_of_them in zip(alone, together):
            np.testing.assert_allclose(one[0], all_of_them[i], atol=1e-12)
    other = explain.saliency(net, x, [1, 1, 2])
    assert not np.allclose(other[0], together[0][0])  # another class, another answer


def test_a_sure_network_still_has_slopes():
    """Behind softmax they would vanish."""
    net = DenseLayer(InputLayer((None, 1, 1, 2)), 2, nonlinearity=softmax,
                     W=np.array([[1000., -1000.], [0., 0.]]))
    x = np.ones((1, 1, 1, 2))
    assert explain.saliency(net, x, [0]).tolist() == [[[1000, 0]]]


def test_the_network_and_the_images_are_left_as_they_were():
    net, x = small_network(), images()
    before = [p.get_value() for p in get_all_params(net)], x.copy()
    explain.saliency(net, x, [0, 1, 2])
    explain.grad_cam(net, x, [0, 1, 2])
    np.testing.assert_array_equal(x, before[1])
    for param, value in zip(get_all_params(net), before[0]):
        np.testing.assert_array_equal(param.value, value)


# --- Grad-CAM -------------------------------------------------------------------

def by_hand():
    """Two maps: the image, and its negative; class 0 sums map 0, class 1 map 1."""
    net = InputLayer((None, 1, 2, 2))
    net = Conv2DLayer(net, 2, 1, W=np.array([1., -1.]).reshape(2, 1, 1, 1))
    net = GlobalPoolLayer(net, "sum")
    return DenseLayer(net, 2, W=np.eye(2), nonlinearity=softmax)


def test_grad_cam_of_maps_that_are_known():
    x = np.array([[[[4., 0], [-2, 1]]]]).repeat(2, axis=0)
    found = explain.grad_cam(by_hand(), x, [0, 1])
    np.testing.assert_allclose(found, [[[1, 0], [0, .25]], [[0, 0], [1, 0]]])


def test_what_speaks_against_a_class_is_left_out():
    net = by_hand()
    net.W.set_value(np.array([[-1., 0], [0, 1]]))
    assert not explain.grad_cam(net, np.ones((1, 1, 2, 2)), [0]).any()


def test_a_map_is_spread_over_the_image():
    net = InputLayer((None, 1, 6, 8))
    net = MaxPool2DLayer(net, 2)
    net = Conv2DLayer(net, 1, 1, W=np.ones((1, 1, 1, 1)))
    net = DenseLayer(GlobalPoolLayer(net), 1, W=np.ones((1, 1)))
    x = np.zeros((1, 1, 6, 8))
    x[0, 0, 5, 0] = 1
    found = explain.grad_cam(net, x, [0])[0]
    assert found.shape == (6, 8) and found.max() == found[5, 0] == 1
    assert found[:3].max() == 0 and found[:, 4:].max() == 0
    assert 0 < found[4, 2] < found[4, 1] < 1


@pytest.mark.parametrize("name", ["conv1", "conv2", "sum", "pool"])
def test_grad_cam_is_its_definition(name):
    """Slopes measured map point by map point; shortcuts past the layer stand still."""
    import cv2
    net, x, classes = small_network(), images(2), [1, 0]
    inner, source = layer(net, name), layer(net, "input")
    maps = get_output(inner, x, deterministic=True)
    expected = np.zeros((2, 8, 6))
    for n in range(2):
        total = 0
        for f in range(maps.shape[1]):
            slopes = [slope(lambda: score(net, {source: x, inner: maps}, n, classes[n]),
                            maps, (n, f, i, j)) for i, j in np.ndindex(maps.shape[2:])]
            total = total + np.mean(slopes) * maps[n, f]
        expected[n] = cv2.resize(np.maximum(0, total), (6, 8))
        expected[n] /= expected[n].max() or 1
    found = explain.grad_cam(net, x, classes, inner)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.any()


def test_the_last_maps_are_behind_batch_norm_and_sum_and_before_pooling():
    assert explain.last_maps(small_network()).name == "sum"
    assert explain.last_maps(models.ck96()).output_shape[2:] == next(
        one for one in get_all_layers(models.ck96())[::-1]
        if isinstance(one, Conv2DLayer)).output_shape[2:]
    assert explain.last_maps(models.fcn48()).output_shape[2:] != (1, 1)
    resnet = models.resnet([1, 1], bottleneck=False, size=32, width=4, channels=1)
    found = explain.last_maps(resnet)
    assert found.name == "layer2.0.relu_1" and found.output_shape[2:] == (4, 4)


@pytest.mark.parametrize("make", [models.ck96, models.fcn48, models.r1])
def test_the_models_can_be_explained(make):
    random.set_rng(0)  # with some weights a map of nothing but zeros is right
    net = make()
    size = get_all_layers(net)[0].shape[1:]
    x = np.random.default_rng(0).standard_normal((2, *size)).astype(np.float32)
    for maps in (explain.saliency(net, x, [3, 1]), explain.grad_cam(net, x, [3, 1])):
        assert maps.shape == (2, *size[1:]) and maps.dtype == np.float32
        assert np.isfinite(maps).all() and maps.min() >= 0 and maps.max() > 0


def test_the_kernels_give_the_same():
    net, x = small_network(), images().astype(np.float32)
    here = explain.saliency(net, x, [0, 1, 2]), explain.grad_cam(net, x, [0, 1, 2])
    move_to(net, "emu")
    there = explain.saliency(net, x, [0, 1, 2]), explain.grad_cam(net, x, [0, 1, 2])
    for a, b in zip(here, there):
        assert type(b) is np.ndarray
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


# --- what cannot be explained -----------------------------------------------------

def test_a_network_without_convolution_has_no_maps():
    net = models.mlp()
    x = np.zeros((1, 1, 48, 48), np.float32)
    with pytest.raises(SettingError, match="with a convolution.*Use saliency"):
        explain.grad_cam(net, x, [0])
    assert explain.saliency(net, x, [0]).shape == (1, 48, 48)


@pytest.mark.parametrize("classes", [[0], [0, 1, 2, 0], [0, 1, 3], [-1, 0, 0],
                                     [0., 1., 2.], 1, [[0, 1, 2]]])
@pytest.mark.parametrize("method", [explain.saliency, explain.grad_cam])
def test_each_image_needs_a_class(method, classes):
    with pytest.raises(ShapeError, match="for each of 3 images a class, 0 … 2"):
        method(small_network(), images(), classes)


@pytest.mark.parametrize("x", [np.zeros((8, 6)), np.zeros((0, 1, 8, 6)),
                               np.zeros((1, 1, 8, 6), np.uint8), None])
@pytest.mark.parametrize("method", [explain.saliency, explain.grad_cam])
def test_images_must_be_prepared(method, x):
    with pytest.raises(ShapeError, match="expected preprocessed images"):
        method(small_network(), x, [0])


def test_images_of_another_size_are_refused():
    with pytest.raises(ShapeError, match="InputLayer 'input': expected an array"):
        explain.grad_cam(small_network(), np.zeros((1, 1, 7, 6)), [0])


def test_the_layer_must_make_maps_of_this_network():
    net = small_network()
    strange = BatchNormLayer((None, 4, 8, 6))
    for wrong in (layer(net, "output"), strange):
        with pytest.raises(SettingError, match="a layer of this network"):
            explain.grad_cam(net, images(), [0, 1, 2], wrong)


def test_two_inputs_are_refused():
    two = ElemwiseSumLayer([InputLayer((None, 1, 2, 2)), InputLayer((None, 1, 2, 2))])
    with pytest.raises(SettingError, match="one input, got 2"):
        explain.saliency(DenseLayer(two, 2), np.zeros((1, 1, 2, 2)), [0])
