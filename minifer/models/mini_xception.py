"""mini-XCEPTION, the small network that many programs judge expressions with.

Arriaga, Valdenegro-Toro & Plöger (2017), "Real-time convolutional neural networks for
emotion and gender classification", arXiv:1710.07557. Layers carry the names that Keras
gave them in the files of its authors, so that
:func:`minifer.weights.foreign.load_keras_params` sets its weights; a separable
convolution is two layers, ``NAME`` and ``NAME_pointwise``.
"""

from __future__ import annotations

from typing import Any

from .. import layers, nonlinearities

__all__ = ["mini_xception"]


def mini_xception(input_var: Any = None, num_classes: int = 7, size: int = 64,
                  channels: int = 1) -> layers.NonlinearityLayer:
    """Build mini-XCEPTION, untrained: 58,423 parameters with 7 classes.

    ===============================  ==========  ==========
    layer                            output      parameters
    ===============================  ==========  ==========
    conv2d_1, 8 of 3×3, ReLU         8×62×62     104
    conv2d_2, 8 of 3×3, ReLU         8×60×60     608
    block of 16                      16×30×30    920
    block of 32                      32×15×15    2,864
    block of 64                      64×8×8      9,824
    block of 128                     128×4×4     36,032
    conv2d_7, a map for each class   7×4×4       8,071
    mean of each map, softmax        7
    ===============================  ==========  ==========

    A block adds two ways: a 1×1 convolution of stride 2; and two separable
    convolutions and max-pooling. Each convolution but the last is followed by batch
    norm. The running averages of batch norm are counted, as Keras counts them.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 7
    size : int, default 64
        Side of the square images in pixels. Its authors' are -1…1.
    channels : int, default 1

    Returns
    -------
    NonlinearityLayer
        ``predictions``, shape (None, num_classes).
    """
    network = layers.InputLayer((None, channels, size, size), input_var, name="input_1")
    for number in (1, 2):
        network = layers.Conv2DLayer(network, 8, 3, nonlinearity=None, b=None,
                                     flip_filters=False, name=f"conv2d_{number}")
        network = _relu(_norm(network, number), number)
    for block in range(4):
        network = _block(network, 16 << block, block)
    network = layers.Conv2DLayer(network, num_classes, 3, pad="same", nonlinearity=None,
                                 flip_filters=False, name="conv2d_7")
    network = layers.GlobalPoolLayer(network, name="global_average_pooling2d_1")
    return layers.NonlinearityLayer(network, nonlinearities.softmax, name="predictions")


def _block(network, filters, block):
    """Two separable convolutions and a pool, beside a convolution of 1×1."""
    beside = layers.Conv2DLayer(network, filters, 1, 2, "same_upper", b=None,
                                nonlinearity=None, flip_filters=False,
                                name=f"conv2d_{block + 3}")
    beside = _norm(beside, 3 * block + 3)
    for place in (1, 2):
        name = f"separable_conv2d_{2 * block + place}"
        network = layers.Conv2DLayer(
            network, network.output_shape[1], 3, pad="same", b=None, nonlinearity=None,
            flip_filters=False, num_groups=network.output_shape[1], name=name)
        network = layers.Conv2DLayer(network, filters, 1, b=None, nonlinearity=None,
                                     flip_filters=False, name=f"{name}_pointwise")
        network = _norm(network, 3 * block + 3 + place)
        if place == 1:
            network = _relu(network, block + 3)
    network = layers.MaxPool2DLayer(network, 3, 2, "same_upper",
                                    name=f"max_pooling2d_{block + 1}")
    return layers.ElemwiseSumLayer([network, beside], name=f"add_{block + 1}")


def _norm(network, number):
    return layers.BatchNormLayer(network, epsilon=1e-3, alpha=.01,
                                 name=f"batch_normalization_{number}")


def _relu(network, number):
    return layers.NonlinearityLayer(network, name=f"activation_{number}")
