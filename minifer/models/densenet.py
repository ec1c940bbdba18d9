"""Densely connected networks, as Lasagne's recipes have them."""

from __future__ import annotations

from typing import Any

from .. import init, layers, nonlinearities
from ..errors import SettingError

__all__ = ["densenet"]


def densenet(input_var: Any = None, num_classes: int = 10, size: int | None = 32,
             channels: int = 3, depth: int = 40, growth_rate: int = 12,
             num_blocks: int = 3, first_output: int = 16,
             dropout: float = 0.) -> layers.DenseLayer:
    """Build a DenseNet, untrained; by default that of 40 layers for CIFAR-10.

    Huang, Liu, van der Maaten & Weinberger (2017), "Densely connected convolutional
    networks", arXiv:1608.06993. In a block each layer sees the outputs of all before
    it, and adds ``growth_rate`` channels; a convolution 1×1 and pooling stand between
    blocks.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 10
    size : int or None, default 32
        Side of the square images in pixels; None for any.
    channels : int, default 3
    depth : int, default 40
        Layers with weights in all: a multiple of ``num_blocks``, and 1.
    growth_rate, num_blocks, first_output : int
    dropout : float, default 0
        Behind each convolution but the first.

    Returns
    -------
    DenseLayer
        The output layer, shape (None, num_classes).

    Raises
    ------
    SettingError
        If the layers cannot be shared out among the blocks.
    """
    if depth <= num_blocks or (depth - 1) % num_blocks:
        raise SettingError(f"densenet: expected a depth of {num_blocks} n + 1, such as "
                           f"{12 * num_blocks + 1}, got {depth}.")
    network = layers.InputLayer((None, channels, size, size), input_var, name="input")
    network = _conv(network, first_output, 3, "pre_conv")
    for block in range(1, num_blocks + 1):
        for place in range(1, (depth - 1) // num_blocks):
            name = f"block{block}_l{place:02d}"
            new = _norm_conv(network, growth_rate, 3, dropout, name)
            network = layers.ConcatLayer([network, new], name=f"{name}_join")
        if block < num_blocks:
            name = f"block{block}_trs"
            network = _norm_conv(network, network.output_shape[1], 1, dropout, name)
            network = layers.Pool2DLayer(network, 2, mode="average_inc_pad",
                                         name=f"{name}_pool")
    network = layers.BatchNormLayer(network, name="post_bn")
    network = layers.NonlinearityLayer(network, name="post_relu")
    network = layers.GlobalPoolLayer(network, name="post_pool")
    return layers.DenseLayer(network, num_classes, W=init.HeNormal(gain=1),
                             nonlinearity=nonlinearities.softmax, name="output")


def _norm_conv(network, filters, size, dropout, name):
    network = layers.BatchNormLayer(network, name=f"{name}_bn")
    network = layers.NonlinearityLayer(network, name=f"{name}_relu")
    network = _conv(network, filters, size, f"{name}_conv")
    return layers.DropoutLayer(network, p=dropout) if dropout else network


def _conv(network, filters, size, name):
    return layers.Conv2DLayer(network, filters, size, pad="same", b=None,
                              W=init.HeNormal(gain="relu"), nonlinearity=None,
                              name=name)
