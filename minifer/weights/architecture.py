"""A network's architecture as plain data, and back.

Layers keep their options under the names of their constructor's arguments, so
the constructor's signature says what to store. Values of parameters are not
part of it: see :mod:`minifer.weights`.
"""

import functools
import inspect
import math

import numpy as np

from .. import nonlinearities
from ..errors import WeightsError, one_line
from ..layers.base import Layer
from ..layers.helper import get_all_layers, get_all_params
from ..layers.pairs import name_of
from ..layers.param import DerivedParam, Param, create_param
from ..layers.recurrent import Gate

__all__ = ["to_dict", "from_dict"]

#: 1 GB of float32. The largest of ResNet-152 at 224×224 has 0.8 million.
LARGEST_OUTPUT = 1 << 28

#: Options that files of earlier versions do not have, with what is meant there. Where
#: that is meant it is not stored today, either: a network keeps its description.
LATER = {"cropping": None, "num_groups": 1, "num_leading_axes": 1, "reset_after": True,
         "b_hid": None}


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
    builder = _Builder(custom_layers or {}, room)
    try:
        return builder.network(description)
    except WeightsError:
        raise
    except Exception as error:  # constructors meet options of any kind
        raise WeightsError(
            f"model: the architecture entry cannot be built ({one_line(error)}). The "
            "file is damaged or was written by another version.") from error


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
        value = layer.option(option)
        if option not in LATER or value != LATER[option]:
            entry[option] = _value(value, option, layer, params)
    return entry


def _value(value, option, layer, params):
    """An option as plain data."""
    if isinstance(value, DerivedParam):
        raise WeightsError(
            f"model: expected parameters with values of their own in {layer!r}, got "
            f"{option}, an expression of others. Keep the values alone: "
            "np.savez(path, *get_all_param_values(network)).")
    if isinstance(value, Param):
        return {"param": params.index(value)}
    if isinstance(value, nonlinearities.Nonlinearity):
        return {"nonlinearity": value.name, **value.options}
    if isinstance(value, Gate):
        return {"gate": {part: _value(one, part, layer, params)
                         for part, one in vars(value).items()}}
    if isinstance(value, Layer):
        if value in layer.incomings:
            return {"incoming": layer.incomings.index(value)}
        order = get_all_layers(value)
        return {"layers": [_describe(one, order, params) for one in order]}
    if option == "nonlinearity":
        raise WeightsError(
            f"model: expected a nonlinearity of minifer in {layer!r}, got "
            f"{value!r}. One of your own cannot be stored: put it into a layer "
            "class and load with custom_layers.")
    if isinstance(value, slice):
        return {"slice": [None if n is None else int(n)
                          for n in (value.start, value.stop, value.step)]}
    name = name_of(value)
    if name is None and not _is_plain(value):
        raise WeightsError(
            f"model: expected options of plain data in {layer!r}, got {option}="
            f"{one_line(repr(value))}. A function of your own cannot be stored: put it "
            "into a layer class and load with custom_layers.")
    return value if name is None else name


def _is_plain(value):
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return isinstance(value, (str, bool, int, float, type(None)))


class _Builder:
    """Builds networks, and the layers inside layers, of parameters that are 0.

    Parameters
    ----------
    custom_layers : dict of str -> class
    room : int
        How many numbers all parameters may have together.
    """

    def __init__(self, custom_layers, room):
        self.custom_layers, self.room, self.params = custom_layers, room, {}

    def network(self, description):
        """The output layer of what was described."""
        built = []
        for entry in description["layers"]:
            built.append(self.layer(entry, built))
            _check_size(built[-1])
        return built[-1]

    def layer(self, entry, built):
        """One layer, on those that have been built."""
        cls = self.class_of(entry["type"])
        if not isinstance(entry["name"], (str, type(None))):
            raise WeightsError("model: expected text as a layer's name, got "
                               f"{one_line(repr(entry['name']))}. The file is damaged.")
        below = [built[place] for place in entry["incoming"]]
        options = {}
        for option in _options(cls):
            if option in entry:
                options[option] = self.value(entry[option], below)
            elif option not in LATER:
                name = cls.__name__
                raise WeightsError(
                    f"model: the architecture entry cannot be built (a {name} without "
                    f"{option!r}). The file is damaged or was written by another "
                    "version. Pass the class if it is yours: custom_layers="
                    f"{{'{name}': {name}}}.")
        arguments = inspect.signature(cls.__init__).parameters
        if "incomings" in arguments:
            options["incomings"] = below
        elif below:
            options["incoming"] = below[0]
        return cls(**options, name=entry["name"])

    def class_of(self, name):
        """A layer class, by the name that a file gives it."""
        from .. import layers
        cls = self.custom_layers.get(name) or (
            getattr(layers, name) if name in layers.__all__ else None)
        if cls is None:
            name = one_line(name)
            raise WeightsError(
                f"model: expected layers of minifer, got '{name}'. Pass your "
                f"class: custom_layers={{'{name}': {name}}}.")
        return cls

    def value(self, value, below):
        """The way back from :func:`_value`."""
        if isinstance(value, list):
            return tuple(value)
        if not isinstance(value, dict):
            return value
        if "param" in value:
            return functools.partial(self.param, value["param"])
        if "slice" in value:
            return slice(*value["slice"])
        if "gate" in value:
            return Gate(**{part: self.value(one, below)
                           for part, one in value["gate"].items()})
        if "incoming" in value:
            return below[value["incoming"]]
        if "layers" in value:
            return self.network(value)
        return _nonlinearity(value)

    def param(self, place, shape):
        """The parameter of a place, an initialiser's value: made when first asked."""
        if place not in self.params:
            self.room -= math.prod(shape)
            if self.room < 0:
                raise WeightsError(
                    f"model: the architecture wants a parameter of shape {shape}, more "
                    "numbers than the file has. It is damaged.")
            self.params[place] = create_param(np.zeros(shape, np.float32), shape)
        return self.params[place]


def _options(cls):
    """Constructor arguments to store."""
    skipped = ("self", "incoming", "incomings", "name", "rng", "input_var",
               "convolution")
    return [n for n, one in inspect.signature(cls.__init__).parameters.items()
            if n not in skipped and one.kind is not one.VAR_KEYWORD]


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
