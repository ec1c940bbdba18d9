"""Inception-v3, as Lasagne's model zoo has it."""

from __future__ import annotations

from typing import Any

from .. import layers, nonlinearities

__all__ = ["inception_v3"]

#: Filters of the two 7-wide branches, in the four blocks of 17×17 pixels.
SEVENS = (128, 160, 160, 192)


def inception_v3(input_var: Any = None, num_classes: int = 1008,
                 size: int = 299) -> layers.DenseLayer:
    """Inception-v3 without its auxiliary classifier: 23,885,392 parameters.

    Szegedy, Vanhoucke, Ioffe, Shlens & Wojna (2016), "Rethinking the Inception
    architecture for computer vision", arXiv:1512.00567. Large windows are made of small
    ones: 5×5 of two 3×3, 7×7 of 1×7 and 7×1. A batch norm follows each convolution.
    The order of the parameters is that of Lasagne's model zoo, whose filters are
    flipped, as is Lasagne's default; see :func:`minifer.weights.foreign.read_lasagne`.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 1008
        Those of TensorFlow's first model: 1000, and some that are not used.
    size : int, default 299
        Side of the square images in pixels: RGB, −1 … 1.

    Returns
    -------
    DenseLayer
        ``softmax``, shape (None, num_classes).
    """
    network = layers.InputLayer((None, 3, size, size), input_var, name="input")
    network = _chain(network, (32, 3, "valid", 2), (32, 3, "valid"), (64, 3))
    network = layers.MaxPool2DLayer(network, 3, stride=2, name="pool")
    network = _chain(network, (80, 1), (192, 3, "valid"))
    network = layers.MaxPool2DLayer(network, 3, stride=2, name="pool_1")
    join = 0
    for pooled in (32, 64, 64):
        network = _join(join, _chain(network, (64, 1)),
                        _chain(network, (48, 1), (64, 5)),
                        _chain(network, (64, 1), (96, 3), (96, 3)),
                        _chain(_mean(network), (pooled, 1)))
        join += 1
    network = _join(join, _chain(network, (384, 3, "valid", 2)),
                    _chain(network, (64, 1), (96, 3), (96, 3, "valid", 2)),
                    layers.MaxPool2DLayer(network, 3, stride=2))
    for n in SEVENS:
        join += 1
        network = _join(join, _chain(network, (192, 1)),
                        _chain(network, (n, 1), (n, (1, 7)), (192, (7, 1))),
                        _chain(network, (n, 1), (n, (7, 1)), (n, (1, 7)), (n, (7, 1)),
                               (192, (1, 7))),
                        _chain(_mean(network), (192, 1)))
    join += 1
    network = _join(join, _chain(network, (192, 1), (320, 3, "valid", 2)),
                    _chain(network, (192, 1), (192, (1, 7)), (192, (7, 1)),
                           (192, 3, "valid", 2)),
                    layers.MaxPool2DLayer(network, 3, stride=2))
    for pool in (_mean, _largest):
        join += 1
        middle = _chain(network, (384, 1))
        twice = _chain(network, (448, 1), (384, 3))
        network = _join(join, _chain(network, (320, 1)), *_both(middle), *_both(twice),
                        _chain(pool(network), (192, 1)))
    network = layers.GlobalPoolLayer(network, name="pool3")
    return layers.DenseLayer(network, num_classes, name="softmax",
                             nonlinearity=nonlinearities.softmax)


def _chain(network, *convolutions):
    """Convolutions (filters, size, pad, stride), each with a batch norm."""
    for num_filters, size, *how in convolutions:
        pad, stride = how + ["same", 1][len(how):]
        network = layers.batch_norm(layers.Conv2DLayer(
            network, num_filters, size, stride, pad), epsilon=1e-3)
    return network


def _both(network):
    """1×3 and 3×1, side by side."""
    return _chain(network, (384, (1, 3))), _chain(network, (384, (3, 1)))


def _mean(network):
    return layers.Pool2DLayer(network, 3, stride=1, pad=1, mode="average_exc_pad")


def _largest(network):
    return layers.Pool2DLayer(network, 3, stride=1, pad=1)


def _join(number, *branches):
    name = f"mixed_{number}/join" if number else "mixed/join"
    return layers.ConcatLayer(branches, name=name)
