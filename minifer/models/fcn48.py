"""A fully convolutional network for 48×48 faces, and its dense variant.

From a student project on FER2013, written with Keras (Ss. Cyril and Methodius
University in Skopje; J. Gjelevska and M. Tolevska).
"""

from __future__ import annotations

from typing import Any

from .. import layers, nonlinearities
from ..regularization import l2, regularize_layer_params

__all__ = ["FCN48_L2", "fcn48", "fcn48_dense", "fcn48_penalty"]

#: What ``sum W²`` of every convolution is multiplied by, in the penalty on the loss.
FCN48_L2 = 1e-4


def fcn48(input_var: Any = None, num_classes: int = 7) -> layers.NonlinearityLayer:
    """Build the fully convolutional network, untrained.

    ==========================  =============  ==========
    layer                       output         parameters
    ==========================  =============  ==========
    input                       1 × 48 × 48
    conv1, 32 of 3×3, ReLU      32 × 46 × 46   320
    conv2, 64 of 3×3, ReLU      64 × 44 × 44   18,496
    pool1, max 2×2              64 × 22 × 22
    conv3, 128 of 3×3, ReLU     128 × 20 × 20  73,856
    pool2, max 2×2              128 × 10 × 10
    conv4, 128 of 3×3, ReLU     128 × 8 × 8    147,584
    pool3, max 2×2              128 × 4 × 4
    dropout ¼, conv5, 7 of 1×1  7 × 4 × 4      903
    conv6, 7 of 4×4, ReLU       7 × 1 × 1      791
    flatten, softmax            7
    ==========================  =============  ==========

    241,950 parameters in all. It was trained with :func:`fcn48_penalty` on the
    loss.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 7

    Returns
    -------
    NonlinearityLayer
        The output layer, shape (None, num_classes).

    Notes
    -----
    The last convolution has a ReLU too, as in the text: a class whose sum is
    negative has logit 0, and gets no gradient from that image.
    """
    network = layers.DropoutLayer(_convolutions(input_var), p=.25, name="drop1")
    network = _conv(network, num_classes, 1, "conv5")
    network = _conv(network, num_classes, 4, "conv6")
    network = layers.FlattenLayer(network, name="flatten")
    return layers.NonlinearityLayer(network, nonlinearities.softmax, name="output")


def fcn48_dense(input_var: Any = None, num_classes: int = 7) -> layers.DenseLayer:
    """Build the variant that ends in dense layers, untrained.

    Up to pool3 it is :func:`fcn48`, with a dropout of ¼ behind pool1 and another
    behind pool3 (the text gives their number, not their places); then

    =======================  ======  ==========
    layer                    output  parameters
    =======================  ======  ==========
    dense1, ReLU             1024    2,098,176
    output, dense, softmax   7       7,175
    =======================  ======  ==========

    2,345,607 parameters in all.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 7

    Returns
    -------
    DenseLayer
        The output layer, shape (None, num_classes).
    """
    network = _convolutions(input_var, drop_early=True)
    network = layers.DropoutLayer(network, p=.25, name="drop2")
    network = layers.DenseLayer(network, num_units=1024,
                                nonlinearity=nonlinearities.rectify, name="dense1")
    return layers.DenseLayer(network, num_units=num_classes,
                             nonlinearity=nonlinearities.softmax, name="output")


def fcn48_penalty(network: layers.Layer) -> Any:
    """The penalty these networks were trained with: 1e-4 · sum W², convolutions only.

    Parameters
    ----------
    network : Layer
        :func:`fcn48` or :func:`fcn48_dense`.

    Returns
    -------
    Expression
        To add to the loss: ``Trainer(network, penalty=fcn48_penalty(network))``.

    Examples
    --------
    >>> from minifer.layers import get_all_params
    >>> from minifer.models import fcn48, fcn48_penalty
    >>> network = fcn48()
    >>> W = get_all_params(network, regularizable=True)
    >>> by_hand = 1e-4 * sum((w.value ** 2).sum() for w in W)
    >>> bool(abs(float(fcn48_penalty(network)) / by_hand - 1) < 1e-5)
    True
    """
    convolutions = [one for one in layers.get_all_layers(network)
                    if isinstance(one, layers.Conv2DLayer)]
    return FCN48_L2 * regularize_layer_params(convolutions, l2)


def _convolutions(input_var, drop_early=False):
    """The layers both variants share, from the input to pool3."""
    network = layers.InputLayer((None, 1, 48, 48), input_var, name="input")
    network = _conv(network, 32, 3, "conv1")
    network = _conv(network, 64, 3, "conv2")
    network = layers.MaxPool2DLayer(network, pool_size=2, name="pool1")
    if drop_early:
        network = layers.DropoutLayer(network, p=.25, name="drop1")
    network = _conv(network, 128, 3, "conv3")
    network = layers.MaxPool2DLayer(network, pool_size=2, name="pool2")
    network = _conv(network, 128, 3, "conv4")
    return layers.MaxPool2DLayer(network, pool_size=2, name="pool3")


def _conv(network, num_filters, filter_size, name):
    """A convolution as Keras has it: a correlation, here without padding."""
    return layers.Conv2DLayer(network, num_filters, filter_size, flip_filters=False,
                              nonlinearity=nonlinearities.rectify, name=name)
