"""A network from an ONNX graph.

``files.py`` reads a file that is not trusted, ``graph.py`` goes through its nodes, each
of which a function reads that a table of its file names: ``arithmetic.py``,
``convolutions.py``, ``pools.py``, ``normalising.py``, ``shapes.py``, ``recurrent.py``.
"""

from .model import read_onnx, read_onnx_model

__all__ = ["read_onnx", "read_onnx_model"]
