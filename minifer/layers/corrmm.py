"""Lasagne's layer for Caffe's convolution on a GPU, as the one convolution here.

``lasagne.layers.corrmm`` differs from ``lasagne.layers`` in a default: filters are not
turned round. Scripts that name it get :class:`~minifer.layers.Conv2DLayer` with
``flip_filters=False``, and weights that were trained with it fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import init, nonlinearities
from .._types import Shape
from ..nonlinearities import Nonlinearity
from .base import Layer
from .conv import Conv2DLayer
from .param import Spec

__all__ = ["Conv2DMMLayer"]


def Conv2DMMLayer(incoming: Layer | Shape, num_filters: int,
                  filter_size: int | Sequence[int],
                  stride: int | Sequence[int] = (1, 1),
                  pad: int | Sequence[int] | str = 0, untie_biases: bool = False,
                  W: Spec = init.GlorotUniform(), b: Spec | None = init.Constant(0.),
                  nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                  flip_filters: bool = False, **kwargs: Any) -> Conv2DLayer:
    """A :class:`~minifer.layers.Conv2DLayer` with ``flip_filters=False``.

    Parameters
    ----------
    incoming, num_filters, filter_size, stride, pad, untie_biases, W, b, nonlinearity, \
flip_filters, **kwargs
        As there.

    Returns
    -------
    Conv2DLayer
    """
    return Conv2DLayer(incoming, num_filters, filter_size, stride, pad, untie_biases, W,
                       b, nonlinearity, flip_filters, **kwargs)
