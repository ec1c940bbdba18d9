"""The package ``onnx``, where it is installed, and what both ways share."""

import json

import numpy as np

from ...errors import BackendUnavailable

__all__ = ["CLASSES", "NOTES", "OPSET", "PREPROCESSING", "FORMAT", "GIVEN", "VERSION",
           "onnx_library", "PIXELS", "to_text"]

#: The operators' version that is written: the first with LayerNormalization and
#: GridSample, which other libraries know well by now.
OPSET = 17
#: The file format's version that belongs to it.
VERSION = 8

#: Under these names a file of ours says what it is.
FORMAT, CLASSES, PREPROCESSING, NOTES = (
    "minifer", "classes", "preprocessing", "notes")
#: What the input is: pixels 0…255, or numbers as preprocessing makes them.
GIVEN, PIXELS = "input", "pixels"


def onnx_library(what):
    """The package, or a BackendUnavailable that begins with ``what``."""
    try:
        import onnx
    except ImportError as error:
        raise BackendUnavailable(
            f"{what}: expected the package onnx, got none. Install it: pip install "
            "minifer[onnx].") from error
    return onnx


def to_text(value):
    """Plain data as JSON on one line; NumPy's numbers are plain, too."""
    def plain(one):
        if isinstance(one, (np.generic, np.ndarray)):
            return one.tolist()
        return str(one)

    return json.dumps(value, ensure_ascii=False, default=plain)
