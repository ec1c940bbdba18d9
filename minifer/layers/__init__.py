"""Layers, under Lasagne's names.

>>> from minifer.layers import InputLayer, DenseLayer, count_params
>>> network = InputLayer((None, 1, 28, 28))
>>> network = DenseLayer(network, num_units=10)
>>> network.output_shape, count_params(network)
((None, 10), 7850)
"""

from .base import Layer, MergeLayer
from .conv import Conv2DLayer
from .dense import DenseLayer
from .embedding import EmbeddingLayer
from .helper import (count_params, forward, freeze, get_all_layers,
                     get_all_param_values, get_all_params, get_output,
                     get_output_shape, move_to, seed_noise, set_all_param_values,
                     sharing)
from .input import InputLayer
from .merge import ConcatLayer, ElemwiseSumLayer, concat
from .noise import DropoutLayer, dropout
from .normalization import BatchNormLayer, FrozenBatchNormLayer, batch_norm
from .pool import GlobalPoolLayer, MaxPool2DLayer, Pool2DLayer
from .recurrent import (CustomRecurrentLayer, Gate, GRULayer, LSTMLayer,
                        RecurrentLayer)
from .shape import FlattenLayer, ReshapeLayer, flatten, reshape
from .special import NonlinearityLayer

__all__ = [
    "Layer", "MergeLayer", "InputLayer", "DenseLayer", "Conv2DLayer",
    "Pool2DLayer", "MaxPool2DLayer", "GlobalPoolLayer", "DropoutLayer", "dropout",
    "BatchNormLayer", "FrozenBatchNormLayer", "batch_norm", "NonlinearityLayer",
    "FlattenLayer", "flatten", "ReshapeLayer", "reshape", "ConcatLayer", "concat",
    "ElemwiseSumLayer", "EmbeddingLayer",
    "CustomRecurrentLayer", "RecurrentLayer", "Gate", "LSTMLayer", "GRULayer",
    "forward", "get_output", "get_output_shape", "get_all_layers", "get_all_params",
    "count_params", "get_all_param_values", "set_all_param_values", "freeze",
    "seed_noise", "sharing", "move_to"]
