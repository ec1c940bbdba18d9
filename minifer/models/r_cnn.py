"""Two convolutional networks of blocks: a shallow one and a deep one.

From a student project on FER2013, written with Keras; its text numbers them
model 1 and model 2.
"""

from __future__ import annotations

from typing import Any

from .. import layers, nonlinearities

__all__ = ["r1", "r2"]

# The text does not say how much its dropouts drop.
DROP_MAPS, DROP_UNITS = .25, .5


def r1(input_var: Any = None, num_classes: int = 7,
       size: int = 48) -> layers.DenseLayer:
    """Build model 1, untrained: one block and a dense layer.

    =========================  ============  ==========
    layer                      output        parameters
    =========================  ============  ==========
    input                      1 × 48 × 48
    conv1, 32 of 3×3, ReLU     32 × 48 × 48  320
    conv2, 64 of 3×3, ReLU     64 × 48 × 48  18,496
    bn1, batch norm            64 × 48 × 48  256
    pool1, max 2×2             64 × 24 × 24
    dropout ¼, dense, softmax  7             258,055
    =========================  ============  ==========

    277,127 parameters in all, 276,999 of them trainable: the running averages of
    the batch norm are not.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 7
    size : int, default 48
        Side of the square grey images, in pixels; at least 2.

    Returns
    -------
    DenseLayer
        The output layer, shape (None, num_classes).
    """
    network = layers.InputLayer((None, 1, size, size), input_var, name="input")
    network = _block(network, (32, 64), 1)
    return layers.DenseLayer(network, num_units=num_classes,
                             nonlinearity=nonlinearities.softmax, name="output")


def r2(input_var: Any = None, num_classes: int = 7,
       size: int = 96) -> layers.DenseLayer:
    """Build model 2, untrained: three blocks and five dense layers.

    =============================  =============  ==========
    layer                          output         parameters
    =============================  =============  ==========
    input                          1 × 96 × 96
    conv1, conv2: 32, 64; bn1      64 × 96 × 96   19,072
    pool1, dropout ¼               64 × 48 × 48
    conv3, conv4: 128, 256; bn2    256 × 48 × 48  370,048
    pool2, dropout ¼               256 × 24 × 24
    conv5, conv6: 512, 256; bn3    256 × 24 × 24  2,361,088
    pool3, dropout ¼               256 × 12 × 12
    conv7, 128 of 3×3, ReLU        128 × 12 × 12  295,040
    dense1, ReLU                   64             1,179,712
    dense2, ReLU                   128            8,320
    dropout ½, dense3, ReLU        256            33,024
    dense4, ReLU                   128            32,896
    dropout ½, dense, softmax      7              903
    =============================  =============  ==========

    4,300,103 parameters in all, 4,298,951 of them trainable.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 7
    size : int, default 96
        Side of the square grey images, in pixels; at least 8.

    Returns
    -------
    DenseLayer
        The output layer, shape (None, num_classes).
    """
    network = layers.InputLayer((None, 1, size, size), input_var, name="input")
    for place, filters in enumerate([(32, 64), (128, 256), (512, 256)], 1):
        network = _block(network, filters, place)
    network = _conv(network, 128, "conv7")
    network = _dense(network, 64, "dense1")
    network = _dense(network, 128, "dense2")
    network = layers.DropoutLayer(network, p=DROP_UNITS, name="drop4")
    network = _dense(network, 256, "dense3")
    network = _dense(network, 128, "dense4")
    network = layers.DropoutLayer(network, p=DROP_UNITS, name="drop5")
    return layers.DenseLayer(network, num_units=num_classes,
                             nonlinearity=nonlinearities.softmax, name="output")


def _block(network, filters, place):
    """Two convolutions, batch norm, pooling, dropout: the ``place``-th such block."""
    for i, num_filters in enumerate(filters):
        network = _conv(network, num_filters, f"conv{2 * place - 1 + i}")
    # Keras's epsilon, and its momentum of 0.99.
    network = layers.BatchNormLayer(network, epsilon=1e-3, alpha=.01, name=f"bn{place}")
    network = layers.MaxPool2DLayer(network, pool_size=2, name=f"pool{place}")
    return layers.DropoutLayer(network, p=DROP_MAPS, name=f"drop{place}")


def _conv(network, num_filters, name):
    return layers.Conv2DLayer(network, num_filters, filter_size=3, pad="same",
                              nonlinearity=nonlinearities.rectify,
                              flip_filters=False, name=name)


def _dense(network, num_units, name):
    return layers.DenseLayer(network, num_units, name=name,
                             nonlinearity=nonlinearities.rectify)
