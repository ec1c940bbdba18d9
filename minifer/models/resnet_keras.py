"""Residual networks in the layout of Keras (``keras.applications``, version 1).

He et al. (2016), arXiv:1512.03385, as Keras's ``ResNet50``, ``ResNet101`` and
``ResNet152`` with ``include_top=False``: the body alone, to put a head of one's own
on. Against :mod:`minifer.models.resnet` the stride is on the first 1×1 convolution,
as in the paper, convolutions have biases, and epsilon is 1.001e-5.

Layers carry Keras's names. Parameters of ``conv2_block1_1_conv`` and
``conv2_block1_1_bn``:

==================================  ===========  ==============================
there                               here         value here
==================================  ===========  ==============================
``kernel`` (kh, kw, C, F)           ``W``        transposed to (F, C, kh, kw)
``bias``                            ``b``        as it is
``gamma``, ``beta``                 the same     as they are
``moving_mean``                     ``mean``     as it is
``moving_variance``                 ``inv_std``  1 / √(moving_variance + epsilon)
==================================  ===========  ==============================

Keras's layers ``conv1_pad`` and ``pool1_pad`` put a rim of zeros around the image.
Here it is the ``pad`` of the convolution and of the pooling behind it: the same
numbers, since what is pooled comes from a ReLU, where a zero never wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import layers

__all__ = ["keras_resnet", "keras_resnet50", "keras_resnet101", "keras_resnet152"]


def keras_resnet(depths: Sequence[int], input_var: Any = None, size: int = 224,
                 channels: int = 3, width: int = 64) -> layers.Layer:
    """Build the body of a residual network, untrained.

    ============================  ===============================
    layer                         output, of 224×224 images
    ============================  ===============================
    conv1_conv, 7×7, stride 2     width × 112 × 112
    pool1_pool, 3×3, stride 2     width × 56 × 56
    conv2, ``depths[0]`` blocks   4 · width × 56 × 56
    conv3, ``depths[1]`` blocks   8 · width × 28 × 28
    conv4, ``depths[2]`` blocks   16 · width × 14 × 14
    conv5, ``depths[3]`` blocks   32 · width × 7 × 7
    ============================  ===============================

    Parameters
    ----------
    depths : sequence of int
        Number of blocks in each stage.
    input_var : minifer.expressions.Variable, optional
    size : int, default 224
        Side of the square images, in pixels.
    channels : int, default 3
    width : int, default 64
        Filters of the first stage.

    Returns
    -------
    NonlinearityLayer
        The last block's output, such as ``conv5_block3_out``.

    Examples
    --------
    >>> from minifer.models import keras_resnet
    >>> keras_resnet((1, 2), width=4, size=32)
    <NonlinearityLayer 'conv3_block2_out' (None, 32, 4, 4)>
    """
    network = layers.InputLayer((None, channels, size, size), input_var, name="input")
    network = _conv_norm(network, width, 7, "conv1", stride=2)
    network = layers.NonlinearityLayer(network, name="conv1_relu")
    network = layers.MaxPool2DLayer(network, 3, stride=2, pad=1, name="pool1_pool")
    for stage, depth in enumerate(depths):
        for place in range(depth):
            stride = 2 if stage > 0 and place == 0 else 1
            network = _block(network, width * 2 ** stage, stride, place == 0,
                             f"conv{stage + 2}_block{place + 1}")
    return network


def keras_resnet50(input_var: Any = None, size: int = 224,
                   channels: int = 3) -> layers.Layer:
    """The body of ResNet-50: 23,587,712 parameters; see :func:`keras_resnet`."""
    return keras_resnet((3, 4, 6, 3), input_var, size, channels)


def keras_resnet101(input_var: Any = None, size: int = 224,
                    channels: int = 3) -> layers.Layer:
    """The body of ResNet-101: 42,658,176 parameters; see :func:`keras_resnet`."""
    return keras_resnet((3, 4, 23, 3), input_var, size, channels)


def keras_resnet152(input_var: Any = None, size: int = 224,
                    channels: int = 3) -> layers.Layer:
    """The body of ResNet-152: 58,370,944 parameters; see :func:`keras_resnet`."""
    return keras_resnet((3, 8, 36, 3), input_var, size, channels)


def _block(network, filters, stride, convolve_input, name):
    """A bottleneck: 1×1 with the stride, 3×3, 1×1, and its input added."""
    branch = _conv_norm(network, filters, 1, f"{name}_1", stride)
    branch = layers.NonlinearityLayer(branch, name=f"{name}_1_relu")
    branch = _conv_norm(branch, filters, 3, f"{name}_2")
    branch = layers.NonlinearityLayer(branch, name=f"{name}_2_relu")
    branch = _conv_norm(branch, 4 * filters, 1, f"{name}_3")
    if convolve_input:
        network = _conv_norm(network, 4 * filters, 1, f"{name}_0", stride)
    total = layers.ElemwiseSumLayer([network, branch], name=f"{name}_add")
    return layers.NonlinearityLayer(total, name=f"{name}_out")


def _conv_norm(network, filters, size, name, stride=1):
    """A convolution and its batch norm, named ``name_conv`` and ``name_bn``."""
    network = layers.Conv2DLayer(network, filters, size, stride=stride, pad="same",
                                 nonlinearity=None, flip_filters=False,
                                 name=f"{name}_conv")
    return layers.BatchNormLayer(network, epsilon=1.001e-5, alpha=.01,
                                 name=f"{name}_bn")
