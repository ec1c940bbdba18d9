"""Weights on disk: minifer's own model files, and those of other libraries.

``model_file.py`` reads and writes ``.npz`` files without pickle, ``architecture.py``
turns a network into plain data and back, ``foreign/`` reads PyTorch, safetensors and
Keras.
"""

from .model_file import (Model, load_model, load_params, read_arrays, save_model,
                         write_arrays)

__all__ = ["Model", "save_model", "load_model", "load_params", "read_arrays",
           "write_arrays"]
