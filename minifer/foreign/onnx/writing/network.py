"""Through the layers of a network, each by the function that a table has for it."""

from __future__ import annotations

from ....errors import ShapeError, one_line
from ....layers import InputLayer, MergeLayer, get_all_layers
from .graph import NoForm
from .tables import writer_of

__all__ = ["write_network", "write_layer"]


def write_network(graph, outputs, inputs=None):
    """Add the nodes of a network.

    Parameters
    ----------
    graph : Graph
    outputs : list of Layer
    inputs : dict of Layer -> str, optional
        Names of values that stand in the place of layers' outputs; InputLayers that
        are not there become inputs of their name.

    Returns
    -------
    found : list of str
        The names of the outputs.
    sources : dict of InputLayer -> str
        Those that became inputs.

    Raises
    ------
    NoForm
        If a layer has none in ONNX; its name is said.
    """
    values, sources = dict(inputs or {}), {}
    for layer in get_all_layers(outputs, treat_as_input=list(values)):
        if layer in values:
            continue
        if isinstance(layer, InputLayer):
            values[layer] = sources[layer] = graph.name(
                layer.name or ("input" if not sources else f"input{len(sources) + 1}"))
            continue
        below = layer.incomings
        if None in below:
            layer.fail("an incoming layer", "a shape only", "Put an InputLayer there.")
        given = [values[one] for one in below]
        values[layer] = write_layer(
            graph, layer, given if isinstance(layer, MergeLayer) else given[0])
    return [values[one] for one in outputs], sources


def write_layer(graph, layer, x):
    """The name of a layer's output; ``x`` is the name of its input, or a list."""
    write = writer_of(layer)
    if write is None:
        raise _named(f"{_called(layer)}: expected a layer that ONNX has a form for, "
                     f"got {type(layer).__name__}. Leave it out, or write it with "
                     "others or with expressions.")
    try:
        return write(graph, layer, x)
    except NoForm as error:
        if error.named:
            raise
        raise _named(f"{_called(layer)}: expected {one_line(error)}. ONNX has no form "
                     "for it: use another layer.") from error
    except ShapeError as error:
        raise _named(f"{_called(layer)}: {one_line(error)}") from error


def _named(text):
    error = NoForm(text)
    error.named = True
    return error


def _called(layer):
    name = f" '{layer.name}'" if layer.name else ""
    return f"{type(layer).__name__}{name}"
