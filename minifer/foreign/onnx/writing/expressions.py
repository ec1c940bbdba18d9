"""Functions of expressions, op by op."""

from __future__ import annotations

import numpy as np

from ....errors import one_line
from ....expressions import Apply, Constant, Param, Variable, all_below
from ....layers.base import OfLayer
from ....layers.pairs import ExpressionPair, NoExpression
from ....ops import activation, elementwise, rearrange, reduction
from .graph import NoForm
from .named import TABLE as NAMED

__all__ = ["write_expressions", "write_function", "write_pair"]

BINARY = {elementwise.add_forward: "Add", elementwise.subtract_forward: "Sub",
          elementwise.multiply_forward: "Mul", elementwise.divide_forward: "Div",
          elementwise.power_forward: "Pow", elementwise.maximum_forward: "Max",
          elementwise.minimum_forward: "Min"}
UNARY = {np.negative: "Neg", np.exp: "Exp", np.log: "Log", np.sqrt: "Sqrt",
         np.reciprocal: "Reciprocal", np.abs: "Abs", np.sin: "Sin", np.cos: "Cos",
         np.tan: "Tan", np.sinh: "Sinh", np.cosh: "Cosh", np.arctan: "Atan",
         np.arcsin: "Asin", np.arccos: "Acos", np.arcsinh: "Asinh",
         np.arccosh: "Acosh", np.arctanh: "Atanh", np.floor: "Floor", np.ceil: "Ceil",
         np.round: "Round", np.rint: "Round", np.sign: "Sign"}
#: What truth values come of.
TRUTHS = {np.less: "Less", np.less_equal: "LessOrEqual", np.greater: "Greater",
          np.greater_equal: "GreaterOrEqual", np.equal: "Equal", np.isnan: "IsNaN",
          np.isinf: "IsInf"}
LOGIC = {np.bitwise_and: "And", np.bitwise_or: "Or", np.bitwise_xor: "Xor",
         np.invert: "Not", np.logical_and: "And", np.logical_or: "Or",
         np.logical_xor: "Xor", np.logical_not: "Not"}
REDUCTIONS = {reduction.mean_forward: "ReduceMean", reduction.max_forward: "ReduceMax",
              reduction.min_forward: "ReduceMin",
              reduction.product_forward: "ReduceProd"}
ACTIVATIONS = {activation.rectify_forward: "Relu", activation.tanh_forward: "Tanh",
               activation.sigmoid_forward: "Sigmoid",
               activation.softplus_forward: "Softplus", activation.elu_forward: "Elu"}


def write_function(graph, function, xs, ndims):
    """The name of what a function of expressions makes of values.

    Parameters
    ----------
    graph : Graph
    function : function of expressions
    xs : list of str
    ndims : list of int
        Axes of each.
    """
    try:
        pair = ExpressionPair(function, ndims)
    except NoExpression as error:
        raise NoForm(f"a function of expressions, got {one_line(error)}") from error
    return write_expression(graph, pair.expression, dict(zip(pair.variables, xs)))


def write_pair(graph, pair, xs):
    """The same of what a layer was given: only expressions can be looked into."""
    if not isinstance(pair, ExpressionPair):
        raise NoForm("a function of expressions, got one of arrays, which cannot be "
                     "looked into")
    return write_expression(graph, pair.expression, dict(zip(pair.variables, xs)))


def write_expressions(graph, layer, x):
    """A layer that says in expressions what it computes."""
    several = isinstance(x, list)
    shapes = layer.input_shapes if several else [layer.input_shape]
    options = ({"deterministic": True} if "deterministic" in layer.forward_options
               else {})

    def output(*variables):
        return layer.get_output_for(list(variables) if several else variables[0],
                                    **options)

    return write_function(graph, output, x if several else [x], list(map(len, shapes)))


def write_expression(graph, expression, values):
    """The name of an expression's value.

    Parameters
    ----------
    graph : Graph
    expression : Expression
    values : dict of Variable -> str
    """
    writer = _Writer(graph, dict(values))
    for node in all_below([expression]):
        if node not in writer.values:
            writer.values[node] = writer.write(node)
    return writer.number(expression)


class _Writer:
    """Nodes of expressions, with what is known of their values.

    ONNX has truth values apart from numbers, and NumPy has them as numbers.
    """

    def __init__(self, graph, values):
        self.graph, self.values, self.truths = graph, values, set()

    def write(self, node):
        """A node's name."""
        if isinstance(node, Constant):
            return self.graph.constant(np.asarray(node.value, np.float32))
        if isinstance(node, Param):
            return self.graph.param(node)
        if isinstance(node, OfLayer):
            from .network import write_layer
            xs = [self.number(one) for one in node.inputs]
            return write_layer(self.graph, node.layer, xs if node.several else xs[0])
        if not isinstance(node, Apply):
            what = ("a variable of its own" if isinstance(node, Variable)
                    else type(node).__name__)
            raise NoForm(f"expressions of the input, got {what}")
        for table, write in self.TABLES:
            if node.op in table:
                return write(self, node, table[node.op])
        if node.op in NAMED:
            return NAMED[node.op](self.graph, node, *self.numbers(node))
        name = node.op.__name__.removesuffix("_forward")
        raise NoForm(f"expressions that ONNX knows, got {name}")

    def number(self, node):
        """A value as a number, if it is a truth value."""
        name = self.values[node]
        if name in self.truths:
            name = self.graph.add("Cast", name, to=self.graph.onnx.TensorProto.FLOAT)
        return name

    def truth(self, node):
        """A value as a truth value, if it is a number."""
        name = self.values[node]
        if name not in self.truths:
            name = self.graph.add("Cast", name, to=self.graph.onnx.TensorProto.BOOL)
        return name

    def numbers(self, node):
        return [self.number(one) for one in node.inputs]

    def plain(self, node, kind):
        """An operator of numbers."""
        return self.graph.add(kind, *self.numbers(node))

    def unary(self, node, kind):
        """A function of one array, which is the op's constant."""
        function = node.constants[0]
        x = self.number(node.inputs[0])
        if function in UNARY:
            return self.graph.add(UNARY[function], x)
        if function is np.square:
            return self.graph.add("Mul", x, x)
        add = self.graph.add
        if function is np.expm1:
            return add("Sub", add("Exp", x), 1.0)
        if function is np.log1p:
            return add("Log", add("Add", x, 1.0))
        if function in (np.log2, np.log10):
            return add("Mul", add("Log", x), float(1 / np.log(
                2 if function is np.log2 else 10)))
        if function is elementwise.erf:
            return add("Erf", x)
        raise NoForm(f"a function that ONNX knows, got {function.__name__}")

    def without_gradient(self, node, kind):
        """Comparisons, logic, rounding."""
        function = node.constants[0]
        if function in TRUTHS:
            name = self.graph.add(TRUTHS[function], *self.numbers(node))
        elif function is np.not_equal:
            name = self.graph.add("Not", self.graph.add("Equal", *self.numbers(node)))
        elif function in LOGIC:
            name = self.graph.add(LOGIC[function], *map(self.truth, node.inputs))
        elif function is np.floor_divide:
            return self.graph.add("Floor", self.graph.add("Div", *self.numbers(node)))
        else:
            return self.unary(node, kind)
        self.truths.add(name)
        return name

    def modulo(self, node, kind):
        a, b = self.numbers(node)
        if node.constants[0] is np.fmod:
            return self.graph.add("Mod", a, b, fmod=1)
        turns = self.graph.add("Floor", self.graph.add("Div", a, b))
        return self.graph.add("Sub", a, self.graph.add("Mul", turns, b))

    def where(self, node, kind):
        condition, *both = node.inputs
        return self.graph.add("Where", self.truth(condition), *map(self.number, both))

    def clip(self, node, kind):
        x, low, high = self.numbers(node)
        return self.graph.add("Min", self.graph.add("Max", x, low), high)

    def cast(self, node, kind):
        dtype = np.dtype(node.constants[0])
        if dtype.kind == "b":
            name = self.truth(node.inputs[0])
            self.truths.add(name)
            return name
        x = self.number(node.inputs[0])
        if dtype.kind in "iu":  # whole numbers, as floats
            sign = self.graph.add("Sign", x)
            return self.graph.add("Mul", sign, self.graph.add(
                "Floor", self.graph.add("Abs", x)))
        return x

    def as_it_is(self, node, kind):
        """Room for float16: the file's numbers are float32."""
        return self.number(node.inputs[0])

    def reduced(self, node, kind):
        """A reduction over axes."""
        axis, keepdims, *_ = node.constants
        x = self.number(node.inputs[0])
        axes = None if axis is None else [int(a) for a in np.atleast_1d(axis)]
        return self.graph.add(kind, x, axes=axes, keepdims=int(keepdims))

    def sum(self, node, kind):
        axis, keepdims, *_ = node.constants
        x = self.number(node.inputs[0])
        axes = [] if axis is None else [[int(a) for a in np.atleast_1d(axis)]]
        return self.graph.add("ReduceSum", x, *axes, keepdims=int(keepdims))

    def variance(self, node, kind):
        axis, keepdims, ddof = node.constants
        if ddof:
            raise NoForm(f"a variance with ddof=0, got {ddof}")
        x = self.number(node.inputs[0])
        axes = None if axis is None else [int(a) for a in np.atleast_1d(axis)]
        mean = self.graph.add("ReduceMean", x, axes=axes, keepdims=1)
        far = self.graph.add("Sub", x, mean)
        return self.graph.add("ReduceMean", self.graph.add("Mul", far, far), axes=axes,
                              keepdims=int(keepdims))

    def cumsum(self, node, kind):
        x, axis = self.number(node.inputs[0]), node.constants[0]
        if axis is None:
            x, axis = self.graph.add("Reshape", x, [-1]), 0
        return self.graph.add("CumSum", x, int(axis))

    def argument(self, node, kind):
        function, axis, keepdims = node.constants
        x = self.number(node.inputs[0])
        if axis is None:
            if keepdims:
                raise NoForm("an argmax along an axis")
            x, axis = self.graph.add("Reshape", x, [-1]), 0
        axis, *others = axis if isinstance(axis, (tuple, list)) else [axis]
        if others:
            raise NoForm("an argmax along one axis")
        name = self.graph.add("ArgMax" if function is np.argmax else "ArgMin", x,
                              axis=int(axis), keepdims=int(keepdims))
        return self.graph.add("Cast", name, to=self.graph.onnx.TensorProto.FLOAT)

    def of_one(self, node, kind):
        return self.graph.add(kind, self.number(node.inputs[0]))

    def leaky(self, node, kind):
        alpha = float((*node.constants, 0.01)[0])
        return self.graph.add("LeakyRelu", self.number(node.inputs[0]), alpha=alpha)

    def selu(self, node, kind):
        scale, scale_neg = node.constants
        return self.graph.add("Selu", self.number(node.inputs[0]), gamma=float(scale),
                              alpha=float(scale_neg))

    def scaled_tanh(self, node, kind):
        inner, outer = node.constants
        x = self.graph.add("Mul", self.number(node.inputs[0]), float(inner))
        return self.graph.add("Mul", self.graph.add("Tanh", x), float(outer))

    def reshape(self, node, kind):
        x, *lengths = node.inputs
        if all(isinstance(one, Constant) for one in lengths):
            shape = [int(one.value) for one in lengths]
            if 0 in shape:
                raise NoForm("lengths of 1 or more")
            return self.graph.add("Reshape", self.number(x), shape)
        to = self.graph.onnx.TensorProto.INT64
        shape = [self.graph.add("Reshape", self.graph.add(
            "Cast", self.number(one), to=to), [1]) for one in lengths]
        return self.graph.add("Reshape", self.number(x), self.graph.add(
            "Concat", *shape, axis=0))

    def flatten(self, node, kind):
        ndim = (*node.constants, 1)[0]
        return self.graph.add("Reshape", self.number(node.inputs[0]),
                              [0] * (ndim - 1) + [-1])

    def dimshuffle(self, node, kind):
        x, pattern = node.inputs[0], node.constants[0]
        if x.ndim is None:
            raise NoForm("a dimshuffle of a known number of axes")
        kept = [axis % x.ndim for axis in pattern if axis != "x"]
        dropped = [axis for axis in range(x.ndim) if axis not in kept]
        y = self.number(x)
        y = self.graph.add("Squeeze", y, dropped) if dropped else y
        order = [sorted(kept).index(axis) for axis in kept]
        if order != sorted(order):
            y = self.graph.add("Transpose", y, perm=order)
        new = [place for place, axis in enumerate(pattern) if axis == "x"]
        return self.graph.add("Unsqueeze", y, new) if new else y

    def part(self, node, kind):
        """``x[key]`` of numbers and slices that are known."""
        x, *pieces = node.inputs
        if not all(isinstance(one, Constant) for one in pieces) or x.ndim is None:
            raise NoForm("parts by indices that are known")
        key = node.constants[-1]([one.value for one in pieces])
        key = key if isinstance(key, tuple) else (key,)
        taken = sum(one is not None and one is not Ellipsis for one in key)
        if Ellipsis in key:
            place = key.index(Ellipsis)
            key = (*key[:place], *(slice(None),) * (x.ndim - taken), *key[place + 1:])
        y, axis, gone, new, out = self.number(x), 0, [], [], 0
        for one in key:
            if one is None:
                new.append(out)
                out += 1
                continue
            if isinstance(one, slice):
                if one != slice(None):
                    step = one.step or 1
                    far = 1 << 62
                    ends = (0, far) if step > 0 else (far, -far)
                    y = self.graph.part(y, axis, *(
                        end if given is None else given for end, given
                        in zip(ends, (one.start, one.stop))), step)
                out += 1
            elif isinstance(one, (int, np.integer)):
                y = self.graph.part(y, axis, one, one + 1 if one != -1 else 1 << 62)
                gone.append(axis)
            else:
                y = self.taken(y, one, axis, key)
                out += np.ndim(one)
            axis += 1
        y = self.graph.add("Squeeze", y, gone) if gone else y
        return self.graph.add("Unsqueeze", y, new) if new else y

    def taken(self, y, places, axis, key):
        """Places in an array, along the one axis that is not whole."""
        places = np.asarray(places)
        whole = [one for one in key if not isinstance(one, slice)]
        if len(whole) > 1 or places.dtype.kind not in "iu":
            raise NoForm("parts by numbers and slices, or by one array of places")
        return self.graph.add("Gather", y, places, axis=axis)

    def concatenate(self, node, kind):
        return self.graph.add("Concat", *self.numbers(node),
                              axis=int(node.constants[0]))

    def stack(self, node, kind):
        axis = int(node.constants[0])
        return self.graph.add("Concat", *(self.graph.add("Unsqueeze", one, [axis])
                                          for one in self.numbers(node)), axis=axis)

    def tile(self, node, kind):
        reps, x = np.atleast_1d(node.constants[0]), node.inputs[0]
        if x.ndim is None or len(reps) > x.ndim:
            raise NoForm("a tile of as many axes as its input has")
        reps = [1] * (x.ndim - len(reps)) + [int(n) for n in reps]
        return self.graph.add("Tile", self.number(x), reps)

    def dot(self, node, kind):
        a, b = node.inputs
        if a.ndim is None or b.ndim is None or b.ndim > 2 or 0 in (a.ndim, b.ndim):
            raise NoForm("a dot product with a matrix or a vector")
        return self.graph.add("MatMul", *self.numbers(node))

    TABLES = [
        (BINARY, plain),
        ({elementwise.unary_forward: None}, unary),
        ({elementwise.plain_forward: None}, without_gradient),
        ({elementwise.modulo_forward: None}, modulo),
        ({elementwise.where_forward: None}, where),
        ({elementwise.clip_forward: None}, clip),
        ({elementwise.cast_forward: None}, cast),
        ({elementwise.widen_forward: None, elementwise.narrow_forward: None}, as_it_is),
        (REDUCTIONS, reduced),
        ({reduction.sum_forward: None}, sum),
        ({reduction.variance_forward: None}, variance),
        ({reduction.cumsum_forward: None}, cumsum),
        ({reduction.argument_forward: None}, argument), (ACTIVATIONS, of_one),
        ({activation.leaky_rectify_forward: None}, leaky),
        ({activation.selu_forward: None}, selu),
        ({activation.scaled_tanh_forward: None}, scaled_tanh),
        ({rearrange.reshape_forward: None}, reshape),
        ({rearrange.flatten_forward: None}, flatten),
        ({rearrange.dimshuffle_forward: None}, dimshuffle),
        ({rearrange.part_forward: None}, part),
        ({rearrange.concatenate_forward: None}, concatenate),
        ({rearrange.stack_forward: None}, stack),
        ({rearrange.tile_forward: None}, tile), ({rearrange.dot_forward: None}, dot)]
