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
from ..errors import ShapeError, check_count
from .starts import like_pytorch

__all__ = ["small_resnet"]


def small_resnet(input_var: Any = None, num_classes: int = 7,
                 widths: Sequence[int] = (48, 96, 160), stem: int = 32,
                 dropout: float = 0.25, blocks: int = 2, residual: bool = True,
                 separable: bool = False) -> layers.DenseLayer:
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
    What other shapes come to: docs/results/fer2013.md, a search for a network.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 7
    widths : sequence of int
        Channels of the blocks at each size of the image, one or more.
    stem : int
        Channels of the first convolution.
    dropout : float in [0, 1)
    blocks : int >= 1
        At each size of the image.
    residual : bool
        Whether what goes into a block is added to what comes out.
    separable : bool
        Whether a convolution 3×3 is one for each channel, and one 1×1 for them all
        behind it (Chollet 2017, "Xception", arXiv:1610.02357).

    Returns
    -------
    DenseLayer
        The output layer, shape (None, num_classes).

    Raises
    ------
    ShapeError
        If no width is given, or so many that nothing is left of the image, which each
        of them halves.
    SettingError
        If ``blocks`` is no whole number of 1 or more.
    """
    check_count("blocks", blocks)
    if not len(widths):
        raise ShapeError("small_resnet: expected one width or more, got none.")
    network = layers.InputLayer((None, 1, 48, 48), input_var, name="input")
    network = _relu(_conv(network, stem, 3, "stem"), "stem.relu")
    for stage, width in enumerate(widths, 1):
        network = layers.MaxPool2DLayer(network, 2, name=f"pool{stage}")
        for place in range(1, blocks + 1):
            network = _block(network, width, f"block{stage}.{place}", residual,
                             separable)
    network = layers.GlobalPoolLayer(network, name="mean")
    network = layers.dropout(network, p=dropout, name="drop")
    return layers.DenseLayer(network, num_classes, **like_pytorch(widths[-1]),
                             nonlinearity=nonlinearities.softmax, name="output")


def _block(network, width, name, residual, separable):
    branch = _relu(_conv(network, width, 3, f"{name}.1", separable), f"{name}.relu1")
    branch = _conv(branch, width, 3, f"{name}.2", separable)
    if not residual:
        return _relu(branch, f"{name}.relu2")
    if network.output_shape[1] != width:
        network = _conv(network, width, 1, f"{name}.widen")
    total = layers.ElemwiseSumLayer([branch, network], name=f"{name}.add")
    return _relu(total, f"{name}.relu2")


def _conv(network, width, size, name, separable=False):
    """A convolution without bias, as the batch norm after it has one."""
    if separable:
        channels = network.output_shape[1]
        network = layers.Conv2DLayer(
            network, channels, size, pad="same", flip_filters=False,
            W=init.HeNormal(), b=None, nonlinearity=None, num_groups=channels,
            name=f"{name}.depth")
        size = 1
    network = layers.Conv2DLayer(
        network, width, size, pad="same", flip_filters=False, W=init.HeNormal("relu"),
        b=None, nonlinearity=None, name=name)
    return layers.BatchNormLayer(network, epsilon=1e-5, name=f"{name}.bn")


def _relu(network, name):
    return layers.NonlinearityLayer(network, name=name)
