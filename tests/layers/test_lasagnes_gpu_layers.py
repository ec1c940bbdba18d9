"""dnn, corrmm and cuda_convnet: the same layers with Lasagne's other defaults."""

import inspect

import numpy as np
import pytest

from minifer import layers
from minifer.errors import SettingError
from minifer.layers import corrmm, cuda_convnet, dnn
from minifer.weights.architecture import from_dict, to_dict

IMAGE, VOLUME = (None, 2, 8, 7), (None, 2, 5, 4, 4)


@pytest.mark.parametrize("make, Layer, shape", [
    (dnn.Conv2DDNNLayer, layers.Conv2DLayer, IMAGE),
    (dnn.Conv3DDNNLayer, layers.Conv3DLayer, VOLUME),
    (corrmm.Conv2DMMLayer, layers.Conv2DLayer, IMAGE),
    (cuda_convnet.Conv2DCCLayer, layers.Conv2DLayer, IMAGE)])
def test_filters_are_not_turned_round_unless_asked(make, Layer, shape):
    net = make(layers.InputLayer(shape), 3, 2, pad="valid", name="conv")
    assert type(net) is Layer and net.name == "conv" and not net.flip_filters
    assert from_dict(to_dict(net)).flip_filters is False
    x = np.random.default_rng(0).normal(size=(2, *shape[1:]))
    turned = make(net.input_layer, 3, 2, flip_filters=True, b=net.b,
                  W=net.W.value[(..., *(slice(None, None, -1),) * (len(shape) - 2))])
    np.testing.assert_allclose(layers.get_output(net, x), layers.get_output(turned, x))


def test_groups():
    assert dnn.Conv2DDNNLayer(IMAGE, 4, 3, 1, 0, False, num_groups=2).num_groups == 2
    assert list(inspect.signature(dnn.Conv3DDNNLayer).parameters)[10] == "num_groups"


def test_pooling_counts_the_border_in_cuda_convnet():
    layer = cuda_convnet.MaxPool2DCCLayer(IMAGE, 2)
    assert type(layer) is layers.MaxPool2DLayer
    assert layer.output_shape == (None, 2, 4, 4)


@pytest.mark.parametrize("make, size", [(cuda_convnet.Conv2DCCLayer, (3, 3)),
                                        (cuda_convnet.MaxPool2DCCLayer, (2,))])
def test_the_order_of_cuda_convnet_is_refused(make, size):
    with pytest.raises(SettingError, match="dimshuffle: expected True, got False"):
        make(IMAGE, *size, dimshuffle=False)


def test_images_are_shuffled_to_cuda_convnets_order_and_back():
    there = cuda_convnet.ShuffleBC01ToC01BLayer(IMAGE, name="there")
    back = cuda_convnet.c01b_to_bc01(there)
    assert there.output_shape == (*IMAGE[1:], None) and back.output_shape == IMAGE
    assert there.name == "there"
    assert cuda_convnet.bc01_to_c01b is cuda_convnet.ShuffleBC01ToC01BLayer


@pytest.mark.parametrize("name", dnn.__all__)
def test_names_of_cudnn_stand_for_layers(name):
    plain = name.replace("DNN", "").replace("_dnn", "")
    thing = getattr(dnn, name)
    assert thing is getattr(layers, plain) or inspect.isfunction(thing)
