"""A network's architecture as plain data, and back.

Layers keep their options under the names of their constructor's arguments, so
the constructor's signature says what to store. Values of parameters are not
part of it: see :mod:`minifer.weights`.
"""

import inspect

from .. import init, nonlinearities
from ..errors import MiniferError, WeightsError
from ..layers.base import MergeLayer
from ..layers.helper import get_all_layers, get_all_params
from ..layers.input import InputLayer
from ..layers.param import Param

__all__ = ["to_dict", "from_dict"]


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


def from_dict(description, custom_layers=None):
    """Build the network that :func:`to_dict` described; all parameters are 0.

    Parameters
    ----------
    description : dict
    custom_layers : dict of str -> class, optional
        Layer classes that are not minifer's own, by name.

    Returns
    -------
    Layer
        The output layer.

    Raises
    ------
    WeightsError
        If the description names an unknown layer or does not fit together.
    """
    from .. import layers
    built, params = [], {}
    try:
        for entry in description["layers"]:
            name = entry["type"]
            cls = (custom_layers or {}).get(name) or (
                getattr(layers, name) if name in layers.__all__ else None)
            if cls is None:
                raise WeightsError(
                    f"model: expected layers of minifer, got '{name}'. Pass your "
                    f"class: custom_layers={{'{name}': {name}}}.")
            built.append(_build(cls, entry, built, params))
        return built[-1]
    except WeightsError:
        raise
    except (MiniferError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(
            f"model: the architecture entry cannot be built ({error}). The file "
            "is damaged or was written by another version.") from error


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


def _build(cls, entry, built, params):
    options = {}
    for option in _options(cls):
        value = entry[option]
        if isinstance(value, dict) and "param" in value:
            options[option] = params.get(value["param"], init.Constant(0.0))
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
