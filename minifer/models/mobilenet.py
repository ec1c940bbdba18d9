"""MobileNet-V2, in the layout of torchvision or of Keras.

Sandler et al. (2018), "MobileNetV2: inverted residuals and linear bottlenecks",
arXiv:1801.04381. A block widens its input by a 1×1 convolution, looks at each channel
by itself, and narrows it again without a nonlinearity; where the shapes allow it, its
input is added.
"""

from __future__ import annotations

from typing import Any

from .. import layers, nonlinearities
from ..errors import SettingError

__all__ = ["mobilenet_v2"]

#: Times as wide inside, channels, blocks, stride of the first.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
          (6, 160, 3, 2), (6, 320, 1, 1))


def mobilenet_v2(input_var: Any = None, num_classes: int = 1000, size: int = 224,
                 channels: int = 3, layout: str = "torch") -> layers.Layer:
    """Build MobileNet-V2, untrained: 3,504,872 parameters that learn, of 1000 classes.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 1000
    size : int, default 224
        Side of the square images, in pixels.
    channels : int, default 3
    layout : {'torch', 'keras'}, default 'torch'
        The library whose names, padding and epsilon the layers have: torchvision's
        ``mobilenet_v2``, or ``keras.applications.MobileNetV2``, where a convolution of
        stride 2 has its zeros below and to the right only.

    Returns
    -------
    Layer
        ``softmax`` on ``classifier.1``, or ``predictions`` in Keras's layout; shape
        (None, num_classes).

    Raises
    ------
    SettingError
        If there is no such layout.
    """
    if layout not in ("torch", "keras"):
        raise SettingError(
            f"mobilenet_v2: expected the layout 'torch' or 'keras', got {layout!r}.")
    names = _Torch() if layout == "torch" else _Keras()
    network = layers.InputLayer((None, channels, size, size), input_var, name="input")
    network = names.conv(network, 32, 3, 2, *names.stem)
    number = 0
    for wider, filters, depth, stride in STAGES:
        for place in range(depth):
            network = _block(network, wider, filters, stride if place == 0 else 1,
                             names, number)
            number += 1
    network = names.conv(network, 1280, 1, 1, *names.last(number))
    network = layers.GlobalPoolLayer(network, name="pool")
    if layout == "torch":
        network = layers.DropoutLayer(network, p=0.2, name="classifier.0")
    network = layers.DenseLayer(network, num_classes, nonlinearity=None,
                                name=names.dense)
    return layers.NonlinearityLayer(network, nonlinearities.softmax, name="softmax")


def _block(network, wider, filters, stride, names, number):
    """Wider, each channel by itself, narrower."""
    below, C = network, network.output_shape[1]
    parts = names.block(number, wider > 1)
    if wider > 1:
        network = names.conv(network, wider * C, 1, 1, *parts[0])
    network = names.conv(network, network.output_shape[1], 3, stride, *parts[1],
                         groups=network.output_shape[1])
    network = names.conv(network, filters, 1, 1, *parts[2], relu=False)
    if stride == 1 and filters == C:
        network = layers.ElemwiseSumLayer([below, network])
    return network


class _Layout:
    """A convolution with its batch norm, as a library has them."""

    epsilon, alpha, pad = 1e-5, .1, "same"

    def conv(self, network, filters, size, stride, conv, norm, groups=1, relu=True):
        """A convolution, batch norm, and ReLU6 unless told otherwise."""
        network = layers.Conv2DLayer(
            network, filters, size, stride, self.pad, b=None, nonlinearity=None,
            flip_filters=False, num_groups=groups, name=conv)
        network = layers.BatchNormLayer(network, epsilon=self.epsilon, alpha=self.alpha,
                                        name=norm)
        return layers.NonlinearityLayer(network, nonlinearities.relu6) if relu else (
            network)


class _Torch(_Layout):
    stem, dense = ("features.0.0", "features.0.1"), "classifier.1"

    def last(self, number):
        return f"features.{number + 1}.0", f"features.{number + 1}.1"

    def block(self, number, widens):
        root = f"features.{number + 1}.conv"
        pairs = [(f"{root}.{i}.0", f"{root}.{i}.1") for i in range(1 + widens)]
        end = (f"{root}.{1 + widens}", f"{root}.{2 + widens}")
        return [pairs[0], pairs[-1], end]


class _Keras(_Layout):
    epsilon, alpha, pad = 1e-3, .001, "same_upper"
    stem, dense = ("Conv1", "bn_Conv1"), "predictions"

    def last(self, number):
        return "Conv_1", "Conv_1_bn"

    def block(self, number, widens):
        root = f"block_{number}" if number else "expanded_conv"
        return [(f"{root}_{part}", f"{root}_{part}_BN")
                for part in ("expand", "depthwise", "project")]
