"""Convolutions, products of matrices."""

from __future__ import annotations

import numpy as np

from ....layers import (BaseConvLayer, Conv1DLayer, Conv2DLayer, Conv3DLayer,
                        DenseLayer, DimshuffleLayer, Layer, SliceLayer,
                        TransposedConv2DLayer, TransposedConv3DLayer)
from ....layers.padding import same_sides

__all__ = ["TABLE", "sides"]

CONVOLUTIONS = {1: Conv1DLayer, 2: Conv2DLayer, 3: Conv3DLayer}
TRANSPOSED = {2: TransposedConv2DLayer, 3: TransposedConv3DLayer}


def sides(node, lengths, size, stride, dilation):
    """The padding before and behind each axis; or a rule of layers, where it depends on
    lengths that are not known."""
    n, rule = len(size), node.get("auto_pad", "NOTSET")
    if rule in ("NOTSET", "", "VALID"):
        flat = node.get("pads") or [0] * (2 * n)
        if len(flat) != 2 * n or min(flat) < 0:
            node.fail(f"{2 * n} numbers >= 0 as pads", str(flat))
        return list(zip(flat[:n], flat[n:])) if rule != "VALID" else [(0, 0)] * n
    if rule not in ("SAME_UPPER", "SAME_LOWER"):
        node.fail("SAME_UPPER or SAME_LOWER", rule)
    if None in lengths:
        return rule.lower()
    reach = [(k - 1) * d + 1 for k, d in zip(size, dilation)]
    return [same_sides(*axis, rule.lower()) for axis in zip(lengths, reach, stride)]


def options_of(node, size):
    """Strides, dilations, groups."""
    n = len(size)
    return (tuple(node.get("strides") or [1] * n),
            tuple(node.get("dilations") or [1] * n), node.get("group", 1))


def bias(graph, node, place, shape):
    """A bias, or None."""
    if not node.has(place):
        return None
    b = graph.weights(node, place)
    if b.shape != shape:
        node.fail(f"a bias {shape}", str(b.shape))
    return b


def convolution(graph, node):
    """A convolution."""
    x, W = graph.layer(node, 0), graph.weights(node, 1)
    size, n = W.shape[2:], W.ndim - 2
    if n not in CONVOLUTIONS or len(x.output_shape) != n + 2:
        node.fail("one to three axes behind the channels", f"W {W.shape} for an input "
                  f"{x.output_shape}")
    stride, dilation, groups = options_of(node, size)
    pads = sides(node, x.output_shape[2:], size, stride, dilation)
    b = bias(graph, node, 2, W.shape[:1])
    common = dict(W=W, b=b, nonlinearity=None, flip_filters=False, num_groups=groups,
                  name=graph.called(node))
    if W.shape[1] * groups != x.output_shape[1]:
        node.fail(f"{W.shape[1] * groups} channels, as W {W.shape} and {groups} groups "
                  "have it", str(x.output_shape[1]))
    if set(dilation) != {1}:
        return BaseConvLayer(x, len(W), size, stride, pads, dilation=dilation, n=n,
                             **common)
    return CONVOLUTIONS[n](x, len(W), size, stride, pads, **common)


def transposed(graph, node):
    """A transposed convolution, cropped."""
    x, W = graph.layer(node, 0), graph.weights(node, 1)
    size, n = W.shape[2:], W.ndim - 2
    stride, dilation, groups = options_of(node, size)
    if n not in (1, 2, 3) or len(x.output_shape) != n + 2 or set(dilation) != {1} or (
            None in x.output_shape[2:]):
        node.fail("images of a known size, one to three axes, no dilation",
                  f"W {W.shape}, an input {x.output_shape}, dilations {dilation}")
    more = node.get("output_padding") or [0] * n
    full = [(length - 1) * s + k + m for length, s, k, m
            in zip(x.output_shape[2:], stride, size, more)]
    rule, wanted = node.get("auto_pad", "NOTSET"), node.get("output_shape")
    if wanted is not None or rule in ("SAME_UPPER", "SAME_LOWER"):
        wanted = wanted or [length * s for length, s in zip(x.output_shape[2:], stride)]
        total = [have - want for have, want in zip(full, wanted[-n:])]
        if rule == "SAME_UPPER":
            crops = [(cut // 2, cut - cut // 2) for cut in total]
        else:
            crops = [(cut - cut // 2, cut // 2) for cut in total]
    else:
        crops = sides(node, x.output_shape[2:], size, stride, dilation)
    b = bias(graph, node, 2, (W.shape[1] * groups,))
    least = [length - m for length, m in zip(full, more)]
    # A side is cropped from what the filters fill; to its end ONNX may add zeros.
    beyond = [max(0, -last) for _, last in crops]
    if any(first < 0 for first, _ in crops) or any(
            m + extra >= s + (s == 1) and m + extra for m, extra, s
            in zip(more, beyond, stride)):
        node.fail("an output within what the filters fill", f"crops {crops}")
    size_all = tuple(a + m + extra for a, m, extra in zip(least, more, beyond))
    shuffled = n == 1
    if shuffled:  # a row of an image
        x = DimshuffleLayer(x, (0, 1, "x", 2))
        W, size, stride = W[:, :, None], (1, *size), (1, *stride)
        size_all = (1, *size_all)
    y: Layer = TRANSPOSED[max(2, n)](
        x, W.shape[1] * groups, size, stride, 0, W=W, b=b, nonlinearity=None,
        flip_filters=True, output_size=size_all, num_groups=groups,
        name=graph.called(node))
    y = DimshuffleLayer(y, (0, 1, 3)) if shuffled else y
    for axis, ((first, last), length) in enumerate(zip(crops, full), start=2):
        if first or last > 0:
            y = SliceLayer(y, slice(first, length - max(0, last)), axis)
    return y


def gemm(graph, node):
    """alpha A B + beta C, of rows that are a layer's and weights that are fixed."""
    A, B = graph.value(node, 0), graph.value(node, 1)
    alpha, beta = (node.get(name, 1.0) for name in ("alpha", "beta"))
    C = graph.value(node, 2) if node.has(2) else None
    if isinstance(B, Layer) or not isinstance(A, Layer) or isinstance(C, Layer) or (
            C is not None and C.ndim > 1 and C.shape[0] != 1):
        return general(graph, node, alpha, beta)
    x = graph.layer(node, 0)
    if node.get("transA", 0):
        x = graph.shuffled(node, x, (1, 0))
    W = graph.weights(node, 1)
    W = (W.T if node.get("transB", 0) else W) * W.dtype.type(alpha)
    b = None
    if C is not None:
        b = np.broadcast_to(graph.weights(node, 2).reshape(-1), W.shape[1:])
        b = b * b.dtype.type(beta)
    if len(x.output_shape) != 2 or x.output_shape[1] != len(W):
        node.fail(f"rows of {len(W)} numbers", str(x.output_shape))
    return DenseLayer(x, W.shape[1], W, b, None, name=graph.called(node))


def general(graph, node, alpha, beta):
    """The same of anything."""
    A, B = (graph.layer(node, place) for place in (0, 1))
    A = graph.shuffled(node, A, (1, 0)) if node.get("transA", 0) else A
    B = graph.shuffled(node, B, (1, 0)) if node.get("transB", 0) else B
    y = graph.function(node, "matmul", [A, B])
    if alpha != 1:
        y = graph.function(node, "multiply", [y, graph.fixed(None, np.float32(alpha))])
    if not node.has(2):
        return y
    C = graph.layer(node, 2)
    if beta != 1:
        C = graph.function(node, "multiply", [C, graph.fixed(None, np.float32(beta))])
    return graph.function(node, "add", [y, C])


def product(graph, node):
    """A product of matrices: a dense layer where one is fixed."""
    a, b = graph.value(node, 0), graph.value(node, 1)
    if isinstance(a, Layer) and not isinstance(b, Layer) and b.ndim == 2 and (
            len(a.output_shape) > 1 and node.inputs[1] in graph.learnt):
        x = graph.layer(node, 0)
        if x.output_shape[-1] != len(b):
            node.fail(f"rows of {len(b)} numbers", str(x.output_shape))
        return DenseLayer(x, b.shape[1], graph.weights(node, 1), None, None,
                          num_leading_axes=len(x.output_shape) - 1,
                          name=graph.called(node))
    if not isinstance(a, Layer) and not isinstance(b, Layer):
        return np.matmul(a, b)
    return graph.function(node, "matmul", [graph.layer(node, 0), graph.layer(node, 1)])


TABLE = {"Conv": convolution, "ConvTranspose": transposed, "Gemm": gemm,
         "MatMul": product}
