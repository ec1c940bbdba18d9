"""A network from an ONNX file, and a model from one that minifer wrote."""

from __future__ import annotations

import os
from typing import Any

from ...._types import FilePath
from ....errors import WeightsError
from ....files import naming, parse_json
from ....layers import InputLayer, Layer
from ....weights import Model
from ..library import CLASSES, FORMAT, GIVEN, NOTES, PIXELS, PREPROCESSING
from .files import Tensors, read_proto
from .graph import Graph
from .tables import TABLE

__all__ = ["read_onnx", "read_onnx_model", "network_of"]


def read_onnx(path: FilePath) -> Any:
    """Build a network of minifer's layers from an ONNX graph, with its weights.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Layer, or list of Layer
        The output layer, or all of them where there are several. Weights are parameters
        that training changes; numbers that stand in the graph itself stay.

    Raises
    ------
    WeightsError
        If the file is missing or damaged, names numbers outside of its folder, has an
        operator that minifer has not (the first is named, with its node), or uses one
        in a way in which minifer's layers cannot.
    BackendUnavailable
        If the package onnx is not installed.

    Notes
    -----
    Convolutions do not turn their filters (``flip_filters=False``). Dropout is there
    again for training, and batch norm goes on with its averages.
    """
    proto = read_proto(path)
    with naming(path):
        return network_of(proto, os.path.dirname(os.fspath(path)) or ".")


def network_of(proto: Any, folder: str | None = None) -> Any:
    """The same from a ``ModelProto``; ``folder`` is where other files may lie."""
    if proto.functions:
        raise WeightsError("expected operators of ONNX, got functions of the file's "
                           "own.")
    graph = Graph(proto, Tensors(folder), TABLE)
    found = []
    for one in proto.graph.output:
        value = graph.values.get(one.name)
        if not isinstance(value, Layer):
            what = "nothing" if value is None else "numbers that are fixed"
            raise WeightsError(f"output {one.name!r}: expected what the network "
                               f"computes, got {what}.")
        kind = one.type.tensor_type.elem_type
        floating = (graph.onnx.TensorProto.FLOAT, graph.onnx.TensorProto.DOUBLE,
                    graph.onnx.TensorProto.FLOAT16, graph.onnx.TensorProto.UNDEFINED)
        if kind not in floating and (one.name not in graph.places | graph.truths
                                     or isinstance(value, InputLayer)):
            raise WeightsError(f"output {one.name!r}: expected floating-point numbers, "
                               "with which layers compute, got another type.")
        found.append(value)
    if not found:
        raise WeightsError("expected a graph with an output, got none.")
    return found[0] if len(found) == 1 else found


def read_onnx_model(path: FilePath) -> Model:
    """Read a model that :func:`write_onnx` wrote, with classes and preprocessing.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Model
        It is ready to predict, or to be trained on.

    Raises
    ------
    WeightsError
        As for :func:`read_onnx`, and if the file does not say what its outputs are, or
        has its preprocessing inside.
    """
    proto = read_proto(path)
    with naming(path):
        said = {one.key: one.value for one in proto.metadata_props}
        if FORMAT not in said or CLASSES not in said:
            raise WeightsError("expected a model that minifer wrote, which names its "
                               "classes, got another. Use read_onnx, and make a "
                               "Model of the network.")
        if said.get(GIVEN) == PIXELS:
            raise WeightsError("expected a network that takes numbers, got one with "
                               "its preprocessing inside. Export it without.")
        try:
            classes, steps, notes = (parse_json(said.get(key, "{}")) for key
                                     in (CLASSES, PREPROCESSING, NOTES))
        except (ValueError, RecursionError) as error:
            raise WeightsError("expected JSON as what the file says of itself, got "
                               "something else. It is damaged.") from error
        if not isinstance(classes, list) or not isinstance(steps, dict) or (
                not isinstance(notes, dict)):
            raise WeightsError("expected classes, preprocessing and notes, got others. "
                               "The file is damaged.")
        network = network_of(proto, os.path.dirname(os.fspath(path)) or ".")
    return Model(network, tuple(classes), steps, notes)
