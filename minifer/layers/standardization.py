"""Normalisation of each image by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._types import Shape
from ..ops.norm import standardize_backward, standardize_forward
from ..ops.response import response_norm_backward, response_norm_forward
from .base import Layer
from .normalization import strip, with_nonlinearity
from .options import axes as axes_of, count, number
from .scaling import BiasLayer, ScaleLayer

__all__ = ["StandardizationLayer", "instance_norm", "layer_norm",
           "LocalResponseNormalization2DLayer"]


class StandardizationLayer(Layer):
    r"""Normalise to mean 0 and variance 1 over some axes of each input.

    .. math:: y = (x - \mu) / \sqrt{\sigma^2 + \epsilon}

    There are no parameters and no running averages: training and prediction do the
    same. :func:`instance_norm` and :func:`layer_norm` put it into a layer.

    Parameters
    ----------
    incoming : Layer or tuple
    axes : 'auto', 'spatial', 'features', int or tuple of int, default 'auto'
        Axes to normalise over. 'spatial': all but the first two; 'features': all but
        the first; 'auto': 'spatial', or 'features' where there are two axes.
    epsilon : float > 0, default 1e-4
    name : str, optional
    """

    #: The :class:`minifer.ranks.Part` of a batch that ranks share, if they do.
    part: Any = None

    def __init__(self, incoming: Layer | Shape,
                 axes: str | int | Sequence[int] = "auto", epsilon: float = 1e-4, *,
                 name: str | None = None):
        super().__init__(incoming, name)
        ndim = len(self.input_shape)
        if isinstance(axes, str) and axes in ("auto", "spatial", "features"):
            first = 1 if axes == "features" or axes == "auto" and ndim == 2 else 2
            axes = tuple(range(first, ndim))
        self.axes = axes_of(self, "axes", axes)
        if not self.axes:
            self.fail("axes to normalise over", f"input_shape={self.input_shape}",
                      "Give axes='features'.")
        self.epsilon = number(self, "epsilon", epsilon, above=0)

    def get_output_shape_for(self, input_shape):
        if len(input_shape) != len(self.input_shape):
            self.fail(f"an input of {len(self.input_shape)} axes",
                      str(tuple(input_shape)))
        return tuple(input_shape)

    def forward(self, x):
        return standardize_forward(x, self.axes, self.epsilon, self.part)

    def backward(self, dy, cache):
        return standardize_backward(dy, cache), {}


def instance_norm(layer: Any, learn_scale: bool = True, learn_bias: bool = True,
                  **kwargs: Any) -> Layer:
    """Put instance normalisation between a layer and its nonlinearity.

    Each map of each image is normalised by itself. The layer loses its bias and its
    nonlinearity, which moves to the top. Ulyanov et al. (2016), arXiv:1607.08022.

    Parameters
    ----------
    layer : Layer
        Changed in place.
    learn_scale, learn_bias : bool, default True
        Whether a :class:`ScaleLayer` and a :class:`BiasLayer` follow.
    **kwargs
        For :class:`StandardizationLayer`.
    """
    return _normed(layer, "_in", "spatial", learn_scale, learn_bias, kwargs)


def layer_norm(layer: Any, **kwargs: Any) -> Layer:
    """Put layer normalisation between a layer and its nonlinearity.

    All features of an image are normalised together, then scaled and shifted channel
    by channel. The layer loses its bias and its nonlinearity, which moves to the top.
    Ba et al. (2016), arXiv:1607.06450.

    Parameters
    ----------
    layer : Layer
        Changed in place.
    **kwargs
        For :class:`StandardizationLayer`.
    """
    return _normed(layer, "_ln", "features", True, True, kwargs)


def _normed(layer, ending, axes, learn_scale, learn_bias, options):
    nonlinearity = strip(layer)
    name = options.pop("name", None) or (
        getattr(layer, "name", None) and layer.name + ending)
    top: Layer = StandardizationLayer(layer, axes, name=name, **options)
    if learn_scale:
        top = ScaleLayer(top, name=name and name + "_scale")
    if learn_bias:
        top = BiasLayer(top, name=name and name + "_bias")
    return with_nonlinearity(top, nonlinearity, name)


class LocalResponseNormalization2DLayer(Layer):
    r"""Divide each pixel by what it and its neighbours in other channels amount to.

    .. math:: y_i = \frac{x_i}{(k + \alpha \sum_j x_j^2)^\beta}

    over the n channels j around channel i; beyond the first and last there are zeros.
    Krizhevsky et al. (2012), "ImageNet classification with deep convolutional neural
    networks".

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, H, W).
    alpha, k, beta : float, default 1e-4, 2 and 0.75
        k > 0 and alpha >= 0. PyTorch and Caffe divide alpha by n.
    n : int, default 5
        Odd number of channels.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, alpha: float = 1e-4, k: float = 2,
                 beta: float = 0.75, n: int = 5, *, name: str | None = None):
        super().__init__(incoming, name)
        self.alpha = number(self, "alpha", alpha, least=0)
        self.k = number(self, "k", k, above=0)
        self.beta = number(self, "beta", beta)
        self.n = count(self, "n", n)
        if self.n % 2 == 0:
            self.fail("n as an odd number", repr(n))
        self.get_output_shape_for(self.input_shape)

    def get_output_shape_for(self, input_shape):
        if len(input_shape) != 4:
            self.fail("a 4D input (N, C, H, W)", f"input_shape={tuple(input_shape)}")
        return tuple(input_shape)

    def forward(self, x):
        self.get_output_shape_for(x.shape)
        return response_norm_forward(x, self.alpha, self.k, self.beta, self.n)

    def backward(self, dy, cache):
        return response_norm_backward(dy, cache), {}
