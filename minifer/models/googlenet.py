"""GoogLeNet, as Lasagne's model zoo has it."""

from __future__ import annotations

from typing import Any

from .. import layers, nonlinearities
from .caffe import response_norm

__all__ = ["googlenet"]

#: Inception block -> filters: 1×1; 3×3, after what goes before it; 5×5, after what goes
#: before it; what follows pooling. None: pooling between blocks.
BLOCKS = {"3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
          "pool3": None, "4a": (192, 96, 208, 16, 48, 64),
          "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64),
          "4d": (112, 144, 288, 32, 64, 64), "4e": (256, 160, 320, 32, 128, 128),
          "pool4": None, "5a": (256, 160, 320, 32, 128, 128),
          "5b": (384, 192, 384, 48, 128, 128)}


def googlenet(input_var: Any = None, num_classes: int = 1000,
              size: int = 224) -> layers.Layer:
    """GoogLeNet without its auxiliary classifiers: 6,998,552 parameters, 1000 classes.

    Szegedy et al. (2015), "Going deeper with convolutions", arXiv:1409.4842. A block
    sees its input through windows of 1, 3 and 5 pixels and through pooling, side by
    side. Names and order of the parameters are those of Lasagne's model zoo; see
    :func:`minifer.weights.foreign.read_lasagne`.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 1000
    size : int, default 224
        Side of the square images in pixels: BGR, the mean of each channel taken away.

    Returns
    -------
    Layer
        ``prob``, shape (None, num_classes).
    """
    network = layers.InputLayer((None, 3, size, size), input_var, name="input")
    network = _conv(network, 64, 7, "conv1/7x7_s2", stride=2)
    network = layers.MaxPool2DLayer(network, 3, stride=2, ignore_border=False,
                                    name="pool1/3x3_s2")
    network = response_norm(network, "pool1/norm1")
    network = _conv(network, 64, 1, "conv2/3x3_reduce")
    network = _conv(network, 192, 3, "conv2/3x3")
    network = response_norm(network, "conv2/norm2")
    network = layers.MaxPool2DLayer(network, 3, stride=2, ignore_border=False,
                                    name="pool2/3x3_s2")
    for name, filters in BLOCKS.items():
        network = (_inception(network, filters, f"inception_{name}") if filters else
                   layers.MaxPool2DLayer(network, 3, stride=2, ignore_border=False,
                                         name=f"{name}/3x3_s2"))
    network = layers.GlobalPoolLayer(network, name="pool5/7x7_s1")
    network = layers.DenseLayer(network, num_classes, nonlinearity=None,
                                name="loss3/classifier")
    return layers.NonlinearityLayer(network, nonlinearities.softmax, name="prob")


def _inception(network, filters, name):
    one, three_before, three, five_before, five, pooled = filters
    pool = layers.MaxPool2DLayer(network, 3, stride=1, pad=1, name=f"{name}/pool")
    return layers.ConcatLayer([
        _conv(network, one, 1, f"{name}/1x1"),
        _conv(_conv(network, three_before, 1, f"{name}/3x3_reduce"),
              three, 3, f"{name}/3x3"),
        _conv(_conv(network, five_before, 1, f"{name}/5x5_reduce"),
              five, 5, f"{name}/5x5"),
        _conv(pool, pooled, 1, f"{name}/pool_proj")], name=f"{name}/output")


def _conv(network, num_filters, size, name, stride=1):
    return layers.Conv2DLayer(network, num_filters, size, stride, pad=size // 2,
                              flip_filters=False, name=name)
