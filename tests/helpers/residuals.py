"""Small networks with sums of images, on a body of 8 channels."""

import numpy as np

from minifer import layers
from minifer.layers import (BatchNormLayer, Conv2DLayer, ElemwiseSumLayer,
                            MaxPool2DLayer, NonlinearityLayer)

SIZE = 12, 10


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def conv(top, F, size=3, stride=1, norm=True, relu=False):
    top = Conv2DLayer(top, F, size, stride, pad="same", b=None, nonlinearity=None)
    if norm:
        C = top.output_shape[1]
        top = BatchNormLayer(top, gamma=normal(C, 1), beta=normal(C, 2))
    return NonlinearityLayer(top) if relu else top


def block(top, F, stride=1, relu=True):
    """A basic block; 1×1 convolutions where shapes differ."""
    branch = conv(conv(top, F, stride=stride, relu=True), F)
    if stride > 1 or top.output_shape[1] != F:
        top = conv(top, F, 1, stride)
    top = ElemwiseSumLayer([branch, top])
    return NonlinearityLayer(top) if relu else top


def stages(top):
    top = block(block(top, 8), 8)
    return block(block(MaxPool2DLayer(top, 2), 9), 16, stride=2)


def of_three(top):
    return NonlinearityLayer(ElemwiseSumLayer(
        [conv(top, 8), top, conv(top, 8, 1), conv(top, 8, norm=False)]))


def twice_the_same(top):
    return NonlinearityLayer(ElemwiseSumLayer([conv(top, 8)] * 2))


def without_relu(top):
    return block(block(top, 8, relu=False), 8, relu=False)


def with_relu_in_the_way(top):
    """The sum cannot read a batch norm that a ReLU follows before it is cut off."""
    return ElemwiseSumLayer([conv(top, 8, relu=True), top])


def of_plain_images(top):
    return NonlinearityLayer(ElemwiseSumLayer([top, MaxPool2DLayer(top, 3, 1, 1)]))


def at_the_bottom(top):
    """What is summed learns nothing, but for one."""
    below = layers.get_all_layers(top)[0]
    return NonlinearityLayer(ElemwiseSumLayer([conv(below, 8), below]))


def of_one(top):
    return NonlinearityLayer(ElemwiseSumLayer([conv(top, 8)]))


NETWORKS = [stages, of_three, twice_the_same, without_relu, with_relu_in_the_way,
            of_plain_images, at_the_bottom, of_one]
