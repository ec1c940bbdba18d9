"""Networks of the seed systems, one constructor or family a file."""

from .ck96 import ck96
from .fcn48 import FCN48_L2, fcn48, fcn48_dense, fcn48_penalty
from .mlp import mlp
from .pretrained import PRETRAINED, pretrained
from .r_cnn import r1, r2
from .resnet import resnet, resnet18, resnet50, resnet101, resnet152
from .resnet_heads import (freeze_to_layer3, r_resnet50, r_resnet101, r_resnet152,
                           s_resnet50)
from .resnet_keras import (keras_resnet, keras_resnet50, keras_resnet101,
                           keras_resnet152)
from .six_conv import six_conv
from .small_resnet import small_resnet

__all__ = [
    "ck96", "fcn48", "fcn48_dense", "fcn48_penalty", "FCN48_L2", "r1", "r2",
    "six_conv", "mlp", "resnet", "resnet18", "resnet50", "resnet101", "resnet152",
    "keras_resnet", "keras_resnet50", "keras_resnet101", "keras_resnet152",
    "s_resnet50", "r_resnet50", "r_resnet101", "r_resnet152", "freeze_to_layer3",
    "small_resnet", "PRETRAINED", "pretrained"]
