"""Lasagne's layers for cuDNN, as the layers here, which run on every device.

``lasagne.layers.dnn`` differs from ``lasagne.layers`` in a default: filters are not
turned round. Scripts that name it get the layers of :mod:`minifer.layers`, convolutions
with ``flip_filters=False``, and weights that were trained with it fit.

>>> from minifer.layers.dnn import Conv2DDNNLayer
>>> layer = Conv2DDNNLayer((None, 1, 8, 8), num_filters=4, filter_size=3)
>>> layer, layer.flip_filters
(<Conv2DLayer (None, 4, 6, 6)>, False)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import init, nonlinearities
from .._types import Shape
from ..nonlinearities import Nonlinearity
from .base import Layer
from .conv import Conv2DLayer, Conv3DLayer
from .normalization import BatchNormLayer, batch_norm
from .param import Spec
from .pool import MaxPool2DLayer, MaxPool3DLayer, Pool2DLayer, Pool3DLayer
from .spatial_pyramid import SpatialPyramidPoolingLayer

__all__ = ["Pool2DDNNLayer", "MaxPool2DDNNLayer", "Pool3DDNNLayer",
           "MaxPool3DDNNLayer", "Conv2DDNNLayer", "Conv3DDNNLayer",
           "SpatialPyramidPoolingDNNLayer", "BatchNormDNNLayer", "batch_norm_dnn"]

Pool2DDNNLayer, MaxPool2DDNNLayer = Pool2DLayer, MaxPool2DLayer
Pool3DDNNLayer, MaxPool3DDNNLayer = Pool3DLayer, MaxPool3DLayer
SpatialPyramidPoolingDNNLayer = SpatialPyramidPoolingLayer
BatchNormDNNLayer, batch_norm_dnn = BatchNormLayer, batch_norm


def Conv2DDNNLayer(incoming: Layer | Shape, num_filters: int,
                   filter_size: int | Sequence[int],
                   stride: int | Sequence[int] = (1, 1),
                   pad: int | Sequence[int] | str = 0, untie_biases: bool = False,
                   W: Spec = init.GlorotUniform(), b: Spec | None = init.Constant(0.),
                   nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                   flip_filters: bool = False, num_groups: int = 1,
                   **kwargs: Any) -> Conv2DLayer:
    """A :class:`~minifer.layers.Conv2DLayer` with ``flip_filters=False``.

    Parameters
    ----------
    incoming, num_filters, filter_size, stride, pad, untie_biases, W, b, nonlinearity, \
flip_filters, num_groups, **kwargs
        As there.

    Returns
    -------
    Conv2DLayer
    """
    return Conv2DLayer(incoming, num_filters, filter_size, stride, pad, untie_biases, W,
                       b, nonlinearity, flip_filters, num_groups=num_groups, **kwargs)


def Conv3DDNNLayer(incoming: Layer | Shape, num_filters: int,
                   filter_size: int | Sequence[int],
                   stride: int | Sequence[int] = (1, 1, 1),
                   pad: int | Sequence[int] | str = 0, untie_biases: bool = False,
                   W: Spec = init.GlorotUniform(), b: Spec | None = init.Constant(0.),
                   nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                   flip_filters: bool = False, num_groups: int = 1,
                   **kwargs: Any) -> Conv3DLayer:
    """A :class:`~minifer.layers.Conv3DLayer` with ``flip_filters=False``.

    Parameters
    ----------
    incoming, num_filters, filter_size, stride, pad, untie_biases, W, b, nonlinearity, \
flip_filters, num_groups, **kwargs
        As there.

    Returns
    -------
    Conv3DLayer
    """
    return Conv3DLayer(incoming, num_filters, filter_size, stride, pad, untie_biases, W,
                       b, nonlinearity, flip_filters, num_groups=num_groups, **kwargs)
