"""A network's parameters under the names, and in the layout, of PyTorch or Keras.

The way back from :mod:`minifer.weights.foreign.parameters`: filters are mirrored where
minifer's layer computes a true convolution, dense weights change sides or rows, and a
batch norm's ``inv_std`` becomes the variance that gives it, 1 / inv_std² - epsilon.
"""

from __future__ import annotations

import numpy as np

from ... import layers
from ...errors import WeightsError
from ...layers import Layer
from ...layers.conv import BaseConvLayer
from ...layers.conv_transposed import TransposedConv2DLayer, TransposedConv3DLayer
from .parameters import _flattened_image

__all__ = ["torch_arrays", "keras_arrays", "arrays_of", "names_of", "LIBRARIES"]


def torch_arrays(network: Layer) -> dict[str, np.ndarray]:
    """A network's parameters as PyTorch has them, as a ``state_dict`` of arrays.

    Parameters
    ----------
    network : Layer
        It has convolutions, dense layers, :class:`~minifer.layers.NINLayer`, batch
        norms, learnt rectifiers and embeddings; other layers may have no parameters.

    Returns
    -------
    dict of str -> array
        ``"conv1.weight"``, ``"bn1.running_var"``, …: :func:`load_torch_params` takes
        them back. A layer without a name is called by its class and place.

    Raises
    ------
    WeightsError
        If a layer's parameters have no place in PyTorch.

    Examples
    --------
    >>> from minifer.layers import DenseLayer, InputLayer
    >>> network = DenseLayer(InputLayer((None, 3)), num_units=2, name="fc")
    >>> {name: array.shape for name, array in torch_arrays(network).items()}
    {'fc.weight': (2, 3), 'fc.bias': (2,)}
    """
    return _all(network, "torch")


def keras_arrays(network: Layer) -> dict[str, np.ndarray]:
    """A network's parameters as Keras has them, for images with channels last.

    Parameters
    ----------
    network : Layer
        As for :func:`torch_arrays`.

    Returns
    -------
    dict of str -> array
        ``"conv1/kernel"``, ``"bn1/moving_variance"``, …: :func:`load_keras_params`
        takes them back. ``/`` and ``.`` in a layer's name become ``_``:
        Keras takes no ``/``, and with PyTorch below it no ``.``.

    Raises
    ------
    WeightsError
        If a layer's parameters have no place in Keras.
    """
    return _all(network, "keras")


def names_of(network, library):
    """A name of its own for each layer, as a library allows it.

    Parameters
    ----------
    network : Layer
    library : {'torch', 'keras'}

    Returns
    -------
    dict of Layer -> str
    """
    names, taken = {}, set()
    for place, layer in enumerate(layers.get_all_layers(network)):
        kind = type(layer).__name__.removesuffix("Layer").lower()
        name = layer.name or f"{kind}_{place}"
        if library == "keras":
            name = name.replace("/", "_").replace(".", "_")
        if name in taken:
            name = f"{name}_{place}"
        taken.add(name)
        names[layer] = name
    return names


def arrays_of(layer, library):
    """The arrays of one layer, by the names that they have in it."""
    if not layer.params:
        return {}
    return {name: np.ascontiguousarray(array) for name, array
            in LIBRARIES[library][1](layer).items() if array is not None}


def _all(network, library):
    separator = LIBRARIES[library][0]
    found = {f"{name}{separator}{array}": value
             for layer, name in names_of(network, library).items()
             for array, value in arrays_of(layer, library).items()}
    for name, value in found.items():
        if not np.isfinite(value).all():
            raise WeightsError(f"export: expected finite numbers for {name!r}, got "
                               "others. The training that made them has failed.")
    return found


# --- PyTorch ------------------------------------------------------------------

def _torch(layer):
    match layer:
        case layers.BatchNormLayer():
            return _torch_norm(layer)
        case layers.DenseLayer():
            return {"weight": layer.W.get_value().T, "bias": _bias(layer)}
        case layers.NINLayer():
            W = layer.W.get_value().T
            ones = (1,) * (len(layer.input_shape) - 2)
            return {"weight": W.reshape(*W.shape, *ones), "bias": _bias(layer)}
        case layers.EmbeddingLayer():
            return {"weight": layer.W.get_value()}
        case layers.ParametricRectifierLayer() if _of_channels(layer):
            return {"weight": layer.alpha.get_value()}
    return {"weight": _filters(layer, "PyTorch"), "bias": _bias(layer)}


def _torch_norm(layer):
    """It always has all four, where it learns; ones and zeros change nothing."""
    mean, variance, gamma = _statistics(layer)
    return {"weight": np.ones_like(mean) if gamma is None else gamma,
            "bias": np.zeros_like(mean) if layer.beta is None
            else layer.beta.get_value(),
            "running_mean": mean, "running_var": variance,
            "num_batches_tracked": np.array(0, np.int64)}


# --- Keras --------------------------------------------------------------------

def _keras(layer):
    match layer:
        case layers.BatchNormLayer():
            mean, variance, gamma = _statistics(layer)
            found = {"gamma": gamma, "beta": _value(layer.beta),
                     "moving_mean": mean, "moving_variance": variance}
            order = None if len(layer.input_shape) > 2 else _order(layer)
            return found if order is None else {
                name: one if one is None else one[order] for name, one in found.items()}
        case layers.DenseLayer():
            W, order = layer.W.get_value(), _order(layer)
            return {"kernel": W if order is None else W[order], "bias": _bias(layer)}
        case layers.NINLayer():
            W = layer.W.get_value()
            ones = (1,) * (len(layer.input_shape) - 2)
            return {"kernel": W.reshape(*ones, *W.shape), "bias": _bias(layer)}
        case layers.EmbeddingLayer():
            return {"embeddings": layer.W.get_value()}
        case layers.ParametricRectifierLayer() if _of_channels(layer):
            # Of each place; its ``shared_axes`` make the others one long.
            ones = (1,) * (len(layer.input_shape) - 2)
            return {"alpha": layer.alpha.get_value().reshape(*ones, -1)}
    W = _filters(layer, "Keras")
    return {"kernel": W.transpose(*range(2, W.ndim), 1, 0), "bias": _bias(layer)}


def _order(layer):
    """Rows that count (C, H, W), in the order (H, W, C); None behind no image."""
    shape = _flattened_image("export", layer)
    if shape is None:
        return None
    C, H, W = shape
    return np.arange(C * H * W).reshape(C, H, W).transpose(1, 2, 0).ravel()


# --- both ---------------------------------------------------------------------

def _filters(layer, library):
    """Filters (F, C / groups, kh, kw) of a cross-correlation."""
    plain = isinstance(layer, BaseConvLayer) and not isinstance(
        layer, (TransposedConv2DLayer, TransposedConv3DLayer,
                layers.LocallyConnected2DLayer))
    if not plain or layer.untie_biases:
        raise WeightsError(
            "export: expected convolutions, dense layers, batch norms, learnt "
            f"rectifiers of a factor a channel, and embeddings, got {layer!r}, which "
            f"has no place in {library}. Export as ONNX, or carry it on by hand.")
    W = layer.W.get_value()
    if isinstance(layer, layers.DilatedConv2DLayer):
        W = W.swapaxes(0, 1)  # it has channels first
    axes = tuple(range(2, W.ndim))
    return np.flip(W, axes) if layer.flip_filters else W


def _value(param):
    return None if param is None else param.get_value()


def _bias(layer):
    if layer.b is not None and layer.b.value.ndim > 1:
        raise WeightsError(f"export: expected one bias a unit, got one for each place "
                           f"in {layer!r}. Export as ONNX.")
    return _value(layer.b)


def _of_channels(layer):
    """Whether a learnt rectifier has a factor for each channel."""
    return layer.shared_axes == (0, *range(2, len(layer.input_shape)))


def _statistics(layer):
    """Running mean; variance that gives 1 / √(variance + ε) = inv_std; and gamma.

    Where a channel never varied, rounding may have left more than 1 / √ε. No variance
    gives that: it is 0 then, and the rest is gamma's.
    """
    if layer.axes != (0, *range(2, len(layer.input_shape))):
        raise WeightsError("export: expected batch norm over all axes but the "
                           f"channels', got {layer!r} over {layer.axes}. Export as "
                           "ONNX.")
    inv_std, gamma = layer.inv_std.get_value(), _value(layer.gamma)
    with np.errstate(divide="ignore"):
        variance = 1 / np.square(inv_std, dtype=np.float64) - layer.epsilon
    if gamma is not None:
        gamma = np.where(variance < 0, gamma * inv_std * layer.epsilon ** .5,
                         gamma).astype(gamma.dtype)
    return (layer.mean.get_value(), np.maximum(variance, 0).astype(inv_std.dtype),
            gamma)


#: Library -> what stands between a layer's name and an array's, and the arrays.
LIBRARIES = {"torch": (".", _torch), "keras": ("/", _keras)}
