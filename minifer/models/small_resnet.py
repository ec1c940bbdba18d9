"""A small residual network for faces of 48×48 pixels: the model in the box.

Blocks as in He, Zhang, Ren & Sun (2016), arXiv:1512.03385; wide and flat, as Zagoruyko
& Komodakis (2016), "Wide residual networks", arXiv:1605.07146, found better than deep
and narrow ones, and no dense layer but the last (Lin, Chen & Yan 2014, "Network in
network", arXiv:1312.4400).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import init, layers, nonlinearities
from .starts import like_pytorch

__all__ = ["small_resnet"]


def small_resnet(input_var: Any = None, num_classes: int = 7,
                 widths: Sequence[int] = (48, 96, 160), stem: int = 32,
                 dropout: float = 0.25) -> layers.DenseLayer:
    """Build the network, untrained.

    ===============================================  ========================
    layer                                            output (channels, rows,
                                                     columns)
    ===============================================  ========================
    input: grey values 0 … 1                         1 × 48 × 48
    stem: convolution 3×3, batch norm, ReLU          32 × 48 × 48
    max-pooling                                      32 × 24 × 24
    two blocks                                       48 × 24 × 24
    max-pooling, two blocks                          96 × 12 × 12
    max-pooling, two blocks                          160 × 6 × 6
    mean over the image, dropout .25                 160
    output: dense, softmax                           7
    ===============================================  ========================

    A block is twice a convolution 3×3 and batch norm, with ReLU between, added to its
    input, and a ReLU; where channels grow, the input goes through a convolution 1×1.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 7
    widths : sequence of int
        Channels of each pair of blocks.
    stem : int
        Channels of the first convolution.
    dropout : float in [0, 1)

    Returns
    -------
    DenseLayer
        The output layer, shape (None, num_classes).
    """
    network = layers.InputLayer((None, 1, 48, 48), input_var, name="input")
    network = _relu(_conv(network, stem, 3, "stem"), "stem.relu")
    for stage, width in enumerate(widths, 1):
        network = layers.MaxPool2DLayer(network, 2, name=f"pool{stage}")
        for place in (1, 2):
            network = _block(network, width, f"block{stage}.{place}")
    network = layers.GlobalPoolLayer(network, name="mean")
    network = layers.dropout(network, p=dropout, name="drop")
    return layers.DenseLayer(network, num_classes, **like_pytorch(widths[-1]),
                             nonlinearity=nonlinearities.softmax, name="output")


def _block(network, width, name):
    branch = _relu(_conv(network, width, 3, f"{name}.1"), f"{name}.relu1")
    branch = _conv(branch, width, 3, f"{name}.2")
    if network.output_shape[1] != width:
        network = _conv(network, width, 1, f"{name}.widen")
    total = layers.ElemwiseSumLayer([branch, network], name=f"{name}.add")
    return _relu(total, f"{name}.relu2")


def _conv(network, width, size, name):
    """A convolution without bias, as the batch norm after it has one."""
    network = layers.Conv2DLayer(
        network, width, size, pad="same", flip_filters=False, W=init.HeNormal("relu"),
        b=None, nonlinearity=None, name=name)
    return layers.BatchNormLayer(network, epsilon=1e-5, name=f"{name}.bn")


def _relu(network, name):
    return layers.NonlinearityLayer(network, name=name)
