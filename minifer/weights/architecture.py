"""A network's architecture as plain data, and back.

Layers keep their options under the names of their constructor's arguments, so
the constructor's signature says what to store. Values of parameters are not
part of it: see :mod:`minifer.weights`.
"""

import inspect
import math

import numpy as np

from .. import nonlinearities
from ..errors import WeightsError, one_line
from ..layers.base import MergeLayer
from ..layers.helper import get_all_layers, get_all_params
from ..layers.input import InputLayer
from ..layers.param import Param

__all__ = ["to_dict", "from_dict"]

#: 1 GB of float32. The largest of ResNet-152 at 224×224 has 0.8 million.
LARGEST_OUTPUT = 1 << 28

#: Options that files of earlier versions lack: the default is what they meant.
NEWER = {"num_leading_axes"}


def to_dict(network):
    """Describe a network in lists, dicts, numbers and strings (JSON-ready).

    Parameters
    ----------
    network : Layer
        The output layer.

    Returns
    -------
    dict
        ``{"layers": [{"type", "incoming": [places], options...}, ...]}``, each
        layer after its inputs. A parameter is stored as its place among all
        parameters, so that sharing survives; None where a layer has none.
    """
    order = get_all_layers(network)
    params = get_all_params(network)
    return {"layers": [_describe(layer, order, params) for layer in order]}


def from_dict(description, custom_layers=None, room=math.inf):
    """Build the network that :func:`to_dict` described; all parameters are 0.

    Parameters
    ----------
    description : dict
    custom_layers : dict of str -> class, optional
        Layer classes that are not minifer's own, by name.
    room : int, optional
        How many numbers all parameters may have together: so many as are known to be
        in the file. No more are allocated.

    Returns
    -------
    Layer
        The output layer.

    Raises
    ------
    WeightsError
        If the description names an unknown layer or does not fit together, or a
        layer's output is beyond all use.
    """
    from .. import layers
    built, params, zeros = [], {}, _Zeros(room)
    try:
        for entry in description["layers"]:
            name = entry["type"]
            cls = (custom_layers or {}).get(name) or (
                getattr(layers, name) if name in layers.__all__ else None)
            if cls is None:
                name = one_line(name)
                raise WeightsError(
                    f"model: expected layers of minifer, got '{name}'. Pass your "
                    f"class: custom_layers={{'{name}': {name}}}.")
            built.append(_build(cls, entry, built, params, zeros))
            _check_size(built[-1])
        return built[-1]
    except WeightsError:
        raise
    except Exception as error:  # constructors meet options of any kind
        raise WeightsError(
            f"model: the architecture entry cannot be built ({one_line(error)}). The "
            "file is damaged or was written by another version.") from error


class _Zeros:
    """An initialiser that allocates only so many numbers in all."""

    def __init__(self, room):
        self.room = room

    def __call__(self, shape):
        self.room -= math.prod(shape)
        if self.room < 0:
            raise WeightsError(
                f"model: the architecture wants a parameter of shape {shape}, more "
                "numbers than the file has. It is damaged.")
        return np.zeros(shape, np.float32)


def _check_size(layer):
    """No layer may make of one image more than memory holds."""
    shape = layer.output_shape
    size = math.prod(n for n in shape[1:] if n is not None)
    if size > LARGEST_OUTPUT:
        raise WeightsError(
            f"model: expected layers of at most {LARGEST_OUTPUT:,} numbers an image, "
            f"got {one_line(repr(layer))}. The file is damaged.")


def _describe(layer, order, params):
    entry = {"type": type(layer).__name__, "name": layer.name,
             "incoming": [order.index(i) for i in layer.incomings]}
    for option in _options(type(layer)):
        value = getattr(layer, option)
        if isinstance(value, Param):
            entry[option] = {"param": params.index(value)}
        elif isinstance(value, nonlinearities.Nonlinearity):
            entry[option] = {"nonlinearity": value.name, **value.options}
        elif option == "nonlinearity":
            raise WeightsError(
                f"model: expected a nonlinearity of minifer in {layer!r}, got "
                f"{value!r}. One of your own cannot be stored: put it into a layer "
                "class and load with custom_layers.")
        else:
            entry[option] = value
    return entry


def _build(cls, entry, built, params, zeros):
    if not isinstance(entry["name"], (str, type(None))):
        raise WeightsError("model: expected text as a layer's name, got "
                           f"{one_line(repr(entry['name']))}. The file is damaged.")
    options = {}
    for option in _options(cls):
        if option in NEWER and option not in entry:
            continue
        value = entry[option]
        if isinstance(value, dict) and "param" in value:
            options[option] = params.get(value["param"], zeros)
        elif isinstance(value, dict):
            options[option] = _nonlinearity(value)
        else:
            options[option] = tuple(value) if isinstance(value, list) else value
    if not issubclass(cls, InputLayer):
        below = [built[place] for place in entry["incoming"]]
        options["incomings" if issubclass(cls, MergeLayer) else "incoming"] = (
            below if issubclass(cls, MergeLayer) else below[0])
    layer = cls(**options, name=entry["name"])
    for option, value in entry.items():
        if isinstance(value, dict) and "param" in value:
            params[value["param"]] = getattr(layer, option)
    return layer


def _options(cls):
    """Constructor arguments to store."""
    skipped = ("self", "incoming", "incomings", "name", "rng", "input_var")
    return [n for n in inspect.signature(cls.__init__).parameters if n not in skipped]


def _nonlinearity(entry):
    options = dict(entry)
    name = options.pop("nonlinearity")
    if name == "identity":
        return nonlinearities.identity
    for known in vars(nonlinearities).values():  # keep the well-known objects
        if (isinstance(known, nonlinearities.Nonlinearity)
                and (known.name, known.options) == (name, options)):
            return known
    return nonlinearities.Nonlinearity(name, **options)
