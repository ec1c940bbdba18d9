r"""Where did the network look? Pictures of what a decision hangs on.

Both methods ask for the score :math:`s_c` of a class, the output *before* softmax:
behind it, a class also rises where the others fall. They say which pixels the
network used. Whether it was right to use them is for you to judge.

>>> from minifer.layers import Conv2DLayer, DenseLayer, InputLayer
>>> network = Conv2DLayer(InputLayer((None, 1, 4, 4)), 3, 3, pad="same")
>>> network = DenseLayer(network, num_units=2)
>>> x = np.ones((5, 1, 4, 4))
>>> saliency(network, x, [0, 0, 1, 1, 1]).shape
(5, 4, 4)
>>> grad_cam(network, x, [0, 0, 1, 1, 1]).shape
(5, 4, 4)
"""

from __future__ import annotations


import numpy as np

from .. import layers
from .._types import Array, Shape
from ..device.arrays import device_of, to_device, to_host
from ..errors import SettingError, ShapeError
from ..faces.images import load_cv2
from ..layers.conv import BaseConvLayer

__all__ = ["saliency", "grad_cam", "last_maps"]


def saliency(network: layers.Layer, x: Array, classes: Array) -> np.ndarray:
    r"""How much each pixel matters: the gradient of a class's score [1]_.

    .. math:: M_{nij} = \max_k \left|\frac{\partial s_{c_n}(x_n)}
                                     {\partial x_{nkij}}\right|

    Parameters
    ----------
    network : Layer
        Output shape (N, K). It runs as in prediction and is left as it is.
    x : array of float, shape (N, C, H, W)
        Preprocessed images.
    classes : sequence of N int
        Class whose score is explained, for each image: 0 … K-1.

    Returns
    -------
    array, shape (N, H, W), dtype of x
        Score per unit of x; at least 0. Of several channels, the largest.

    Raises
    ------
    ShapeError
        If x is no batch of images, or ``classes`` not one class for each.

    References
    ----------
    .. [1] Simonyan, Vedaldi, Zisserman (2014): Deep inside convolutional networks,
       arXiv:1312.6034, section 3.
    """
    _check_images(x)
    source = _input_of(network)
    gradient = _gradients(network, {source: x}, classes)[source]
    return np.abs(to_host(gradient)).max(axis=1)


def grad_cam(network: layers.Layer, x: Array, classes: Array,
             layer: layers.Layer | None = None) -> np.ndarray:
    r"""Where on the image a convolution found what speaks for a class [2]_.

    Each of the maps A (N, F, h, w) that a layer makes is weighted by how much the
    score rises with it, on average over the map; what speaks against the class is
    left out:

    .. math:: L_{nij} = \max\left(0, \sum_f \alpha_{nf} A_{nfij}\right),\quad
              \alpha_{nf} = \frac{1}{hw} \sum_{ij}
                            \frac{\partial s_{c_n}}{\partial A_{nfij}}

    Parameters
    ----------
    network : Layer
        Output shape (N, K). It runs as in prediction and is left as it is.
    x : array of float, shape (N, C, H, W)
        Preprocessed images.
    classes : sequence of N int
        Class whose score is explained, for each image: 0 … K-1.
    layer : Layer, optional
        The layer of the network whose maps are weighted; default :func:`last_maps`.

    Returns
    -------
    array, shape (N, H, W), dtype of x
        0..1, each image on its own scale, between the maps' points linearly. All 0
        where nothing speaks for the class.

    Raises
    ------
    SettingError
        If the network has no convolution, or ``layer`` is not in it or makes no maps.
    ShapeError
        If x is no batch of images, or ``classes`` not one class for each.

    Notes
    -----
    The way from the layer to the score is gone twice: once to get the maps, and once
    from them. What goes past the layer, like the shortcut of a residual block, is
    kept as it is, as a partial derivative wants it.

    References
    ----------
    .. [2] Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra (2017): Grad-CAM,
       arXiv:1610.02391, section 3.
    """
    cv2 = load_cv2()
    _check_images(x)
    if layer is None:
        layer = last_maps(network, x.shape)
    elif layer not in layers.get_all_layers(network) or len(layer.output_shape) != 4:
        raise SettingError(f"grad_cam: expected a layer of this network that makes "
                           f"maps (N, F, h, w), got {layer!r}.")
    source = _input_of(network)
    maps = layers.get_output(layer, {source: x}, deterministic=True)
    given = {source: x, layer: maps}
    gradient = to_host(_gradients(network, given, classes)[layer])
    weights = gradient.mean(axis=(2, 3), keepdims=True)
    cam = np.maximum(0, (weights * maps).sum(axis=1))
    cam = np.stack([cv2.resize(one, (x.shape[3], x.shape[2])) for one in cam])
    highest = cam.max(axis=(1, 2), keepdims=True)
    return cam / np.where(highest > 0, highest, 1)


def last_maps(network: layers.Layer, input_shape: Shape | None = None) -> layers.Layer:
    """The layer that :func:`grad_cam` looks at: the last whose output is maps.

    Parameters
    ----------
    network : Layer
    input_shape : tuple, optional
        (N, C, H, W) of the images, for networks that take any size.

    Returns
    -------
    Layer
        The last at the resolution of the last convolution whose output has more than
        one point: behind its batch norm, sum and nonlinearity, before the pooling.

    Raises
    ------
    SettingError
        If there is none.
    """
    order = layers.get_all_layers(network)
    shapes = layers.get_output_shape(order, input_shape)
    sizes = [shape[2:] if len(shape) == 4 else None for shape in shapes]
    convolved = [size for one, size in zip(order, sizes)
                 if isinstance(one, BaseConvLayer) and size not in (None, (1, 1))]
    if not convolved:
        raise SettingError(
            "grad_cam: expected a network with a convolution, whose maps show places, "
            f"got {len(order)} layers without. Use saliency().")
    return [one for one, size in zip(order, sizes) if size == convolved[-1]][-1]


def _input_of(network):
    sources = [one for one in layers.get_all_layers(network)
               if isinstance(one, layers.InputLayer)]
    if len(sources) != 1:
        raise SettingError(f"explain: expected a network with one input, got "
                           f"{len(sources)}.")
    return sources[0]


def _gradients(network, given, classes):
    """Gradients of each image's class score by the given layers: layer -> gradient."""
    scores, tape = layers.forward(network, given, deterministic=True, logits=True)
    wanted = np.zeros(scores.shape, scores.dtype)
    wanted[np.arange(len(wanted)), _check_classes(classes, scores.shape)] = 1
    return tape.backward(to_device(wanted, device_of(scores)), wrt_inputs=True,
                         params=[]).inputs


def _check_images(x):
    if np.ndim(x) != 4 or x.dtype.kind != "f" or not len(x):
        raise ShapeError(
            f"explain: expected preprocessed images, floats (N, C, H, W), got "
            f"{getattr(x, 'dtype', type(x).__name__)} {np.shape(x)}.")


def _check_classes(classes, shape):
    classes = np.asarray(classes)
    if len(shape) != 2 or classes.shape != shape[:1] or classes.dtype.kind not in "iu" \
            or not 0 <= classes.min() <= classes.max() < shape[1]:
        raise ShapeError(
            f"explain: expected a network of outputs (N, K) and for each of {shape[0]} "
            f"images a class, 0 … {shape[-1] - 1}; got outputs {shape} and classes "
            f"{classes.tolist()}.")
    return classes
