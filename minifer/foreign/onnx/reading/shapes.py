"""Shapes, parts, constants."""

from __future__ import annotations

import numpy as np

from ....layers import (ConcatLayer, DimshuffleLayer, EmbeddingLayer, FlattenLayer,
                        GlobalPoolLayer, Layer, PadLayer, ReshapeLayer, SliceLayer,
                        Upscale1DLayer, Upscale2DLayer, Upscale3DLayer)
from .graph import LARGEST, UNKNOWN

__all__ = ["TABLE"]

#: Operators to which equal rows may come as one: states before the first step.
STRETCHING = ("LSTM", "GRU", "RNN", "Slice", "Expand")
UPSCALES = {1: Upscale1DLayer, 2: Upscale2DLayer, 3: Upscale3DLayer}


def constant(graph, node):
    """An array that is written out."""
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if node.get(name) is not None:
            value = np.asarray(node.get(name))
            return value.astype(np.float32) if name.startswith("value_f") else value
    node.fail("numbers", ", ".join(node.attributes) or "nothing")


def filled(graph, node):
    """An array of one value."""
    shape = [int(n) for n in graph.array(node, 0, "a shape")]
    if all(one in STRETCHING for one in graph.users(node.outputs[0])):
        shape = [1 if n == UNKNOWN else n for n in shape]
    if min(shape, default=0) < 0 or np.prod(shape, dtype=object) > LARGEST:
        node.fail("a shape of known lengths", str(shape))
    return np.full(shape, node.get("value", np.zeros(1, np.float32)).ravel()[0])


def arange(graph, node):
    """Numbers from one to another."""
    start, stop, step = (graph.array(node, place).item() for place in range(3))
    if not step or abs((stop - start) / step) > LARGEST or UNKNOWN in (start, stop):
        node.fail("a known number of steps", f"{start}, {stop}, {step}")
    return np.arange(start, stop, step, graph.array(node, 0).dtype)


def same(graph, node):
    """The value itself."""
    for names in (graph.whole, graph.truths, graph.learnt):
        if node.inputs[0] in names:
            names.add(node.outputs[0])
    return graph.value(node, 0)


def cast(graph, node):
    """Another type; layers keep theirs, and hold whole numbers as others."""
    value, kinds = graph.value(node, 0), graph.onnx.TensorProto
    to = node.get("to")
    if node.op == "CastLike":
        node.fail("a type that is said", "that of another value")
    if isinstance(value, Layer):
        if to in (kinds.FLOAT,) and node.inputs[0] not in graph.truths:
            return value
        if to == kinds.FLOAT:
            return graph.function(node, "where", [value, graph.fixed(
                None, np.float32(1)), graph.fixed(None, np.float32(0))])
        if to in (kinds.INT64, kinds.INT32) and node.inputs[0] in graph.whole:
            graph.whole.add(node.outputs[0])
            return value
        if to in (kinds.INT64, kinds.INT32) and all(
                one in ("Gather", "OneHot") for one in graph.users(node.outputs[0])):
            graph.whole.add(node.outputs[0])
            return value
        node.fail("floating-point numbers of 32 bits", f"type {to}")
    if node.inputs[0] in graph.learnt:
        graph.learnt.add(node.outputs[0])
    if to in (kinds.BFLOAT16,) or to >= kinds.FLOAT8E4M3FN or to == kinds.STRING:
        node.fail("a type of NumPy", f"type {to}")
    return value.astype(graph.onnx.helper.tensor_dtype_to_np_dtype(to))


def shape_of(graph, node):
    """The shape, with lengths that nothing has where they are not known."""
    value = graph.value(node, 0)
    shape = value.output_shape if isinstance(value, Layer) else np.shape(value)
    lengths = [UNKNOWN if n is None else n for n in shape]
    return np.array(lengths[slice(node.get("start"), node.get("end"))], np.int64)


def size_of(graph, node):
    """The number of elements, where it is known."""
    value = graph.value(node, 0)
    shape = value.output_shape if isinstance(value, Layer) else np.shape(value)
    if None in shape:
        node.fail("a known shape", str(shape))
    return np.array(np.prod(shape, dtype=np.int64))


def reshape(graph, node):
    """Another shape: 0 copies a length, -1 takes what is left."""
    value, wanted = graph.value(node, 0), graph.numbers(node, "shape", 1)
    if wanted is None:
        node.fail("a shape", "none")
    copies = not node.get("allowzero", 0)
    if not isinstance(value, Layer):
        before = np.shape(value)
        same_kind(graph, node)
        return value.reshape([before[i] if n == 0 and copies else n
                              for i, n in enumerate(wanted)])
    x = graph.layer(node, 0)
    shape: list = []
    for place, n in enumerate(wanted):
        if n == 0 and copies or n == UNKNOWN and place < len(x.output_shape) and (
                x.output_shape[place] is None):
            shape.append([place])
        elif n == UNKNOWN:
            shape.append(-1)
        elif n < -1 or n == 0:
            node.fail("lengths that are known", str(wanted))
        else:
            shape.append(n)
    if shape == [[0], -1] and len(x.output_shape) > 1:
        return flattened(graph, node, x)
    return ReshapeLayer(x, tuple(shape), name=graph.called(node))


def same_kind(graph, node):
    """Let an array's numbers count as learnt behind an operator, too."""
    if node.inputs[0] in graph.learnt:
        graph.learnt.add(node.outputs[0])


def flattened(graph, node, x):
    """(N, ...) as (N, D); what was pooled over whole images has D alone already."""
    below = x.incomings[0] if x.incomings else None
    if isinstance(x, DimshuffleLayer) and isinstance(below, GlobalPoolLayer) and (
            x.pattern[:2] == (0, 1) and set(x.pattern[2:]) == {"x"}):
        return below
    return FlattenLayer(x, name=graph.called(node))


def flatten(graph, node):
    """Two axes, of those before one and of those behind."""
    x = graph.layer(node, 0)
    ndim = len(x.output_shape)
    axis = node.get("axis", 1)
    axis = axis + ndim if axis < 0 else axis
    if axis == 1 and ndim > 1:
        return flattened(graph, node, x)
    before, behind = x.output_shape[:axis], x.output_shape[axis:]
    lengths = [None if None in one else int(np.prod(one, dtype=int))
               for one in (before, behind)]
    if lengths == [None, None]:
        node.fail("known lengths before or behind the axis", str(x.output_shape))
    return ReshapeLayer(x, tuple(-1 if n is None else n for n in lengths),
                        name=graph.called(node))


def transpose(graph, node):
    """Axes in another order."""
    value = graph.value(node, 0)
    ndim = len(value.output_shape if isinstance(value, Layer) else value.shape)
    order = node.get("perm") or list(range(ndim))[::-1]
    if not isinstance(value, Layer):
        same_kind(graph, node)
        return value.transpose(order)
    return graph.shuffled(node, graph.layer(node, 0), order)


def squeeze(graph, node):
    """Without axes of length 1."""
    value, axes = graph.value(node, 0), graph.numbers(node, "axes", 1)
    if not isinstance(value, Layer):
        same_kind(graph, node)
        return np.squeeze(value, None if axes is None else tuple(axes))
    x = graph.layer(node, 0)
    shape = x.output_shape
    gone = ([axis for axis, n in enumerate(shape) if n == 1] if axes is None
            else [node.axis(len(shape), value=axis) for axis in axes])
    return graph.shuffled(node, x, [a for a in range(len(shape)) if a not in gone])


def unsqueeze(graph, node):
    """With new axes of length 1."""
    value, axes = graph.value(node, 0), graph.numbers(node, "axes", 1)
    if not isinstance(value, Layer):
        same_kind(graph, node)
        return np.expand_dims(value, tuple(axes))
    x = graph.layer(node, 0)
    ndim = len(x.output_shape) + len(axes)
    new = {axis + ndim if axis < 0 else axis for axis in axes}
    if len(new) < len(axes) or not new <= set(range(ndim)):
        node.fail(f"axes of {ndim}, each once", str(axes))
    old = iter(range(ndim))
    return DimshuffleLayer(x, tuple("x" if axis in new else next(old)
                                    for axis in range(ndim)), name=graph.called(node))


def concatenate(graph, node):
    """Arrays one behind the other."""
    values = [graph.value(node, place) for place in range(len(node.inputs))]
    axis = node.get("axis", 1)
    if not any(isinstance(one, Layer) for one in values):
        return np.concatenate(values, axis)
    layers = [graph.layer(node, place) for place in range(len(values))]
    return ConcatLayer(layers, axis, name=graph.called(node))


def part(graph, node):
    """From start to stop along axes."""
    value = graph.value(node, 0)
    starts, stops = (graph.numbers(node, name, place) for name, place
                     in (("starts", 1), ("ends", 2)))
    axes = graph.numbers(node, "axes", 3) or list(range(len(starts)))
    steps = graph.numbers(node, "steps", 4) or [1] * len(starts)
    if not len(starts) == len(stops) == len(axes) == len(steps) or UNKNOWN in (
            *starts, *stops):
        node.fail("a start, a stop and a step for each axis, which are known",
                  f"{starts}, {stops}, {axes}, {steps}")
    shape = value.output_shape if isinstance(value, Layer) else value.shape
    keys = {node.axis(len(shape), value=axis): slice(start, stop, step)
            for start, stop, axis, step in zip(starts, stops, axes, steps)}
    if not isinstance(value, Layer):
        same_kind(graph, node)
        return value[tuple(keys.get(a, slice(None)) for a in range(len(shape)))]
    x = graph.layer(node, 0)
    for axis, key in keys.items():
        n = shape[axis]
        if n is not None and key.indices(n) == (0, n, 1):
            continue
        x = SliceLayer(x, key, axis, name=graph.called(node))
    return x


def split(graph, node):
    """Parts along an axis, each a layer."""
    value, axis = graph.value(node, 0), node.get("axis", 0)
    shape = value.output_shape if isinstance(value, Layer) else value.shape
    n, lengths = shape[axis], graph.numbers(node, "split", 1)
    if lengths is None:
        if n is None:
            node.fail("an axis of known length", "another")
        parts = node.get("num_outputs") or len(node.outputs)
        each = -(-n // parts)
        lengths = [min(each, n - i * each) for i in range(parts)]
    if len(lengths) != len(node.outputs) or n is not None and sum(lengths) != n or (
            min(lengths) < 1):
        node.fail(f"lengths >= 1 that make up {n}, one for each output", str(lengths))
    ends = np.cumsum([0, *lengths]).tolist()
    if not isinstance(value, Layer):
        return np.split(value, ends[1:-1], axis)
    x = graph.layer(node, 0)
    return [SliceLayer(x, slice(start, stop), axis, name=name or None)
            for start, stop, name in zip(ends, ends[1:], node.outputs)]


def gather(graph, node):
    """What stands at places: rows of a table, or parts of a layer."""
    value, at = graph.value(node, 0), graph.value(node, 1)
    axis = node.get("axis", 0)
    if isinstance(at, Layer):
        if isinstance(value, Layer) or np.ndim(value) != 2 or axis != 0:
            node.fail("rows of a table that is fixed, where places are computed",
                      "others")
        table = graph.weights(node, 0)
        return EmbeddingLayer(graph.layer(node, 1, whole=True), *table.shape, table,
                              name=graph.called(node))
    at = np.asarray(at, np.int64)
    if not isinstance(value, Layer):
        same_kind(graph, node)
        return np.take(value, at, axis)
    x = graph.layer(node, 0)
    if at.ndim == 0:
        return SliceLayer(x, int(at), axis, name=graph.called(node))
    return graph.function(node, "take", [x], {"indices": at.tolist(), "axis": axis})


def pad(graph, node):
    """A border."""
    x = graph.layer(node, 0)
    ndim = len(x.output_shape)
    sides, mode = graph.numbers(node, "pads", 1), node.get("mode", "constant")
    axes = graph.numbers(node, "axes", 3)
    axes = (list(range(ndim)) if axes is None
            else [node.axis(ndim, value=axis) for axis in axes])
    if len(sides) != 2 * len(axes) or mode not in ("constant", "edge", "reflect",
                                                   "wrap"):
        node.fail("a mode of minifer, and two numbers for each axis",
                  f"{mode!r}, {sides}")
    val = node.get("value", 0.0)
    if node.has(2):
        val = float(graph.array(node, 2, "a value").item())
    widths = [(0, 0)] * ndim
    for axis, first, last in zip(axes, sides, sides[len(axes):]):
        widths[axis] = (first, last)
    free = next((axis for axis, one in enumerate(widths) if one != (0, 0)), ndim)
    if mode == "constant" and min(sides) >= 0 and np.isfinite(val):
        return PadLayer(x, widths[free:], val, free, name=graph.called(node))
    return graph.function(node, "pad", [x], {"widths": widths, "mode": mode,
                                             "value": val})


def expand(graph, node):
    """Stretched to a shape."""
    value = graph.value(node, 0)
    shape = [1 if n == UNKNOWN else n for n in graph.numbers(node, "shape", 1)]
    if min(shape, default=1) < 1 or np.prod(shape, dtype=object) > LARGEST:
        node.fail("lengths >= 1", str(shape))
    if not isinstance(value, Layer):
        return np.broadcast_to(value, np.broadcast_shapes(value.shape, tuple(shape)))
    return graph.function(node, "expand", [graph.layer(node, 0)], {"shape": shape})


def tile(graph, node):
    """Again and again."""
    value = graph.value(node, 0)
    reps = graph.numbers(node, "repeats", 1)
    if min(reps, default=1) < 1:
        node.fail("numbers >= 1", str(reps))
    if not isinstance(value, Layer):
        if np.prod([value.size, *reps], dtype=object) > LARGEST:
            node.fail(f"at most {LARGEST:,} numbers", str(reps))
        return np.tile(value, reps)
    return graph.function(node, "tile", [graph.layer(node, 0)], {"reps": reps})


def resize(graph, node):
    """Each pixel several times, or joined to its neighbours by lines."""
    x = graph.layer(node, 0)
    shape = x.output_shape
    n = len(shape) - 2
    scales = node.get("scales")
    place = 1 if node.op == "Upsample" or graph.version < 11 else 2
    if scales is None and node.has(place):
        scales = graph.array(node, place, "scales").tolist()
    if not scales and node.has(3):
        sizes = graph.numbers(node, "sizes", 3)
        if len(sizes) == len(shape):
            scales = [1 if a is None or a == b else b / a
                      for a, b in zip(shape, sizes)]
    whole = scales and len(scales) == len(shape) and all(
        s >= 1 and s == int(s) for s in scales) and list(scales[:2]) == [1, 1]
    way = (node.get("coordinate_transformation_mode", "half_pixel"),
           node.get("nearest_mode", "round_prefer_floor"))
    lines = (node.get("mode", "nearest") == "linear" and node.op == "Resize"
             and graph.version >= 11 and way[0] == "half_pixel")
    if lines and whole and n in UPSCALES and node.attributes.get("axes") is None:
        return UPSCALES[n](x, tuple(int(s) for s in scales[2:]), "linear",
                           name=graph.called(node))
    if (node.get("mode", "nearest") != "nearest" or not whole or n not in UPSCALES
            or node.op == "Resize" and graph.version >= 11 and way not in (
                ("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"),
                ("half_pixel", "round_prefer_ceil"))
            or node.attributes.get("axes") is not None):
        node.fail("images that grow by whole factors, pixels repeated",
                  f"scales {scales}, mode {node.get('mode', 'nearest')!r}, {way}")
    return UPSCALES[n](x, tuple(int(s) for s in scales[2:]), name=graph.called(node))


def blocks(graph, node):
    """Channels to pixels, and back."""
    x, b = graph.layer(node, 0), node.get("blocksize")
    _, C, H, W = x.output_shape
    if None in (C, H, W):
        node.fail("known lengths but of the batch", str(x.output_shape))
    name = graph.called(node)
    if node.op == "SpaceToDepth":
        y = ReshapeLayer(x, ([0], C, H // b, b, W // b, b))
        y = DimshuffleLayer(y, (0, 3, 5, 1, 2, 4) if node.get("mode", "DCR") == "DCR"
                            else (0, 1, 3, 5, 2, 4))
        return ReshapeLayer(y, ([0], C * b * b, H // b, W // b), name=name)
    if node.get("mode", "DCR") == "DCR":
        y = ReshapeLayer(x, ([0], b, b, C // (b * b), H, W))
        y = DimshuffleLayer(y, (0, 3, 4, 1, 5, 2))
    else:
        y = ReshapeLayer(x, ([0], C // (b * b), b, b, H, W))
        y = DimshuffleLayer(y, (0, 1, 4, 2, 5, 3))
    return ReshapeLayer(y, ([0], C // (b * b), H * b, W * b), name=name)


TABLE = {"Constant": constant, "ConstantOfShape": filled, "Range": arange,
         "Identity": same, "Cast": cast, "Shape": shape_of, "Size": size_of,
         "Reshape": reshape, "Flatten": flatten, "Transpose": transpose,
         "Squeeze": squeeze, "Unsqueeze": unsqueeze, "Concat": concatenate,
         "Slice": part, "Split": split, "Gather": gather, "Pad": pad,
         "Expand": expand, "Tile": tile, "Resize": resize, "Upsample": resize,
         "DepthToSpace": blocks, "SpaceToDepth": blocks}
