"""Weights of PyTorch and Keras, read and written without them.

First the file, then the network::

    network = minifer.models.s_resnet50()
    arrays = read_torch("resnet50.pth")
    load_torch_params(arrays, network, skip=("fc",))

Files are not trusted: no reader executes anything, and none believes a header that
the file's own size contradicts.
"""

from .blueprint import blueprint
from .keras_files import read_keras
from .lasagne_files import read_lasagne
from .outgoing import keras_arrays, torch_arrays
from .parameters import load_keras_params, load_torch_params
from .safetensors_files import read_safetensors
from .torch_files import read_torch
from .writers import write_keras, write_safetensors

__all__ = ["read_torch", "read_safetensors", "read_keras", "read_lasagne",
           "load_torch_params", "load_keras_params", "torch_arrays", "keras_arrays",
           "write_safetensors", "write_keras", "blueprint"]
