"""Lasagne's layers for cuda-convnet, as the layers here.

``lasagne.layers.cuda_convnet`` differs from ``lasagne.layers`` in defaults: filters are
not turned round, and pooling counts the border. No layer here works in its order of
axes, (C, H, W, N), so that ``dimshuffle=False`` is refused; two bring images there and
back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import init, nonlinearities
from .._types import Shape
from ..errors import SettingError
from ..nonlinearities import Nonlinearity
from .base import Layer
from .conv import Conv2DLayer
from .param import Spec
from .pool import MaxPool2DLayer
from .shape import DimshuffleLayer

__all__ = ["Conv2DCCLayer", "MaxPool2DCCLayer", "ShuffleBC01ToC01BLayer",
           "ShuffleC01BToBC01Layer", "bc01_to_c01b", "c01b_to_bc01"]


def Conv2DCCLayer(incoming: Layer | Shape, num_filters: int,
                  filter_size: int | Sequence[int],
                  stride: int | Sequence[int] = (1, 1),
                  pad: int | Sequence[int] | str = 0, untie_biases: bool = False,
                  W: Spec | None = None, b: Spec | None = init.Constant(0.),
                  nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                  dimshuffle: bool = True, flip_filters: bool = False,
                  partial_sum: int = 1, **kwargs: Any) -> Conv2DLayer:
    """A :class:`~minifer.layers.Conv2DLayer` with ``flip_filters=False``.

    Parameters
    ----------
    incoming, num_filters, filter_size, stride, pad, untie_biases, W, b, nonlinearity, \
flip_filters, **kwargs
        As there; W is GlorotUniform() for None.
    dimshuffle : True
        Images are (N, C, H, W).
    partial_sum : int
        A number for cuda-convnet's kernels. It changes nothing here.

    Returns
    -------
    Conv2DLayer
    """
    _check_order(dimshuffle)
    return Conv2DLayer(incoming, num_filters, filter_size, stride, pad, untie_biases,
                       init.GlorotUniform() if W is None else W, b, nonlinearity,
                       flip_filters, **kwargs)


def MaxPool2DCCLayer(incoming: Layer | Shape, pool_size: int | Sequence[int],
                     stride: int | Sequence[int] | None = None,
                     ignore_border: bool = False, dimshuffle: bool = True,
                     **kwargs: Any) -> MaxPool2DLayer:
    """A :class:`~minifer.layers.MaxPool2DLayer` with ``ignore_border=False``.

    Parameters
    ----------
    incoming, pool_size, stride, ignore_border, **kwargs
        As there.
    dimshuffle : True
        Images are (N, C, H, W).

    Returns
    -------
    MaxPool2DLayer
    """
    _check_order(dimshuffle)
    return MaxPool2DLayer(incoming, pool_size, stride, ignore_border=ignore_border,
                          **kwargs)


def ShuffleBC01ToC01BLayer(incoming: Layer | Shape, **kwargs: Any) -> DimshuffleLayer:
    """Images (N, C, H, W) as (C, H, W, N).

    Parameters
    ----------
    incoming, **kwargs
        As for :class:`~minifer.layers.DimshuffleLayer`, which it returns.
    """
    return DimshuffleLayer(incoming, (1, 2, 3, 0), **kwargs)


def ShuffleC01BToBC01Layer(incoming: Layer | Shape, **kwargs: Any) -> DimshuffleLayer:
    """The way back: images (C, H, W, N) as (N, C, H, W).

    Parameters
    ----------
    incoming, **kwargs
        As for :class:`~minifer.layers.DimshuffleLayer`, which it returns.
    """
    return DimshuffleLayer(incoming, (3, 0, 1, 2), **kwargs)


bc01_to_c01b = ShuffleBC01ToC01BLayer
c01b_to_bc01 = ShuffleC01BToBC01Layer


def _check_order(dimshuffle):
    if not dimshuffle:
        raise SettingError("dimshuffle: expected True, got False. No convolution or "
                           "pooling works in the order (C, H, W, N) here: leave the "
                           "argument out, and the layers that change to it and back.")
