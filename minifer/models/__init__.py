"""Networks of the seed systems, and of Lasagne's model zoo, a family a file."""

from .caffenet import caffenet, vgg_cnn_s
from .ck96 import ck96
from .densenet import densenet
from .fcn48 import FCN48_L2, fcn48, fcn48_dense, fcn48_penalty
from .googlenet import googlenet
from .inception import inception_v3
from .mini_xception import mini_xception
from .mlp import mlp
from .mobilenet import mobilenet_v2
from .nin import nin_cifar10
from .pretrained import PRETRAINED, pretrained
from .r_cnn import r1, r2
from .resnet import resnet, resnet18, resnet50, resnet101, resnet152
from .resnet_heads import (freeze_to_layer3, r_resnet50, r_resnet101, r_resnet152,
                           s_resnet50)
from .resnet_keras import (keras_resnet, keras_resnet50, keras_resnet101,
                           keras_resnet152)
from .resnet_lasagne import lasagne_resnet50
from .six_conv import six_conv
from .small_resnet import small_resnet
from .vgg import vgg16, vgg19
from .vgg_face_like import vgg_face_like

__all__ = [
    "ck96", "fcn48", "fcn48_dense", "fcn48_penalty", "FCN48_L2", "r1", "r2",
    "six_conv", "mlp", "resnet", "resnet18", "resnet50", "resnet101", "resnet152",
    "keras_resnet", "keras_resnet50", "keras_resnet101", "keras_resnet152",
    "s_resnet50", "r_resnet50", "r_resnet101", "r_resnet152", "freeze_to_layer3",
    "small_resnet", "PRETRAINED", "pretrained",
    "caffenet", "vgg_cnn_s", "densenet", "googlenet", "inception_v3", "nin_cifar10",
    "lasagne_resnet50", "vgg16", "vgg19", "mini_xception", "mobilenet_v2",
    "vgg_face_like"]
