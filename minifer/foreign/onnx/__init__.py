"""ONNX, the format in which networks go from one library to another.

``writing/`` makes a graph of a network, ``reading/`` a network of a graph. The package
``onnx`` is an extra, ``pip install minifer[onnx]``; nothing is computed with it.
https://onnx.ai
"""

from .reading import read_onnx, read_onnx_model
from .writing import write_onnx

__all__ = ["read_onnx", "read_onnx_model", "write_onnx"]
