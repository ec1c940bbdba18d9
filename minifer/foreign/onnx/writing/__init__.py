"""A network as an ONNX graph.

``graph.py`` gathers nodes; ``network.py`` goes through the layers, each of which a
function writes that a table of its file names: ``convolutions.py``, ``pools.py``,
``shapes.py``, ``merging.py``, ``normalising.py``, ``nonlinear.py``, ``sampling.py``,
``recurrent.py``, and ``expressions.py``, ``named.py`` for functions of expressions;
``model.py`` puts preprocessing before it and writes the file.
"""

from .model import write_onnx

__all__ = ["write_onnx"]
