"""Where Lasagne has its layers: its modules have the names of ours, and other contents.

Scripts import from them, as in ``from lasagne.layers.shape import PadLayer``.

>>> from minifer.layers.shape import PadLayer
>>> PadLayer.__module__
'minifer.layers.border'
"""

from . import conv, dense, merge, normalization, pool, shape, special
from .border import PadLayer, SliceLayer, pad
from .conv_transposed import (Deconv2DLayer, Deconv3DLayer, TransposedConv2DLayer,
                              TransposedConv3DLayer)
from .cropping import autocrop, autocrop_array_shapes
from .expression import ExpressionLayer
from .feature_pool import FeaturePoolLayer, FeatureWTALayer
from .inverse import InverseLayer
from .nin import NINLayer
from .rectifiers import ParametricRectifierLayer, RandomizedRectifierLayer, prelu, rrelu
from .scaling import BiasLayer, ScaleLayer, standardize
from .spatial_pyramid import SpatialPyramidPoolingLayer
from .standardization import (LocalResponseNormalization2DLayer, StandardizationLayer,
                              instance_norm, layer_norm)
from .transformer import TPSTransformerLayer, TransformerLayer
from .upscale import Upscale1DLayer, Upscale2DLayer, Upscale3DLayer

__all__ = ["PLACES"]


def _named(*things):
    return {thing.__name__: thing for thing in things}


#: Module of Lasagne's -> what it has, and ours of that name has not.
PLACES = {
    conv: {"TransposedConv2DLayer": TransposedConv2DLayer,
           "TransposedConv3DLayer": TransposedConv3DLayer,
           "Deconv2DLayer": Deconv2DLayer, "Deconv3DLayer": Deconv3DLayer},
    dense: _named(NINLayer),
    merge: _named(autocrop, autocrop_array_shapes),
    normalization: _named(LocalResponseNormalization2DLayer, StandardizationLayer,
                          instance_norm, layer_norm),
    pool: _named(Upscale1DLayer, Upscale2DLayer, Upscale3DLayer, FeaturePoolLayer,
                 FeatureWTALayer, SpatialPyramidPoolingLayer),
    shape: _named(PadLayer, pad, SliceLayer),
    special: _named(BiasLayer, ScaleLayer, standardize, ExpressionLayer, InverseLayer,
                    TransformerLayer, TPSTransformerLayer, ParametricRectifierLayer,
                    prelu, RandomizedRectifierLayer, rrelu)}

for module, things in PLACES.items():
    for name, thing in things.items():
        setattr(module, name, thing)
