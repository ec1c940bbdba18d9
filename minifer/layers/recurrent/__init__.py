"""Recurrent layers: sequences (N, T, ...), step after step.

>>> from minifer.layers import DenseLayer, InputLayer, LSTMLayer
>>> words = InputLayer((None, None, 10))  # batch and length may vary
>>> network = LSTMLayer(words, num_units=12)
>>> network = DenseLayer(network, num_units=5, num_leading_axes=2)
>>> network.output_shape
(None, None, 5)
"""

from .custom import CustomRecurrentLayer, RecurrentLayer
from .gate import Gate
from .gru import GRULayer
from .lstm import LSTMLayer

__all__ = ["CustomRecurrentLayer", "RecurrentLayer", "Gate", "LSTMLayer", "GRULayer"]
