"""Residual networks with most of their layers frozen, and a new head.

Two student projects start from networks that were trained on ImageNet: one on CK+
and photos from the web (``s_resnet50``, torchvision's layout), one on FER2013
(``r_resnet50`` and its deeper sisters, Keras's layout). A network built here is
frozen as it is built: set the trained values of its body before training the head.
"""

from __future__ import annotations

import itertools
from typing import Any

from .. import layers, nonlinearities
from .resnet import resnet50
from .resnet_keras import keras_resnet50, keras_resnet101, keras_resnet152

__all__ = ["s_resnet50", "r_resnet50", "r_resnet101", "r_resnet152",
           "freeze_to_layer3"]

# The text does not say how much its dropouts drop.
DROPOUT = .5


def s_resnet50(input_var: Any = None, num_classes: int = 8,
               size: int = 224) -> layers.DenseLayer:
    """ResNet-50 whose stage layer4 and new last layer learn.

    All of torchvision's children but the last three are frozen: conv1 to layer3.
    23,577,544 parameters, 14,981,128 of them trainable.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 8
        neutral, anger, contempt, disgust, fear, happy, sadness, surprise.
    size : int, default 224
        Side of the square RGB images, in pixels.

    Returns
    -------
    DenseLayer
        The output layer, shape (None, num_classes).

    Notes
    -----
    In PyTorch frozen batch norms of a network in training mode still normalise by
    the batch and move their averages. Here they do neither; see
    :func:`minifer.layers.freeze`.
    """
    network = resnet50(input_var, num_classes, size)
    freeze_to_layer3(network)
    return network


def freeze_to_layer3(network: layers.Layer) -> None:
    """Freeze all of torchvision's children but the last three: layer4, avgpool, fc.

    Parameters
    ----------
    network : Layer
        A network of :func:`minifer.models.resnet` or its sisters; changed in place.
    """
    layers.freeze([one for one in layers.get_all_layers(network)
                   if one.name.startswith("layer3.")][-1])  # type: ignore


def r_resnet50(input_var: Any = None, num_classes: int = 7, size: int = 224,
               frozen: bool = True) -> layers.DenseLayer:
    """A frozen ResNet-50 with a head of four dense layers.

    Mean of each map, 256, 256, dropout, 128, dropout, 7: 24,211,847 parameters,
    624,135 of them trainable.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 7
    size : int, default 224
        Side of the square RGB images, in pixels.
    frozen : bool, default True
        Whether the body stays; else all of the network learns.

    Returns
    -------
    DenseLayer
        The output layer, shape (None, num_classes).
    """
    return _with_head(keras_resnet50(input_var, size),
                      [256, 256, DROPOUT, 128, DROPOUT], num_classes, frozen)


def r_resnet101(input_var: Any = None, num_classes: int = 7, size: int = 224,
                frozen: bool = True) -> layers.DenseLayer:
    """A frozen ResNet-101 with a head of five dense layers; see :func:`r_resnet50`.

    Mean of each map, 64, 128, dropout, 256, 128, dropout, 7: 42,864,455 parameters,
    206,279 of them trainable.
    """
    return _with_head(keras_resnet101(input_var, size),
                      [64, 128, DROPOUT, 256, 128, DROPOUT], num_classes, frozen)


def r_resnet152(input_var: Any = None, num_classes: int = 7, size: int = 224,
                frozen: bool = True) -> layers.DenseLayer:
    """A frozen ResNet-152 with a head of three dense layers; see :func:`r_resnet50`.

    Mean of each map, 1024, 512, dropout, 7: 60,997,511 parameters, 2,626,567 of them
    trainable.
    """
    return _with_head(keras_resnet152(input_var, size), [1024, 512, DROPOUT],
                      num_classes, frozen)


def _with_head(body, head, num_classes, frozen):
    """Put dense layers of so many units on a body, and dropouts (< 1)."""
    if frozen:
        layers.freeze(body)
    network = layers.GlobalPoolLayer(body, name="avg_pool")
    dense, drop = itertools.count(1), itertools.count(1)
    for part in head:
        if part < 1:
            network = layers.DropoutLayer(network, p=part, name=f"drop{next(drop)}")
        else:
            network = layers.DenseLayer(network, part, name=f"dense{next(dense)}",
                                        nonlinearity=nonlinearities.rectify)
    return layers.DenseLayer(network, num_units=num_classes,
                             nonlinearity=nonlinearities.softmax, name="output")
