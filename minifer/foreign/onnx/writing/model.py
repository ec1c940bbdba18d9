"""A model as an ONNX file: its network, what was done to pixels, and what it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...._types import FilePath
from ...._version import __version__
from ....errors import SettingError, one_line
from ....faces.preprocessing import ColourPreprocessing, Preprocessing, resampling
from ....files import write_bytes
from ....layers.base import Layer, Layers
from ....weights import Model
from ..library import (CLASSES, FORMAT, GIVEN, NOTES, OPSET, PIXELS, PREPROCESSING,
                       VERSION, onnx_library, to_text)
from .graph import Graph
from .network import write_network

__all__ = ["write_onnx", "to_onnx"]

#: Protocol buffers, as which ONNX files are written, hold no more.
LARGEST = (1 << 31) - 1


def write_onnx(path: FilePath, model: Model | Layers, preprocessing: bool = False
               ) -> None:
    """Write a network as an ONNX file, whole or not at all.

    Parameters
    ----------
    path : str or path-like
    model : Model, Layer or list of Layer
        A model, or a network without classes by its output layer or layers.
    preprocessing : bool, default False
        Put what a model does to pixels before its network. The file then takes
        crops as they are, uint8 (N, 1, S, S), 0…255, in the place of numbers.

    Raises
    ------
    SettingError
        If a layer has no form in ONNX, which is named, or there is no preprocessing.
    BackendUnavailable
        If the package onnx is not installed.
    OutputError
        If the file cannot be written.

    Notes
    -----
    Operators are those of version 17 (``opset``), the file's format is 8. The network
    is written as it predicts: batch norm by its running averages, no dropout. The
    batch may be of any size, and so may each axis that is None in the InputLayer.
    Classes, preprocessing and notes stand in the file's metadata, as JSON, and
    :func:`read_onnx_model` reads them back.
    """
    proto = to_onnx(model, preprocessing)
    if proto.ByteSize() > LARGEST:
        raise SettingError(f"{path}: expected a network of at most 2 GB, which is what "
                           f"an ONNX file holds, got {proto.ByteSize():,} bytes.")
    write_bytes(path, proto.SerializeToString())


def to_onnx(model: Model | Layers, preprocessing: bool = False) -> Any:
    """The same as ONNX's ``ModelProto``, checked, in memory."""
    onnx = onnx_library("write_onnx")
    plain = not isinstance(model, Model)
    network: Any = model if not isinstance(model, Model) else model.network
    outputs = [network] if isinstance(network, Layer) else list(network)
    graph = Graph()
    pixels = {}
    if preprocessing:
        if not isinstance(model, Model) or not model.preprocessing:
            raise SettingError("preprocessing: expected a model that says how its "
                               "images were prepared, got a network alone.")
        pixels = _prepared(graph, model, outputs)
    found, sources = write_network(graph, outputs, {
        layer: name for layer, (name, _) in pixels.items()})
    names = []
    for layer, name in zip(outputs, found):
        wish = "output" if plain or len(outputs) > 1 else "saturations"
        names.append(graph.add("Identity", name, wish=wish))
    inputs = [graph.value(name, layer.shape) for layer, name in sources.items()]
    inputs += [info for _, info in pixels.values()]
    made = graph.finish("minifer", inputs, [
        graph.value(name, layer.output_shape) for name, layer in zip(names, outputs)])
    proto = onnx.helper.make_model(
        made, producer_name="minifer", producer_version=__version__,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=VERSION)
    said = {FORMAT: __version__, GIVEN: PIXELS if preprocessing else "numbers"}
    if isinstance(model, Model):
        said |= {CLASSES: to_text(list(model.classes)), NOTES: to_text(model.notes),
                 PREPROCESSING: to_text(model.preprocessing)}
    onnx.helper.set_model_props(proto, said)
    if proto.ByteSize() <= LARGEST:
        try:
            onnx.checker.check_model(proto, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError
                ) as error:
            raise SettingError("write_onnx: expected a graph that ONNX finds right, "
                               f"got one it does not: {one_line(error)}.") from error
    return proto


def _prepared(graph, model, outputs):
    """The input layer -> what stands in its place, and the description of pixels."""
    from ....layers import InputLayer, get_all_layers

    sources = [one for one in get_all_layers(outputs) if isinstance(one, InputLayer)]
    if len(sources) != 1:
        raise SettingError("preprocessing: expected a network with one input, got "
                           f"{len(sources)}.")
    steps = Preprocessing.from_dict(model.preprocessing)
    side = steps.crop.size
    name = graph.name("pixels")
    x = graph.add("Cast", name, to=graph.onnx.TensorProto.FLOAT)
    scale, shift = (np.asarray(one, np.float32) for one in (steps.scale, steps.shift))
    if isinstance(steps, ColourPreprocessing):
        R = np.asarray(resampling(side, steps.size, "cpu"))
        x = graph.add("MatMul", graph.add("MatMul", R, x), R.T)
        scale, shift = scale[:, None, None], shift[:, None, None]
    x = graph.add("Add", graph.add("Mul", x, scale), shift)
    return {sources[0]: (x, graph.value(name, (None, 1, side, side), "UINT8"))}
