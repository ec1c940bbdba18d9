"""Networks and weights that come from other libraries, and go to them.

``onnx/`` writes a network as an ONNX graph, and builds one from a graph of others;
the readers of weights alone are those of :mod:`minifer.weights.foreign`, all in one
place::

    network = read_onnx("model.onnx")
    write_onnx("model.onnx", load_model("model.npz"))
"""

from ..weights.foreign import (load_keras_params, load_torch_params, read_keras,
                               read_lasagne, read_safetensors, read_torch)
from .onnx import read_onnx, read_onnx_model, write_onnx

__all__ = ["read_onnx", "read_onnx_model", "write_onnx", "read_torch",
           "read_safetensors", "read_keras", "read_lasagne", "load_torch_params",
           "load_keras_params"]
