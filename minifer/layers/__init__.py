"""Layers, under Lasagne's names.

>>> from minifer.layers import InputLayer, DenseLayer, count_params
>>> network = InputLayer((None, 1, 28, 28))
>>> network = DenseLayer(network, num_units=10)
>>> network.output_shape, count_params(network)
((None, 10), 7850)
"""

from .base import Layer, MergeLayer
from .border import PadLayer, SliceLayer, pad
from .conv import (BaseConvLayer, Conv1DLayer, Conv2DLayer, Conv3DLayer,
                   DilatedConv2DLayer)
from .conv_transposed import (Deconv2DLayer, Deconv3DLayer, TransposedConv2DLayer,
                              TransposedConv3DLayer)
from .cropping import autocrop, autocrop_array_shapes
from .dense import DenseLayer
from .embedding import EmbeddingLayer
from .expression import ExpressionLayer
from .feature_pool import FeaturePoolLayer, FeatureWTALayer
from .function import FunctionLayer, ParamLayer
from .helper import (count_params, forward, freeze, get_all_layers,
                     get_all_param_values, get_all_params, get_output,
                     get_output_shape, move_to, seed_noise, set_all_param_values,
                     sharing)
from .input import InputLayer
from .inverse import InverseLayer
from .local import LocallyConnected2DLayer
from .merge import ConcatLayer, ElemwiseMergeLayer, ElemwiseSumLayer, concat
from .nin import NINLayer
from .noise import (DropoutLayer, GaussianNoiseLayer, dropout, dropout_channels,
                    dropout_locations, spatial_dropout)
from .normalization import BatchNormLayer, FrozenBatchNormLayer, batch_norm
from .places import PLACES as _PLACES  # noqa: F401
from .pool import (GlobalPoolLayer, MaxPool1DLayer, MaxPool2DLayer, MaxPool3DLayer,
                   Pool1DLayer, Pool2DLayer, Pool3DLayer)
from .rectifiers import ParametricRectifierLayer, RandomizedRectifierLayer, prelu, rrelu
from .recurrent import CustomRecurrentLayer, GRULayer, Gate, LSTMLayer, RecurrentLayer
from .scaling import BiasLayer, ScaleLayer, standardize
from .shape import (DimshuffleLayer, FlattenLayer, ReshapeLayer, dimshuffle, flatten,
                    reshape)
from .spatial_pyramid import SpatialPyramidPoolingLayer
from .special import NonlinearityLayer
from .standardization import (LocalResponseNormalization2DLayer, StandardizationLayer,
                              instance_norm, layer_norm)
from .summaries import Summary, summary
from .transformer import TPSTransformerLayer, TransformerLayer
from .upscale import Upscale1DLayer, Upscale2DLayer, Upscale3DLayer

__all__ = [
    "Layer", "MergeLayer", "InputLayer", "DenseLayer", "BaseConvLayer",
    "Conv1DLayer", "Conv2DLayer", "Conv3DLayer", "TransposedConv2DLayer",
    "Deconv2DLayer", "TransposedConv3DLayer", "Deconv3DLayer", "DilatedConv2DLayer",
    "LocallyConnected2DLayer", "NINLayer",
    "Pool1DLayer", "Pool2DLayer", "Pool3DLayer", "MaxPool1DLayer", "MaxPool2DLayer",
    "MaxPool3DLayer", "Upscale1DLayer", "Upscale2DLayer", "Upscale3DLayer",
    "FeaturePoolLayer", "FeatureWTALayer", "SpatialPyramidPoolingLayer",
    "GlobalPoolLayer", "DropoutLayer", "dropout",
    "BatchNormLayer", "FrozenBatchNormLayer", "batch_norm", "NonlinearityLayer",
    "FlattenLayer", "flatten", "ReshapeLayer", "reshape", "DimshuffleLayer",
    "dimshuffle", "PadLayer", "pad", "SliceLayer", "ConcatLayer", "concat",
    "ElemwiseMergeLayer", "ElemwiseSumLayer", "autocrop", "autocrop_array_shapes",
    "dropout_channels", "spatial_dropout",
    "dropout_locations", "GaussianNoiseLayer", "BiasLayer", "ScaleLayer", "standardize",
    "ParametricRectifierLayer", "prelu", "RandomizedRectifierLayer", "rrelu",
    "LocalResponseNormalization2DLayer", "StandardizationLayer", "instance_norm",
    "layer_norm", "TransformerLayer", "TPSTransformerLayer",
    "ExpressionLayer", "InverseLayer", "EmbeddingLayer", "FunctionLayer", "ParamLayer",
    "CustomRecurrentLayer", "RecurrentLayer", "Gate", "LSTMLayer", "GRULayer",
    "forward", "get_output", "get_output_shape", "get_all_layers",
    "get_all_params", "count_params", "get_all_param_values", "set_all_param_values",
    "freeze", "seed_noise", "sharing", "move_to", "Summary", "summary"]
