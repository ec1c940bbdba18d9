"""ONNX, the format in which networks go from one library to another.

``writing/`` makes a graph of a network. The package
``onnx`` is an extra, ``pip install minifer[onnx]``; nothing is computed with it.
https://onnx.ai
"""

from .writing import write_onnx

__all__ = ["write_onnx"]
