"""Arithmetic, functions of each element, reductions, nonlinearities."""

from __future__ import annotations

import functools

import numpy as np

from .... import nonlinearities as f
from ....layers import (DropoutLayer, ElemwiseMergeLayer, ElemwiseSumLayer,
                        FunctionLayer, Layer, NonlinearityLayer,
                        ParametricRectifierLayer, ReshapeLayer)

__all__ = ["TABLE"]

UNARY = {"Abs": "abs", "Acos": "arccos", "Acosh": "arccosh", "Asin": "arcsin",
         "Asinh": "arcsinh", "Atan": "arctan", "Atanh": "arctanh", "Ceil": "ceil",
         "Cos": "cos", "Cosh": "cosh", "Erf": "erf", "Exp": "exp", "Floor": "floor",
         "IsNaN": "isnan", "Log": "log", "Neg": "negative", "Reciprocal": "reciprocal",
         "Round": "round", "Sign": "sign", "Sin": "sin", "Sinh": "sinh",
         "Sqrt": "sqrt", "Tan": "tan", "Mish": "mish", "HardSwish": "hard_swish",
         "Softsign": "softsign"}
#: Operator -> our function, and its options: ours, theirs, and their default.
OPTIONS = {
    "HardSigmoid": ("hard_sigmoid", [("slope", "alpha", 0.2), ("shift", "beta", 0.5)]),
    "Celu": ("celu", [("alpha", "alpha", 1.0)]),
    "Shrink": ("shrink", [("edge", "lambd", 0.5), ("shift", "bias", 0.0)]),
    "ThresholdedRelu": ("thresholded", [("edge", "alpha", 1.0)]),
    "Swish": ("swish", [("steepness", "alpha", 1.0)]),
    "Hardmax": ("hardmax", [("axis", "axis", -1)]),
    "LpNormalization": ("normalized", [("order", "p", 2), ("axis", "axis", -1)])}
COMPARING = {"Less": "less", "LessOrEqual": "less_equal", "Greater": "greater",
             "GreaterOrEqual": "greater_equal", "Equal": "equal"}
LOGIC = {"And": "and", "Or": "or", "Xor": "xor", "Not": "not"}
REDUCTIONS = {"ReduceMean": ("mean", {}), "ReduceSum": ("sum", {}),
              "ReduceMax": ("max", {}), "ReduceMin": ("min", {}),
              "ReduceProd": ("product", {}), "ReduceL1": ("norm", {"order": 1}),
              "ReduceL2": ("norm", {"order": 2}), "ReduceLogSum": ("log_sum", {}),
              "ReduceLogSumExp": ("log_sum_exp", {}),
              "ReduceSumSquare": ("sum_square", {})}


def values(graph, node, whole=False):
    """All inputs, layers checked to hold numbers of a kind that may come."""
    found = []
    for place in range(len(node.inputs)):
        value = graph.value(node, place)
        found.append(graph.layer(node, place, whole) if isinstance(value, Layer)
                     else value)
    return found


def unary(graph, node):
    """A function of each element."""
    return graph.function(node, UNARY[node.op], values(graph, node))


def with_options(graph, node):
    """A function of each element with options."""
    name, options = OPTIONS[node.op]
    if node.op == "Hardmax" and graph.version < 13:
        return flattened(graph, node, lambda x, axis: FunctionLayer(
            [x], name, {"axis": axis}))
    return graph.function(node, name, values(graph, node), {
        ours: node.get(theirs, default) for ours, theirs, default in options})


def gelu(graph, node):
    """x Φ(x)."""
    return graph.function(node, "gelu", values(graph, node), {
        "approximate": node.get("approximate", "none") == "tanh"})


def binary(graph, node, name):
    """Arithmetic of two."""
    a, b = values(graph, node)
    if isinstance(a, Layer) == isinstance(b, Layer):
        return merged(graph, node, name, a, b)
    x, value = (a, b) if isinstance(a, Layer) else (b, a)
    place = node.inputs[1 if isinstance(a, Layer) else 0]
    if value.dtype.kind != "f":
        node.fail("floating-point numbers", str(value.dtype))
    learnt = place in graph.learnt
    if name in ("add", "multiply") and learnt:
        return graph.spread(node, x, value, name)
    layers = [one if isinstance(one, Layer) else graph.fixed(place, one)
              for one in (a, b)]
    return graph.function(node, name, layers)


def merged(graph, node, name, a, b):
    """Two layers, or two arrays."""
    if isinstance(a, Layer) and a.output_shape == b.output_shape:
        if name == "add":
            return ElemwiseSumLayer([a, b], name=graph.called(node))
        if name in ("multiply", "subtract", "divide", "maximum", "minimum"):
            return ElemwiseMergeLayer([a, b], name, name=graph.called(node))
    return graph.function(node, name, [a, b])


def division(graph, node):
    """A quotient; that of whole numbers, as in shapes, leaves out the rest."""
    a, b = values(graph, node)
    if not isinstance(a, Layer) and not isinstance(b, Layer) and a.dtype.kind in "iu":
        if np.any(b == 0):
            node.fail("divisors other than 0", "0")
        return (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype)
    return binary(graph, node, "divide")


def power(graph, node):
    """a to the power of b; an exponent that is one number is no parameter."""
    a, b = values(graph, node)
    if not isinstance(b, Layer) and b.size == 1:
        b = np.asarray(float(b.ravel()[0])).reshape(b.shape)
        if isinstance(a, Layer) and b.ndim <= len(a.output_shape):
            return graph.function(node, "power", [a, graph.fixed(None, b)])
    if not isinstance(b, Layer) and isinstance(a, Layer):
        b = b.astype(np.float32)
    return graph.function(node, "power", [a, b])


def several(graph, node, name):
    """Functions of any number of arrays."""
    xs = values(graph, node)
    if len(xs) == 1:
        return xs[0]
    if name in ("sum_of", "mean_of"):
        return graph.function(node, name, xs)
    return functools.reduce(lambda a, b: graph.function(node, name, [a, b]), xs)


def comparison(graph, node):
    """Truth values of numbers."""
    graph.truths.add(node.outputs[0])
    return graph.function(node, COMPARING[node.op], values(graph, node))


def logic(graph, node):
    """Truth values of truth values."""
    graph.truths.add(node.outputs[0])
    return graph.function(node, LOGIC[node.op], values(graph, node, whole=True))


def isinf(graph, node):
    """Where values are infinite."""
    graph.truths.add(node.outputs[0])
    return graph.function(node, "isinf", values(graph, node), {
        "negative": bool(node.get("detect_negative", 1)),
        "positive": bool(node.get("detect_positive", 1))})


def isnan(graph, node):
    """Where values are no numbers."""
    graph.truths.add(node.outputs[0])
    return unary(graph, node)


def where(graph, node):
    """One or the other."""
    condition = graph.layer(node, 0, whole=True) if isinstance(
        graph.value(node, 0), Layer) else graph.value(node, 0)
    chosen = [graph.layer(node, place) if isinstance(graph.value(node, place), Layer)
              else graph.value(node, place) for place in (1, 2)]
    if not isinstance(condition, Layer) and any(isinstance(c, Layer) for c in chosen):
        condition = graph.fixed(None, np.asarray(condition, np.float32))
    return graph.function(node, "where", [condition, *chosen])


def clip(graph, node):
    """Within bounds: attributes, or in later versions inputs."""
    x = values(graph, node)[0] if graph.version < 11 else graph.value(node, 0)
    if isinstance(x, Layer):
        x = graph.layer(node, 0)
    bounds = {}
    for place, ours, theirs in ((1, "low", "min"), (2, "high", "max")):
        if theirs in node.attributes:
            bounds[ours] = node.attributes[theirs]
        elif node.has(place):
            bounds[ours] = graph.array(node, place, theirs).item()
    bounds = {key: value for key, value in bounds.items() if abs(value) < 3e38}
    return graph.function(node, "clip", [x], bounds)


def modulo(graph, node):
    """What division leaves."""
    return graph.function(node, "modulo", values(graph, node), {
        "truncated": bool(node.get("fmod", 0))})


def reduction(graph, node):
    """A function over axes."""
    x, (name, options) = graph.value(node, 0), REDUCTIONS[node.op]
    x = graph.layer(node, 0) if isinstance(x, Layer) else x
    axes = graph.numbers(node, "axes", 1, [])
    if not axes and node.get("noop_with_empty_axes", 0):
        if name == "norm":
            return graph.function(node, "abs", [x])
        if name in ("log_sum", "sum_square"):
            return graph.function(node, {"log_sum": "log",
                                         "sum_square": "square"}[name], [x])
        return x
    options = {**options, "axis": axes or None,
               "keepdims": bool(node.get("keepdims", 1))}
    return graph.function(node, name, [x], options)


def argument(graph, node):
    """The place of an extreme."""
    graph.whole.add(node.outputs[0])
    graph.places.add(node.outputs[0])
    return graph.function(node, node.op.lower(), [graph.layer(node, 0)], {
        "axis": node.get("axis", 0), "keepdims": bool(node.get("keepdims", 1)),
        "last": bool(node.get("select_last_index", 0))})


def cumsum(graph, node):
    """Sums of the elements so far."""
    return graph.function(node, "cumsum", [graph.layer(node, 0)], {
        "axis": int(graph.array(node, 1, "axis").item()),
        "exclusive": bool(node.get("exclusive", 0)),
        "reverse": bool(node.get("reverse", 0))})


# --- nonlinearities ------------------------------------------------------------------

def nonlinearity(graph, node, make):
    """A nonlinearity of minifer."""
    return graph.activated(node, graph.layer(node, 0), make(node))


def leaky(node):
    """The leaky rectifier."""
    return f.LeakyRectify(node.get("alpha", 0.01))


def elu(graph, node):
    """The exponential linear unit; of another alpha it is CELU's relative."""
    if node.get("alpha", 1.0) == 1.0:
        return graph.activated(node, graph.layer(node, 0), f.elu)
    return graph.activated(node, graph.layer(node, 0), f.SELU(1.0, node.get("alpha")))


def selu(node):
    """Scaled exponential linear units."""
    return f.SELU(node.get("gamma", 1.0507009873554805),
                  node.get("alpha", 1.6732632423543772))


def flattened(graph, node, along):
    """Along all axes from one on, as if they were one: the rule before version 13."""
    x = graph.layer(node, 0)
    axis = node.axis(len(x.output_shape), 1)
    if None in x.output_shape[max(axis, 1):]:
        node.fail("known lengths, or version 13 or later",
                  f"{x.output_shape} in version {graph.version}")
    front = [[n] for n in range(axis)] or [1]
    y = along(ReshapeLayer(x, (*front, -1)), len(front))
    whole = (*front, *x.output_shape[axis:]) if axis else (-1, *x.output_shape[1:])
    return ReshapeLayer(y, whole, name=graph.called(node))


def softmax(graph, node, rows, along):
    """Along an axis; before version 13 along all axes from one on."""
    x = graph.layer(node, 0)
    ndim = len(x.output_shape)
    axis = node.axis(ndim, -1 if graph.version >= 13 else 1)
    if graph.version < 13 and any(n != 1 for n in x.output_shape[axis + 1:]):
        return flattened(graph, node, lambda x, axis: NonlinearityLayer(x, along(axis)))
    if rows is not None and ndim == 2 and axis == 1:
        return graph.activated(node, x, rows)
    return graph.activated(node, x, along(axis))


def parametric(graph, node):
    """A rectifier with learnt slopes, or with those that a layer computes."""
    x, slope = graph.layer(node, 0), graph.value(node, 1)
    if isinstance(slope, Layer):
        positive, negative = (graph.function(node, name, [x, graph.fixed(
            None, np.float32(0))]) for name in ("maximum", "minimum"))
        scaled = graph.function(node, "multiply", [negative, slope])
        return graph.function(node, "add", [positive, scaled])
    ndim = len(x.output_shape)
    shape = (1,) * (ndim - slope.ndim) + slope.shape
    axes = tuple(axis for axis, n in enumerate(shape) if n == 1)
    kept = tuple(n for n in shape if n != 1)
    return ParametricRectifierLayer(x, graph.weights(node, 1).reshape(kept), axes,
                                    name=graph.called(node))


def dropout(graph, node):
    """Dropout, which does nothing in prediction."""
    ratio = node.get("ratio", 0.5)
    if node.has(1):
        ratio = graph.array(node, 1, "ratio").item()
    if node.has(2) and bool(graph.array(node, 2, "training_mode")):
        node.fail("a network as it predicts", "training_mode")
    x = graph.layer(node, 0)
    return [DropoutLayer(x, float(ratio), name=graph.called(node)), None] if (
        0 <= ratio < 1) else [x, None]


TABLE = {
    **dict.fromkeys(UNARY, unary), **dict.fromkeys(OPTIONS, with_options),
    **dict.fromkeys(COMPARING, comparison), **dict.fromkeys(LOGIC, logic),
    **dict.fromkeys(REDUCTIONS, reduction), "Gelu": gelu, "IsInf": isinf,
    "IsNaN": isnan, "Where": where, "Clip": clip, "Mod": modulo, "Div": division,
    "Pow": power, "ArgMax": argument, "ArgMin": argument, "CumSum": cumsum,
    **{op: functools.partial(binary, name=name) for op, name in (
        ("Add", "add"), ("Sub", "subtract"), ("Mul", "multiply"))},
    **{op: functools.partial(several, name=name) for op, name in (
        ("Max", "maximum"), ("Min", "minimum"), ("Sum", "sum_of"),
        ("Mean", "mean_of"))},
    **{op: functools.partial(nonlinearity, make=make) for op, make in (
        ("Relu", lambda node: f.rectify), ("Tanh", lambda node: f.tanh),
        ("Sigmoid", lambda node: f.sigmoid), ("Softplus", lambda node: f.softplus),
        ("LeakyRelu", leaky), ("Selu", selu))},
    "Elu": elu, "PRelu": parametric, "Dropout": dropout,
    "Softmax": functools.partial(softmax, rows=f.softmax, along=f.Softmax),
    "LogSoftmax": functools.partial(softmax, rows=None, along=f.LogSoftmax)}
