"""Dense layers and convolutions."""

from __future__ import annotations

import math

import numpy as np

from ....layers import (Conv1DLayer, Conv2DLayer, Conv3DLayer, DenseLayer,
                        DilatedConv2DLayer, EmbeddingLayer, LocallyConnected2DLayer,
                        NINLayer, TransposedConv2DLayer, TransposedConv3DLayer)
from ....layers.conv import BaseConvLayer
from .graph import NoForm
from .nonlinear import activated

__all__ = ["LAYERS"]


def finished(graph, layer, z):
    """The layer's nonlinearity on its product."""
    return activated(graph, layer.nonlinearity, z, len(layer.output_shape), layer.name)


def dense(graph, layer, x):
    """x W + b, of rows or of all but the last axes."""
    before, leading = layer.input_shape, layer.num_leading_axes % len(
        layer.input_shape)
    D, ndim = len(layer.W.get_value()), leading + 1
    if len(before) > ndim:
        if leading == 1:
            x = graph.add("Flatten", x, axis=1)
        else:
            x = graph.reshape(x, before, (*before[:leading], D))
    W, b = graph.param(layer.W), None if layer.b is None else graph.param(layer.b)
    if leading == 1:
        z = graph.add("Gemm", x, W, *([] if b is None else [b]))
    else:
        if leading == 0:
            x = graph.reshape(x, before, (1, D))
        z = graph.add("MatMul", x, W)
        z = z if b is None else graph.add("Add", z, b)
        if leading == 0:
            z = graph.reshape(z, (1, layer.num_units), (layer.num_units,))
    return finished(graph, layer, z)


def turned(value, n):
    """Filters turned round along their last n axes."""
    return value[(...,) + (slice(None, None, -1),) * n]


def padded(layer):
    """ONNX's options of a layer's padding: a rule where lengths are not known."""
    if isinstance(layer.pad, str):
        return {"auto_pad": layer.pad.upper()}
    return {"pads": pads(layer)}


def pads(layer):
    """ONNX's list of a layer's padding: all beginnings, then all ends."""
    sides = [one if isinstance(one, (tuple, list)) else (one, one) for one in layer.pad]
    return [first for first, _ in sides] + [last for _, last in sides]


def biased(graph, layer, product, make):
    """A product with its bias, inside of the operator or behind it."""
    if layer.b is None:
        return make()
    if not layer.untie_biases:
        return make(graph.param(layer.b))
    return graph.add("Add", make(), graph.param(layer.b))


def convolution(graph, layer, x):
    """A convolution; ONNX's does not turn its filters."""
    swapped = isinstance(layer, DilatedConv2DLayer)

    def filters(value):
        value = value.swapaxes(0, 1) if swapped else value
        return turned(value, layer.n) if layer.flip_filters else value

    suffix = f".{'turned' if layer.flip_filters else ''}{'swapped' if swapped else ''}"
    W = graph.param(layer.W, filters, suffix.rstrip("."))

    def make(*b):
        return graph.add("Conv", x, W, *b, kernel_shape=layer.filter_size,
                         strides=layer.stride, dilations=layer.dilation,
                         group=layer.num_groups, **padded(layer))

    return finished(graph, layer, biased(graph, layer, x, make))


def transposed(graph, layer, x):
    """A transposed convolution: ONNX's adds filters as they are."""
    W = graph.param(layer.W, lambda value: value if layer.flip_filters
                    else turned(value, layer.n), "" if layer.flip_filters
                    else ".turned")
    more = None
    if layer.output_size is not None:
        least = layer._least(layer.input_shape)
        if None in least:
            raise NoForm(f"a known image size with output_size, got input_shape="
                         f"{layer.input_shape}")
        more = [n - m for n, m in zip(layer.output_size, least)]

    def make(*b):
        return graph.add("ConvTranspose", x, W, *b, kernel_shape=layer.filter_size,
                         strides=layer.stride, dilations=layer.dilation,
                         group=layer.num_groups, pads=pads(layer), output_padding=more)

    return finished(graph, layer, biased(graph, layer, x, make))


def network_in_network(graph, layer, x):
    """A dense layer at each pixel: a convolution with filters of one."""
    n = len(layer.input_shape) - 2
    if n > 3:
        raise NoForm(f"one to three axes behind the channels, got {n}")
    W = graph.param(layer.W, lambda value: value.T.reshape(*value.T.shape, *(1,) * n),
                    f".{n}d")

    def make(*b):
        if n == 0:
            return graph.add("Gemm", x, W, *b, transB=1)
        return graph.add("Conv", x, W, *b)

    return finished(graph, layer, biased(graph, layer, x, make))


def local(graph, layer, x):
    """Filters of their own at each place: windows side by side, then their products.

    A convolution with filters of a single 1 puts each element of the windows into a
    channel of its own.
    """
    C, size, places = layer.input_shape[1], layer.filter_size, layer.output_shape[2:]
    K = math.prod(size)
    ones = np.tile(np.eye(K, dtype=np.float32).reshape(K, 1, *size), (C, 1, 1, 1))
    windows = graph.add("Conv", x, graph.constant(ones), kernel_shape=size,
                        strides=layer.stride, pads=pads(layer), group=C)

    def filters(value):  # (F, C, kh, kw, Ho, Wo), or (C, kh, kw, Ho, Wo)
        if layer.flip_filters:
            value = value[..., ::-1, ::-1, :, :]
        return value.reshape(-1, *(() if layer.channelwise else (C,)), K,
                             math.prod(places))

    W = graph.param(layer.W, filters, ".places")
    windows = graph.add("Reshape", windows, [0, C, K, math.prod(places)])
    z = graph.add("Einsum", windows, W, equation="nckp,ckp->ncp" if layer.channelwise
                  else "nckp,fckp->nfp")
    z = graph.add("Reshape", z, [0, layer.num_filters, *places])
    if layer.b is not None:
        z = graph.add("Add", z, graph.param(
            layer.b, None if layer.untie_biases else lambda b: b[:, None, None],
            "" if layer.untie_biases else ".column"))
    return finished(graph, layer, z)


def embedding(graph, layer, x):
    """Rows of a table, by numbers that come as floats."""
    return graph.add("Gather", graph.param(layer.W), graph.add(
        "Cast", x, to=graph.onnx.TensorProto.INT64), axis=0, wish=layer.name)


LAYERS = {DenseLayer: dense, NINLayer: network_in_network, EmbeddingLayer: embedding,
          LocallyConnected2DLayer: local, TransposedConv2DLayer: transposed,
          TransposedConv3DLayer: transposed, **dict.fromkeys(
              [BaseConvLayer, Conv1DLayer, Conv2DLayer, Conv3DLayer,
               DilatedConv2DLayer], convolution)}
