"""The networks of Lasagne's model zoo: counts, shapes, names, a pass at small size."""

import numpy as np
import pytest

from helpers.networks import outputs_of
from minifer import init, models
from minifer.errors import SettingError
from minifer.layers import count_params, get_all_params, get_output

#: Name -> parameters in all, trainable ones, and some layers' outputs of one image.
TABLE = {
    "vgg16": (138357544, 138357544, {
        "conv1_2": (64, 224, 224), "conv3_3": (256, 56, 56), "pool5": (512, 7, 7),
        "fc6_dropout": (4096,), "fc8": (1000,), "prob": (1000,)}),
    "vgg19": (143667240, 143667240, {
        "conv3_4": (256, 56, 56), "conv5_4": (512, 14, 14), "pool5": (512, 7, 7)}),
    "vgg_cnn_s": (102908520, 102908520, {
        "conv1": (96, 109, 109), "pool1": (96, 37, 37), "pool2": (256, 17, 17),
        "pool5": (512, 6, 6), "prob": (1000,)}),
    "caffenet": (60965224, 60965224, {
        "conv1": (96, 55, 55), "norm1": (96, 27, 27), "conv2_part2": (128, 27, 27),
        "conv2": (256, 27, 27), "conv5": (256, 13, 13), "pool5": (256, 6, 6)}),
    "nin_cifar10": (966986, 966986, {
        "cccp2": (96, 32, 32), "pool1": (96, 16, 16), "pool2": (192, 8, 8),
        "cccp6": (10, 8, 8), "output": (10,)}),
    "googlenet": (6998552, 6998552, {
        "pool1/norm1": (64, 56, 56), "inception_3a/output": (256, 28, 28),
        "inception_4e/output": (832, 14, 14), "inception_5b/output": (1024, 7, 7),
        "pool5/7x7_s1": (1024,), "prob": (1000,)}),
    "inception_v3": (23885392, 23850960, {
        "pool": (64, 73, 73), "mixed/join": (256, 35, 35),
        "mixed_3/join": (768, 17, 17), "mixed_8/join": (1280, 8, 8),
        "mixed_10/join": (2048, 8, 8), "softmax": (1008,)}),
    "lasagne_resnet50": (25610216, 25557096, {
        "pool1": (64, 56, 56), "res2c": (256, 56, 56), "res3a_branch2a": (128, 28, 28),
        "res5c_relu": (2048, 7, 7), "pool5": (2048,), "fc1000": (1000,)}),
    "densenet": (1037818, 1019722, {
        "block1_l12_join": (160, 32, 32), "block2_trs_pool": (304, 8, 8),
        "post_relu": (448, 8, 8), "output": (10,)})}
#: The least sides of images that go through, and that cost little.
SMALL = {"vgg16": 32, "vgg_cnn_s": 96, "caffenet": 67, "nin_cifar10": 29,
         "googlenet": 40, "inception_v3": 75, "lasagne_resnet50": 33, "densenet": 9}


@pytest.fixture
def cheap(monkeypatch):
    """No numbers are drawn: memory that is not touched costs nothing."""
    for kind in (init.GlorotUniform, init.HeNormal):
        monkeypatch.setattr(kind, "sample", lambda self, shape: np.zeros(shape, "f"))


@pytest.mark.parametrize("name", TABLE)
def test_shapes_and_counts_are_those_of_the_zoo(name, cheap):
    in_all, trainable, shapes = TABLE[name]
    network = getattr(models, name)()
    assert count_params(network) == in_all
    assert count_params(network, trainable=True) == trainable
    outputs = outputs_of(network)
    assert {layer: outputs[layer] for layer in shapes} == shapes


@pytest.mark.parametrize("name", SMALL)
def test_a_small_image_goes_through(name, cheap):
    network = getattr(models, name)(num_classes=3, size=SMALL[name])
    x = np.ones((2, 3, SMALL[name], SMALL[name]), np.float32)
    said = get_output(network, x, deterministic=True)
    assert said.shape == (2, 3) and np.isfinite(said).all()


@pytest.mark.parametrize("name, first, last", [
    ("googlenet", ["conv1/7x7_s2", "conv2/3x3_reduce", "conv2/3x3", "inception_3a/1x1",
                   "inception_3a/3x3_reduce", "inception_3a/3x3"], "loss3/classifier"),
    ("caffenet", ["conv1", "conv2_part1", "conv2_part2", "conv3"], "fc8"),
    ("lasagne_resnet50", ["conv1", "bn_conv1", "res2a_branch1", "bn2a_branch1",
                          "res2a_branch2a", "bn2a_branch2a"], "fc1000")])
def test_parameters_come_in_the_zoos_order(name, first, last, cheap):
    """A join's inputs one after the other; the left branch of a block first."""
    owners = dict.fromkeys(param.name.rsplit(".", 1)[0]
                           for param in get_all_params(getattr(models, name)()))
    assert list(owners)[:len(first)] == first and list(owners)[-1] == last


@pytest.mark.parametrize("depth", [3, 39, 0])
def test_a_densenet_has_as_many_layers_in_each_block(depth):
    with pytest.raises(SettingError, match=f"depth of 3 n . 1.*got {depth}"):
        models.densenet(depth=depth)
