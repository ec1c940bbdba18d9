"""Ops of functions that are known by name, and of no others."""

from __future__ import annotations

import numpy as np

from ....expressions import named
from ....ops import activation, products
from .graph import NoForm

__all__ = ["TABLE"]


def softmax(graph, node, x):
    """Along any axis."""
    return graph.add("Softmax", x, axis=int((*node.constants, 1)[0]))


def log_softmax(graph, node, x):
    """Its logarithm."""
    return graph.add("LogSoftmax", x, axis=int((*node.constants, 1)[0]))


def matmul(graph, node, a, b):
    """The product of matrices."""
    return graph.add("MatMul", a, b)


def hardmax(graph, node, x):
    """1 at the first of the largest."""
    return graph.add("Hardmax", x, axis=node.constants[0])


def argument(graph, node, x):
    """The place of an extreme, as a float."""
    name, axis, keepdims, last = node.constants
    at = graph.add("ArgMax" if name == "max" else "ArgMin", x, axis=axis,
                   keepdims=int(keepdims), select_last_index=int(last))
    return graph.add("Cast", at, to=graph.onnx.TensorProto.FLOAT)


def reshape(graph, node, x):
    """Another shape, by ONNX's own rules."""
    return graph.add("Reshape", x, [int(n) for n in node.constants[0]])


def expand(graph, node, x, nothing):
    """Stretched to a shape."""
    return graph.add("Expand", x, [int(n) for n in node.constants[0]])


def pad(graph, node, x):
    """A border."""
    widths, mode, value = node.constants
    if mode == "wrap":
        raise NoForm("a border of one value, of what is near, or mirrored")
    sides = [first for first, _ in widths] + [last for _, last in widths]
    constant = [np.float32(value)] if mode == "constant" else []
    return graph.add("Pad", x, sides, *constant, mode=mode)


def label_loss(graph, node, log_p, labels, *weights):
    """The loss of each place."""
    labels = graph.add("Cast", labels, to=graph.onnx.TensorProto.INT64)
    return graph.add("NegativeLogLikelihoodLoss", log_p, labels, *weights,
                     reduction="none", ignore_index=node.constants[0])


#: Op -> ``write(graph, node, *values)``.
TABLE = {activation.softmax_forward: softmax,
         activation.softmax_along_forward: softmax,
         activation.log_softmax_forward: log_softmax, products.matmul_forward: matmul,
         named._hardmax: hardmax, named._argument: argument, named._reshape: reshape,
         named._expand: expand, named._pad: pad, named._label_loss: label_loss}
