"""Through the nodes of a graph, each by the function that a table has for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ....errors import MiniferError, SettingError, WeightsError, one_line, quoted
from ....expressions.named import FUNCTIONS
from ....layers import (BiasLayer, DimshuffleLayer, FunctionLayer, InputLayer, Layer,
                        NonlinearityLayer, ParamLayer, ScaleLayer)
from ....layers.special import ActivatedLayer
from ....nonlinearities import identity

__all__ = ["Graph", "Node", "UNKNOWN", "LARGEST"]

#: A length that is not known, where shapes are computed with: nothing has this many.
UNKNOWN = -(1 << 40)
#: Numbers of a layer's output for one image, or of an array that is computed.
LARGEST = 1 << 28


class Node:
    """An operator of a graph.

    Attributes
    ----------
    op, name : str
    inputs, outputs : list of str
        Names of values, empty where one is left out.
    attributes : dict
        Numbers, texts, lists of them and arrays.
    """

    def __init__(self, proto, tensors):
        self.op = proto.op_type
        self.domain = "" if proto.domain == "ai.onnx" else proto.domain
        self.inputs, self.outputs = list(proto.input), list(proto.output)
        self.name = proto.name or next(filter(None, self.outputs), "")
        self.attributes = {one.name: _attribute(one, tensors)
                           for one in proto.attribute}

    def get(self, name, default=None):
        """An attribute."""
        return self.attributes.get(name, default)

    def has(self, place):
        """Whether an input is there."""
        return place < len(self.inputs) and bool(self.inputs[place])

    def axis(self, ndim, default=None, value=None):
        """An axis, the attribute or another, counted from the front; or a failure."""
        axis = self.get("axis", default) if value is None else value
        if not -ndim <= axis < ndim:
            self.fail(f"an axis among {ndim}", str(axis))
        return axis % ndim

    def fail(self, expected, got, remedy=""):
        """Raise a WeightsError that names this node."""
        raise WeightsError(f"node {quoted(self.name)} ({self.op}): expected "
                           f"{expected}, got {got}. {remedy}".rstrip())


def _attribute(one, tensors):
    """An attribute's value."""
    kind = one.AttributeType.Name(one.type) if one.type else "UNDEFINED"
    if kind == "TENSOR":
        return tensors.array(one.t)
    if kind in ("FLOAT", "INT"):
        return getattr(one, kind[0].lower())
    if kind == "STRING":
        return one.s.decode("utf-8", "replace")
    if kind in ("FLOATS", "INTS"):
        return list(getattr(one, kind.lower()))
    if kind == "STRINGS":
        return [text.decode("utf-8", "replace") for text in one.strings]
    return None  # a graph inside this one, of an operator that is refused


class Graph:
    """What is known of a graph's values: layers, and arrays of those that are fixed.

    Parameters
    ----------
    proto : ModelProto
    tensors : Tensors
    table : dict of str -> function
        ``read(graph, node)`` returns a value, or a list of one for each output.
    """

    def __init__(self, proto, tensors, table):
        self.onnx, self.tensors, self.table = tensors.onnx, tensors, table
        self.version = max((one.version for one in proto.opset_import
                            if one.domain in ("", "ai.onnx")), default=1)
        self.values: dict = {}
        #: Names of values whose numbers are whole, or true and false: layers hold them
        #: as other numbers.
        self.whole: set = set()
        self.truths: set = set()
        #: Names of layers whose numbers are whole ones, of that type.
        self.places: set = set()
        #: Names of arrays that were learnt.
        self.learnt: set = set()
        self.graph = proto.graph
        nodes = [Node(one, tensors) for one in self.graph.node]
        for node in nodes:
            if node.domain or node.op not in table:
                op = f"{node.domain}.{node.op}" if node.domain else node.op
                raise WeightsError(
                    f"expected operators that minifer has, got {quoted(op)[1:-1]} in "
                    f"node {quoted(node.name)}.")
        self.readers = Counter(name for node in nodes for name in node.inputs if name)
        self.readers.update(one.name for one in self.graph.output)
        for one in self.graph.initializer:
            self.values[one.name] = value = tensors.array(one)
            if value.dtype.kind == "f":
                self.learnt.add(one.name)
        if self.graph.sparse_initializer:
            raise WeightsError("expected weights that are written out, got sparse "
                               "ones.")
        self.inputs = [self._input(one) for one in self.graph.input
                       if one.name not in self.values]
        for node in nodes:
            self._read(node)

    def _input(self, info):
        kinds, tensor = self.onnx.TensorProto, info.type.tensor_type
        what = f"input {quoted(info.name)}"
        if not info.type.HasField("tensor_type"):
            raise WeightsError(f"{what}: expected an array, got another kind of value.")
        kind = tensor.elem_type
        if kind in (kinds.INT8, kinds.INT16, kinds.INT32, kinds.INT64, kinds.UINT8,
                    kinds.UINT16, kinds.UINT32, kinds.UINT64):
            self.whole.add(info.name)
        elif kind == kinds.BOOL:
            self.truths.add(info.name)
        elif kind not in (kinds.FLOAT, kinds.DOUBLE, kinds.FLOAT16):
            raise WeightsError(f"{what}: expected numbers, got type {kind}.")
        if not tensor.HasField("shape"):
            raise WeightsError(f"{what}: expected one of a known number of axes, got "
                               "none told.")
        shape = tuple(one.dim_value if one.HasField("dim_value") else None
                      for one in tensor.shape.dim)
        if any(n is not None and n < 1 for n in shape):
            raise WeightsError(f"{what}: expected lengths >= 1, got {shape}.")
        self.values[info.name] = layer = InputLayer(shape, name=info.name)
        return layer

    def _read(self, node):
        try:
            found = self.table[node.op](self, node)
        except WeightsError as error:
            if str(error).startswith("node "):
                raise
            node.fail("a node that minifer's layers can do", one_line(error))
        except (MiniferError, ValueError, IndexError, KeyError, TypeError,
                OverflowError, ZeroDivisionError) as error:
            raise WeightsError(f"node {quoted(node.name)} ({node.op}): "
                               f"{one_line(error)}") from error
        found = found if isinstance(found, list) else [found]
        for name, value in zip(node.outputs, found):
            if name and value is None and self.readers[name]:
                node.fail("its first output alone to be used", f"{quoted(name)}, too")
            self._check_size(node, value)
            self.values[name] = value
        for name in node.outputs[len(found):]:
            if name and self.readers[name]:
                node.fail(f"at most {len(found)} outputs to be used", quoted(name))

    def _check_size(self, node, value):
        shape = value.output_shape if isinstance(value, Layer) else np.shape(value)
        size = math.prod(n for n in shape if n is not None)
        if size > LARGEST:
            node.fail(f"at most {LARGEST:,} numbers", f"{size:,}")

    # --- values ---

    def value(self, node, place):
        """An input of a node: a layer, or an array."""
        if not node.has(place):
            node.fail(f"an input at place {place}", "none")
        name = node.inputs[place]
        if name not in self.values:
            node.fail("values that come before it", quoted(name))
        return self.values[name]

    def layer(self, node, place, whole=False):
        """An input as a layer; numbers that are fixed become a ParamLayer.

        Parameters
        ----------
        node : Node
        place : int
        whole : bool
            Whether whole numbers and truth values may come, which layers hold as
            others.
        """
        value, name = self.value(node, place), node.inputs[place]
        if not whole and (name in self.whole or name in self.truths):
            node.fail("floating-point numbers, with which layers compute",
                      f"whole ones or truth values, {quoted(name)}")
        if isinstance(value, Layer):
            return value
        return self.fixed(name, value)

    def fixed(self, name, value):
        """An array as a layer."""
        check_finite(value)
        learnt = name in self.learnt
        layer = ParamLayer(np.shape(value), np.asarray(value, np.float32), learnt,
                           name=name or None)
        return layer

    def array(self, node, place, what="an input"):
        """An input whose numbers are fixed, as an array."""
        value = self.value(node, place)
        if isinstance(value, Layer):
            node.fail(f"{what} that is fixed", "one that is computed")
        return value

    def numbers(self, node, name, place, default=None):
        """A list of whole numbers: an attribute, or in later versions an input."""
        if name in node.attributes:
            value = node.attributes[name]
            return list(value) if isinstance(value, (list, np.ndarray)) else [value]
        if not node.has(place):
            return default
        return [int(n) for n in np.ravel(self.array(node, place, name))]

    def weights(self, node, place):
        """Finite floating-point numbers for a parameter."""
        value = self.array(node, place, "weights")
        if value.dtype.kind != "f":
            node.fail("floating-point weights", str(value.dtype))
        check_finite(value)
        return value

    # --- layers ---

    def function(self, node, name, values: Sequence, options=None):
        """A function by name: of arrays at once, of layers as a layer."""
        options = options or {}
        if not any(isinstance(one, Layer) for one in values):
            with np.errstate(all="ignore"):
                return np.asarray(FUNCTIONS[name](*values, **options).eval())
        if any(np.asarray(one).dtype.kind in "iu" for one in values
               if not isinstance(one, Layer)):
            node.fail("floating-point numbers, with which layers compute",
                      "whole ones")
        layers = [one if isinstance(one, Layer) else self.fixed(None, one)
                  for one in values]
        self._check_stretched(node, name, layers, options)
        return FunctionLayer(layers, name, options, name=self.called(node))

    def _check_stretched(self, node, name, layers, options):
        """Fail before an array is made that is far too large."""
        shape = [n or 2 for n in layers[0].output_shape]
        if name == "tile":
            shape = [n * k for n, k in zip(shape, options["reps"])]
        elif name == "expand":
            shape = list(np.broadcast_shapes(tuple(shape), tuple(options["shape"])))
        elif name == "pad":
            shape = [n + left + right for n, (left, right)
                     in zip(shape, options["widths"])]
        if math.prod(shape) > LARGEST:
            node.fail(f"at most {LARGEST:,} numbers", f"a shape of {shape}")

    def users(self, name):
        """The operators that read a value."""
        return [one.op_type for one in self.graph.node if name in one.input]

    def called(self, node):
        """The name of a layer that a node becomes."""
        return node.outputs[0] or None

    def activated(self, node, x, f):
        """A nonlinearity: that of the layer below, if nothing else reads it."""
        if (isinstance(x, ActivatedLayer) and x.nonlinearity is identity
                and self.readers[node.inputs[0]] == 1
                and not isinstance(x, NonlinearityLayer)):
            x.nonlinearity = f
            return x
        return NonlinearityLayer(x, f, name=self.called(node))

    def shuffled(self, node, x, pattern):
        """Axes in another order; two such layers that undo each other are none."""
        pattern = tuple(pattern)
        if isinstance(x, DimshuffleLayer) and "x" not in pattern + x.pattern:
            below = x.input_layer
            both = tuple(x.pattern[axis] for axis in pattern)
            if both == tuple(range(len(below.output_shape))):
                return below
            return DimshuffleLayer(below, both, name=self.called(node))
        if pattern == tuple(range(len(x.output_shape))):
            return x
        return DimshuffleLayer(x, pattern, name=self.called(node))

    def spread(self, node, x, value, kind, learnt=True):
        """``x`` plus or times numbers that are stretched over it, as a layer."""
        cls = {"add": BiasLayer, "multiply": ScaleLayer}[kind]
        value, ndim = np.asarray(value), len(x.output_shape)
        check_finite(value)
        shape = (1,) * (ndim - value.ndim) + value.shape
        fits = len(shape) == ndim and all(
            n == 1 or n == have for n, have in zip(shape, x.output_shape))
        if not fits or not learnt:
            return self.function(node, kind, [x, self.fixed(
                node.inputs[1] if learnt else None, value)])
        axes = tuple(axis for axis, n in enumerate(shape) if n == 1)
        kept = tuple(n for axis, n in enumerate(shape) if axis not in axes)
        return cls(x, value.reshape(kept), axes, name=self.called(node))


def check_finite(value):
    """Raise SettingError if a parameter would not be finite."""
    if not np.all(np.isfinite(value)):
        raise SettingError("expected finite numbers as parameters, got others")
