"""ResNet-50, as Lasagne's model zoo has it."""

from __future__ import annotations

from typing import Any

from .. import layers, nonlinearities

__all__ = ["lasagne_resnet50"]

BLOCKS = {2: "abc", 3: "abcd", 4: "abcdef", 5: "abc"}


def lasagne_resnet50(input_var: Any = None, num_classes: int = 1000,
                     size: int = 224) -> layers.Layer:
    """ResNet-50 with its stride on the first convolution: 25,610,216 parameters.

    He, Zhang, Ren & Sun (2016), arXiv:1512.03385, as its authors gave it out for Caffe:
    other than :func:`minifer.models.resnet50`, a block that halves the image does so in
    its first 1×1 convolution, and the first pooling counts a last, smaller window.
    Names and order of the parameters are those of Lasagne's model zoo; see
    :func:`minifer.weights.foreign.read_lasagne`.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 1000
    size : int, default 224
        Side of the square images in pixels: BGR, the mean image taken away.

    Returns
    -------
    Layer
        ``prob``, shape (None, num_classes).
    """
    network = layers.InputLayer((None, 3, size, size), input_var, name="input")
    network = layers.Conv2DLayer(network, 64, 7, stride=2, pad=3, flip_filters=False,
                                 nonlinearity=None, name="conv1")
    network = layers.BatchNormLayer(network, name="bn_conv1")
    network = layers.NonlinearityLayer(network, name="conv1_relu")
    network = layers.MaxPool2DLayer(network, 3, stride=2, ignore_border=False,
                                    name="pool1")
    for stage, blocks in BLOCKS.items():
        for block in blocks:
            stride = 2 if block == "a" and stage > 2 else 1
            network = _block(network, 64 << stage - 2, stride, f"{stage}{block}")
    network = layers.GlobalPoolLayer(network, name="pool5")
    network = layers.DenseLayer(network, num_classes, nonlinearity=None, name="fc1000")
    return layers.NonlinearityLayer(network, nonlinearities.softmax, name="prob")


def _block(network, filters, stride, name):
    """Three convolutions, added to the input, or to a convolution of it."""
    left = network
    if name.endswith("a"):
        left = _conv(network, 4 * filters, 1, stride, f"{name}_branch1")
    right = _conv(network, filters, 1, stride, f"{name}_branch2a")
    right = layers.NonlinearityLayer(right, name=f"res{name}_branch2a_relu")
    right = _conv(right, filters, 3, 1, f"{name}_branch2b")
    right = layers.NonlinearityLayer(right, name=f"res{name}_branch2b_relu")
    right = _conv(right, 4 * filters, 1, 1, f"{name}_branch2c")
    total = layers.ElemwiseSumLayer([left, right], name=f"res{name}")
    return layers.NonlinearityLayer(total, name=f"res{name}_relu")


def _conv(network, filters, size, stride, name):
    network = layers.Conv2DLayer(network, filters, size, stride, pad=size // 2, b=None,
                                 nonlinearity=None, flip_filters=False,
                                 name=f"res{name}")
    return layers.BatchNormLayer(network, name=f"bn{name}")
