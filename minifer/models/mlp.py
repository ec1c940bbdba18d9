"""Dense layers alone: what a network reaches that knows nothing of images.

From the same project as :mod:`minifer.models.six_conv`.
"""

from __future__ import annotations

import math
from typing import Any

from .. import init, layers, nonlinearities
from ..nonlinearities import Nonlinearity

__all__ = ["mlp"]


def mlp(input_var: Any = None, num_classes: int = 7, size: int = 48,
        batch_norm: bool = False, dropout: float = 0.,
        nonlinearity: Nonlinearity = nonlinearities.leaky_rectify) -> layers.DenseLayer:
    """Build the network, untrained.

    ======================  ============  ==========
    layer                   output        parameters
    ======================  ============  ==========
    input                   1 × 48 × 48
    dense1, leaky ReLU      1024          2,360,320
    dense2, leaky ReLU      512           524,800
    dense3, leaky ReLU      256           131,328
    dense4, leaky ReLU      128           32,896
    output, softmax         7             903
    ======================  ============  ==========

    3,050,247 parameters in all. Weights start from Glorot's (Xavier's) uniform
    distribution, biases as in PyTorch.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 7
    size : int, default 48
        Side of the square grey images, in pixels.
    batch_norm : bool, default False
        Batch norm between each hidden layer's product and its nonlinearity; it
        takes the place of the bias, 5,760 parameters more.
    dropout : float in [0, 1), default 0
        Share of units dropped behind each hidden layer; 0 adds no layer.
    nonlinearity : Nonlinearity, default leaky_rectify
        Nonlinearity of the hidden layers; its slope below 0 is 0.01.

    Returns
    -------
    DenseLayer
        The output layer, shape (None, num_classes).
    """
    network = layers.InputLayer((None, 1, size, size), input_var, name="input")
    for place, num_units in enumerate([1024, 512, 256, 128], 1):
        network = layers.DenseLayer(network, num_units, **_start(network),
                                    nonlinearity=nonlinearity, name=f"dense{place}")
        if batch_norm:
            network = layers.batch_norm(network)
        if dropout:
            network = layers.DropoutLayer(network, p=dropout, name=f"drop{place}")
    return layers.DenseLayer(network, num_units=num_classes, **_start(network),
                             nonlinearity=nonlinearities.softmax, name="output")


def _start(below):
    """Weights and biases of a dense layer upon another."""
    inputs = math.prod(below.output_shape[1:])
    return {"W": init.GlorotUniform(), "b": init.FanInUniform(inputs)}
