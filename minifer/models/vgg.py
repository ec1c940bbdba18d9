"""VGG-16 and VGG-19, as Lasagne's model zoo has them.

Simonyan & Zisserman (2015), "Very deep convolutional networks for large-scale image
recognition", arXiv:1409.1556. Layers have the zoo's names and parameters its order, so
its weights fit: see :func:`minifer.weights.foreign.read_lasagne`.
"""

from __future__ import annotations

from typing import Any

from .. import layers, nonlinearities

__all__ = ["vgg16", "vgg19"]


def vgg16(input_var: Any = None, num_classes: int = 1000,
          size: int = 224) -> layers.Layer:
    """VGG-16: 138,357,544 parameters with 1000 classes.

    Blocks of 2, 2, 3, 3 and 3 convolutions 3×3 with 64, 128, 256, 512 and 512 filters,
    each block followed by max-pooling 2×2; two dense layers of 4096 units.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 1000
    size : int, default 224
        Side of the square images in pixels; they are BGR, the mean of each channel
        taken away.

    Returns
    -------
    Layer
        ``prob``, shape (None, num_classes).
    """
    return _vgg((2, 2, 3, 3, 3), input_var, num_classes, size)


def vgg19(input_var: Any = None, num_classes: int = 1000,
          size: int = 224) -> layers.Layer:
    """VGG-19: 143,667,240 parameters with 1000 classes.

    As :func:`vgg16`, with blocks of 2, 2, 4, 4 and 4 convolutions.
    """
    return _vgg((2, 2, 4, 4, 4), input_var, num_classes, size)


def _vgg(depths, input_var, num_classes, size):
    network = layers.InputLayer((None, 3, size, size), input_var, name="input")
    for block, depth in enumerate(depths, 1):
        for place in range(1, depth + 1):
            network = layers.Conv2DLayer(
                network, min(512, 32 << block), 3, pad=1, flip_filters=False,
                name=f"conv{block}_{place}")
        network = layers.MaxPool2DLayer(network, 2, name=f"pool{block}")
    for name in ("fc6", "fc7"):
        network = layers.DenseLayer(network, 4096, name=name)
        network = layers.DropoutLayer(network, p=0.5, name=f"{name}_dropout")
    network = layers.DenseLayer(network, num_classes, nonlinearity=None, name="fc8")
    return layers.NonlinearityLayer(network, nonlinearities.softmax, name="prob")
