"""The headline network: two convolutions on 96×96 faces.

From a student project on CK+ (AGH University of Science and Technology,
Kraków; J. Obłaza and D. Petruk), written with Lasagne.
"""

from __future__ import annotations

from typing import Any

from .. import init, layers, nonlinearities

__all__ = ["ck96"]


def ck96(input_var: Any = None, num_classes: int = 7,
         size: int = 96) -> layers.DenseLayer:
    """Build the network, untrained.

    =========================  =============  ==========
    layer                      output         parameters
    =========================  =============  ==========
    input                      1 × 96 × 96
    conv1, 32 of 5×5, ReLU     32 × 92 × 92   832
    pool1, max 2×2             32 × 46 × 46
    conv2, 32 of 5×5, ReLU     32 × 42 × 42   25,632
    pool2, max 2×2             32 × 21 × 21
    dropout ½, dense, ReLU     256            3,612,928
    dropout ½, dense, softmax  7              1,799
    =========================  =============  ==========

    3,641,191 parameters in all.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 7
    size : int, default 96
        Side of the square grey images, in pixels; at least 16.

    Returns
    -------
    DenseLayer
        The output layer, shape (None, num_classes).
    """
    network = layers.InputLayer((None, 1, size, size), input_var, name="input")
    network = layers.Conv2DLayer(
        network, num_filters=32, filter_size=(5, 5),
        nonlinearity=nonlinearities.rectify, W=init.GlorotUniform(), name="conv1")
    network = layers.MaxPool2DLayer(network, pool_size=(2, 2), name="pool1")
    network = layers.Conv2DLayer(
        network, num_filters=32, filter_size=(5, 5),
        nonlinearity=nonlinearities.rectify, name="conv2")
    network = layers.MaxPool2DLayer(network, pool_size=(2, 2), name="pool2")
    network = layers.DenseLayer(
        layers.dropout(network, p=.5, name="drop1"), num_units=256,
        nonlinearity=nonlinearities.rectify, name="dense1")
    return layers.DenseLayer(
        layers.dropout(network, p=.5, name="drop2"), num_units=num_classes,
        nonlinearity=nonlinearities.softmax, name="output")
