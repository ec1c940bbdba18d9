"""Residual networks in the layout of torchvision.

He, Zhang, Ren & Sun (2016), "Deep residual learning for image recognition",
arXiv:1512.03385. Shapes, names and constants are those of torchvision's
``resnet18`` … ``resnet152``, whose bottleneck has its stride on the 3×3 convolution
("ResNet v1.5"). The same networks as Keras has them are in
:mod:`minifer.models.resnet_keras`.

Parameters carry torchvision's names, but for the last part:

=============================  ==================  ==============================
there                          here                value here
=============================  ==================  ==============================
``layer1.0.conv1.weight``      layer1.0.conv1.W    as it is
``layer1.0.bn1.weight``        layer1.0.bn1.gamma  as it is
``layer1.0.bn1.bias``          layer1.0.bn1.beta   as it is
``layer1.0.bn1.running_mean``  layer1.0.bn1.mean   as it is
``layer1.0.bn1.running_var``   …bn1.inv_std        1 / √(running_var + epsilon)
``fc.weight``                  fc.W                transposed
``fc.bias``                    fc.b                as it is
=============================  ==================  ==============================

Predictions then agree. Training on differs a little: minifer averages
1 / √(σ² + ε), as Lasagne does, where PyTorch averages σ²·n / (n - 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import init, layers, nonlinearities
from .starts import like_pytorch

__all__ = ["resnet", "resnet18", "resnet50", "resnet101", "resnet152"]


def resnet(depths: Sequence[int], bottleneck: bool = True, input_var: Any = None,
           num_classes: int = 1000, size: int = 224, channels: int = 3,
           width: int = 64) -> layers.DenseLayer:
    """Build a residual network, untrained.

    ============================  ===============================
    layer                         output, of 224×224 images
    ============================  ===============================
    conv1, 7×7, stride 2, bn1     width × 112 × 112
    maxpool, 3×3, stride 2        width × 56 × 56
    layer1, ``depths[0]`` blocks  k · width × 56 × 56
    layer2, ``depths[1]`` blocks  2 k · width × 28 × 28
    layer3, ``depths[2]`` blocks  4 k · width × 14 × 14
    layer4, ``depths[3]`` blocks  8 k · width × 7 × 7
    avgpool, mean                 8 k · width
    fc, dense, softmax            num_classes
    ============================  ===============================

    A block adds its input to what its convolutions make of it: two of 3×3 (k = 1),
    or in a bottleneck 1×1, 3×3 and 1×1 (k = 4). Where the shapes differ, the input
    goes through a 1×1 convolution first ("downsample").

    Weights start as torchvision's.

    Parameters
    ----------
    depths : sequence of int
        Number of blocks in each stage.
    bottleneck : bool, default True
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 1000
    size : int, default 224
        Side of the square images, in pixels.
    channels : int, default 3
    width : int, default 64
        Filters of the first stage.

    Returns
    -------
    DenseLayer
        The output layer, shape (None, num_classes).

    Examples
    --------
    >>> from minifer.layers import count_params, get_all_layers
    >>> from minifer.models import resnet
    >>> small = resnet((1, 1), width=4, num_classes=7, size=32)
    >>> [layer.name for layer in get_all_layers(small)][-6:]
    ['layer2.0.downsample.0', 'layer2.0.downsample.1', 'layer2.0.add',
     'layer2.0.relu_2', 'avgpool', 'fc']
    """
    network = layers.InputLayer((None, channels, size, size), input_var, name="input")
    network = _conv_norm(network, width, 7, 2, "conv1", "bn1")
    network = layers.NonlinearityLayer(network, name="relu")
    network = layers.MaxPool2DLayer(network, 3, stride=2, pad=1, name="maxpool")
    for stage, depth in enumerate(depths):
        filters = width * 2 ** stage
        for place in range(depth):
            stride = 2 if stage > 0 and place == 0 else 1
            convolutions = ([(filters, 1, 1), (filters, 3, stride), (4 * filters, 1, 1)]
                            if bottleneck else
                            [(filters, 3, stride), (filters, 3, 1)])
            network = _block(network, convolutions, f"layer{stage + 1}.{place}")
    network = layers.GlobalPoolLayer(network, name="avgpool")
    return layers.DenseLayer(
        network, num_units=num_classes, nonlinearity=nonlinearities.softmax, name="fc",
        **like_pytorch(network.output_shape[1]))


def resnet18(input_var: Any = None, num_classes: int = 1000, size: int = 224,
             channels: int = 3) -> layers.DenseLayer:
    """ResNet-18: 11,699,112 parameters with 1000 classes; see :func:`resnet`.

    9,600 of them are running averages; torchvision does not count those.
    """
    return resnet((2, 2, 2, 2), False, input_var, num_classes, size, channels)


def resnet50(input_var: Any = None, num_classes: int = 1000, size: int = 224,
             channels: int = 3) -> layers.DenseLayer:
    """ResNet-50: 25,610,152 parameters with 1000 classes; see :func:`resnet`.

    53,120 of them are running averages; torchvision does not count those.
    """
    return resnet((3, 4, 6, 3), True, input_var, num_classes, size, channels)


def resnet101(input_var: Any = None, num_classes: int = 1000, size: int = 224,
              channels: int = 3) -> layers.DenseLayer:
    """ResNet-101: 44,654,504 parameters with 1000 classes; see :func:`resnet`.

    105,344 of them are running averages; torchvision does not count those.
    """
    return resnet((3, 4, 23, 3), True, input_var, num_classes, size, channels)


def resnet152(input_var: Any = None, num_classes: int = 1000, size: int = 224,
              channels: int = 3) -> layers.DenseLayer:
    """ResNet-152: 60,344,232 parameters with 1000 classes; see :func:`resnet`.

    151,424 of them are running averages; torchvision does not count those.
    """
    return resnet((3, 8, 36, 3), True, input_var, num_classes, size, channels)


def _block(network, convolutions, name):
    """Convolutions (filters, size, stride), with their input added to the last."""
    branch = network
    for place, (filters, size, stride) in enumerate(convolutions, 1):
        branch = _conv_norm(branch, filters, size, stride,
                            f"{name}.conv{place}", f"{name}.bn{place}")
        if place < len(convolutions):
            branch = layers.NonlinearityLayer(branch, name=_relu_name(name, place))
    if network.output_shape != branch.output_shape:
        stride = max(stride for _, _, stride in convolutions)
        network = _conv_norm(network, filters, 1, stride,
                             f"{name}.downsample.0", f"{name}.downsample.1")
    total = layers.ElemwiseSumLayer([branch, network], name=f"{name}.add")
    return layers.NonlinearityLayer(total, name=_relu_name(name, len(convolutions)))


def _conv_norm(network, filters, size, stride, conv, norm):
    """A convolution without bias, and its batch norm; ``conv``, ``norm`` are names."""
    network = layers.Conv2DLayer(
        network, filters, size, stride=stride, pad="same", b=None, nonlinearity=None,
        W=init.FanOutNormal(), flip_filters=False, name=conv)
    return layers.BatchNormLayer(network, epsilon=1e-5, alpha=.1, name=norm)


def _relu_name(block, place):
    """A block's ReLU is one module in torchvision; its uses count relu, relu_1, …"""
    return f"{block}.relu" + (f"_{place - 1}" if place > 1 else "")
