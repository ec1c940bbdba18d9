"""Six convolutions for 48×48 faces.

From a student project on FER2013, written with PyTorch, which compares it with a
network of dense layers (:mod:`minifer.models.mlp`) and a residual network
(:func:`minifer.models.resnet18`).
"""

from __future__ import annotations

import math
from typing import Any

from .. import layers, nonlinearities
from .starts import like_pytorch

__all__ = ["six_conv"]


def six_conv(input_var: Any = None, num_classes: int = 7,
             size: int = 48) -> layers.DenseLayer:
    """Build the network, untrained.

    ==========================  =============  ==========
    layer                       output         parameters
    ==========================  =============  ==========
    input                       1 × 48 × 48
    conv1, bn1: 32 of 3×3       32 × 48 × 48   448
    conv2, bn2: 32 of 3×3       32 × 48 × 48   9,376
    pool1, max 2×2              32 × 24 × 24
    conv3, bn3: 64 of 3×3       64 × 24 × 24   18,752
    conv4, bn4: 64 of 3×3       64 × 24 × 24   37,184
    pool2, max 2×2              64 × 12 × 12
    conv5, bn5: 128 of 3×3      128 × 12 × 12  74,368
    conv6, bn6: 128 of 3×3      128 × 12 × 12  148,096
    pool3, max 2×2              128 × 6 × 6
    dropout ¼, dense, ReLU      256            1,179,904
    dropout ½, dense, softmax   7              1,799
    ==========================  =============  ==========

    1,469,927 parameters in all, 1,469,031 of them trainable. Each convolution is
    followed by ReLU and then by batch norm. The text gives this order and the pooling;
    the numbers of filters and units, and the dropouts, are a choice. Weights and biases
    start as PyTorch's do, uniform in ±1/√fan_in.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 7
    size : int, default 48
        Side of the square grey images, in pixels; at least 8.

    Returns
    -------
    DenseLayer
        The output layer, shape (None, num_classes).
    """
    network = layers.InputLayer((None, 1, size, size), input_var, name="input")
    for place, num_filters in enumerate([32, 32, 64, 64, 128, 128], 1):
        network = layers.Conv2DLayer(
            network, num_filters, filter_size=3, pad="same", flip_filters=False,
            **like_pytorch(9 * network.output_shape[1]),
            nonlinearity=nonlinearities.rectify, name=f"conv{place}")
        network = layers.BatchNormLayer(network, epsilon=1e-5, name=f"bn{place}")
        if place % 2 == 0:
            network = layers.MaxPool2DLayer(network, 2, name=f"pool{place // 2}")
    network = layers.DenseLayer(
        layers.dropout(network, p=.25, name="drop1"), num_units=256,
        **like_pytorch(math.prod(network.output_shape[1:])),
        nonlinearity=nonlinearities.rectify, name="dense1")
    return layers.DenseLayer(
        layers.dropout(network, p=.5, name="drop2"), num_units=num_classes,
        **like_pytorch(256), nonlinearity=nonlinearities.softmax, name="output")
