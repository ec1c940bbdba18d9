"""Network in network for CIFAR-10, as Lasagne's model zoo has it."""

from __future__ import annotations

from typing import Any

from .. import layers

__all__ = ["nin_cifar10"]


def nin_cifar10(input_var: Any = None, num_classes: int = 10,
                size: int = 32) -> layers.FlattenLayer:
    """Network in network: 966,986 parameters with 10 classes.

    Lin, Chen & Yan (2014), arXiv:1312.4400: each convolution is followed by two of 1×1
    (cccp, for cascaded cross-channel pooling), and the last makes a map a class, whose
    mean is the class's score. Names and order of the parameters are those of Lasagne's
    model zoo; see :func:`minifer.weights.foreign.read_lasagne`.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 10
    size : int, default 32
        Side of the square images in pixels: BGR, the mean image taken away.

    Returns
    -------
    FlattenLayer
        ``output``, shape (None, num_classes): scores, without softmax, from 0.
    """
    network = layers.InputLayer((None, 3, size, size), input_var, name="input")
    network = _three(network, (192, 160, 96), 5, ("conv1", "cccp1", "cccp2"))
    network = _pool(network, 3, 2, "max", "pool1")
    network = layers.DropoutLayer(network, p=0.5, name="drop3")
    network = _three(network, (192, 192, 192), 5, ("conv2", "cccp3", "cccp4"))
    network = _pool(network, 3, 2, "average_exc_pad", "pool2")
    network = layers.DropoutLayer(network, p=0.5, name="drop6")
    network = _three(network, (192, 192, num_classes), 3, ("conv3", "cccp5", "cccp6"))
    network = _pool(network, 8, None, "average_exc_pad", "pool3")
    return layers.FlattenLayer(network, name="output")


def _three(network, filters, size, names):
    """A convolution, and two of 1×1."""
    for num_filters, filter_size, name in zip(filters, (size, 1, 1), names):
        network = layers.Conv2DLayer(network, num_filters, filter_size,
                                     pad=filter_size // 2, flip_filters=False,
                                     name=name)
    return network


def _pool(network, size, stride, mode, name):
    return layers.Pool2DLayer(network, size, stride, mode=mode, ignore_border=False,
                              name=name)
