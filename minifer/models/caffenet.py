"""Networks with local response normalisation, as Lasagne's model zoo has them.

Layers have the zoo's names and parameters its order, so its weights fit: see
:func:`minifer.weights.foreign.read_lasagne`.
"""

from __future__ import annotations

from typing import Any

from .. import layers, nonlinearities
from .caffe import response_norm

__all__ = ["caffenet", "vgg_cnn_s"]


def caffenet(input_var: Any = None, num_classes: int = 1000,
             size: int = 227) -> layers.DenseLayer:
    """CaffeNet: 60,965,224 parameters with 1000 classes.

    Caffe's reference model: the network of Krizhevsky, Sutskever & Hinton (2012), with
    pooling before normalisation. Three of its convolutions work in two halves, each on
    half of the channels.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 1000
    size : int, default 227
        Side of the square images in pixels; they are BGR, the mean taken away.

    Returns
    -------
    DenseLayer
        ``fc8``, shape (None, num_classes).
    """
    network = layers.InputLayer((None, 3, size, size), input_var, name="data")
    network = layers.Conv2DLayer(network, 96, 11, stride=4, name="conv1")
    network = layers.MaxPool2DLayer(network, 3, stride=2, name="pool1")
    network = response_norm(network, "norm1")
    network = _halves(network, 128, 5, 2, "conv2")
    network = layers.MaxPool2DLayer(network, 3, stride=2, name="pool2")
    network = response_norm(network, "norm2")
    network = layers.Conv2DLayer(network, 384, 3, pad=1, name="conv3")
    network = _halves(network, 192, 3, 1, "conv4")
    network = _halves(network, 128, 3, 1, "conv5")
    network = layers.MaxPool2DLayer(network, 3, stride=2, name="pool5")
    network = layers.DenseLayer(network, 4096, name="fc6")
    network = layers.DenseLayer(network, 4096, name="fc7")
    return layers.DenseLayer(network, num_classes, name="fc8",
                             nonlinearity=nonlinearities.softmax)


def _halves(network, num_filters, filter_size, pad, name):
    """A convolution in two halves."""
    half = network.output_shape[1] // 2
    parts = []
    for number, channels in enumerate((slice(half), slice(half, 2 * half)), 1):
        data = layers.SliceLayer(network, channels, axis=1, name=f"{name}_data{number}")
        parts.append(layers.Conv2DLayer(data, num_filters, filter_size, pad=pad,
                                        name=f"{name}_part{number}"))
    return layers.ConcatLayer(parts, axis=1, name=name)


def vgg_cnn_s(input_var: Any = None, num_classes: int = 1000,
              size: int = 224) -> layers.Layer:
    """VGG-CNN-S: 102,908,520 parameters with 1000 classes.

    Chatfield, Simonyan, Vedaldi & Zisserman (2014), "Return of the devil in the
    details", arXiv:1405.3531.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 1000
    size : int, default 224
        Side of the square images in pixels; they are BGR, the mean taken away.

    Returns
    -------
    Layer
        ``prob``, shape (None, num_classes).
    """
    network = layers.InputLayer((None, 3, size, size), input_var, name="input")
    network = _conv(network, 96, 7, 2, 0, "conv1")
    network = layers.LocalResponseNormalization2DLayer(network, alpha=1e-4,
                                                       name="norm1")
    network = _pool(network, 3, "pool1")
    network = _conv(network, 256, 5, 1, 0, "conv2")
    network = _pool(network, 2, "pool2")
    for place in (3, 4, 5):
        network = _conv(network, 512, 3, 1, 1, f"conv{place}")
    network = _pool(network, 3, "pool5")
    for place in (6, 7):
        network = layers.DenseLayer(network, 4096, name=f"fc{place}")
        network = layers.DropoutLayer(network, p=0.5, name=f"drop{place}")
    network = layers.DenseLayer(network, num_classes, nonlinearity=None, name="fc8")
    return layers.NonlinearityLayer(network, nonlinearities.softmax, name="prob")


def _conv(network, num_filters, size, stride, pad, name):
    return layers.Conv2DLayer(network, num_filters, size, stride, pad,
                              flip_filters=False, name=name)


def _pool(network, size, name):
    return layers.MaxPool2DLayer(network, size, stride=size, ignore_border=False,
                                 name=name)
