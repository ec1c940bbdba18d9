"""minifer's network in Keras 3: python examples/elsewhere/in_keras.py model.json

`minifer export model.npz model.h5` writes the weights in Keras's names and layout, and
model.json, which says what the network is. This file knows nothing of minifer: it
builds the network from the JSON, for images (N, H, W, C), and loads the weights by
name. The layers are those of minifer's models.
"""

import json
import sys

import keras
from keras import layers, ops


def build(blueprint):
    """The model of a blueprint; its layers have their names."""
    values, shapes = {}, {}
    for layer in blueprint["layers"]:
        below = [values[name] for name in layer["reads"]]
        read = [shapes[name] for name in layer["reads"]]
        shapes[layer["name"]] = layer["output_shape"]
        values[layer["name"]] = _activated(layer, _step(layer, below, read))
    first, last = blueprint["layers"][0]["name"], blueprint["layers"][-1]["name"]
    return keras.Model(values[first], values[last])


def _step(layer, xs, shapes):
    """The output of one layer, before its nonlinearity."""
    x, name, kind = (xs or [None])[0], layer["name"], layer["type"]
    images = len(layer["output_shape"]) == 4
    if kind == "InputLayer":
        C, *lengths = layer["output_shape"][1:]
        return keras.Input((*lengths, C), name=name)
    if kind == "Conv2DLayer":
        return layers.Conv2D(
            layer["num_filters"], layer["filter_size"], layer["stride"],
            use_bias="bias" in layer["arrays"], groups=layer.get("num_groups", 1),
            name=name)(_padded(x, _sides(layer), 0.))
    if kind == "DenseLayer":
        flat = layers.Flatten()(x) if len(shapes[0]) > 2 else x
        return layers.Dense(layer["num_units"], use_bias="bias" in layer["arrays"],
                            name=name)(flat)
    if kind in ("BatchNormLayer", "FrozenBatchNormLayer"):
        return layers.BatchNormalization(
            epsilon=layer["epsilon"], momentum=1 - layer["alpha"],
            scale="gamma" in layer["arrays"], center="beta" in layer["arrays"],
            name=name)(x)
    if kind == "DropoutLayer":
        return layers.Dropout(layer["p"])(x)
    if kind == "NonlinearityLayer":
        return x
    if kind == "FlattenLayer":
        return layers.Flatten()(x)
    if kind == "ConcatLayer":
        return ops.concatenate(xs, axis=-1 if images and layer["axis"] == 1
                               else layer["axis"])
    if kind == "ElemwiseSumLayer":
        return sum(coeff * one for coeff, one in zip(layer["coeffs"], xs))
    if kind == "GlobalPoolLayer":
        pool = {"mean": ops.mean, "max": ops.max, "sum": ops.sum}
        return pool[layer["pool_function"]](x, axis=(1, 2))
    if kind == "SliceLayer":  # of channels
        return x[..., slice(*layer["indices"]["slice"])]
    if kind == "LocalResponseNormalization2DLayer":
        return _response_norm(layer, x)
    if "Pool2D" in kind:
        return _pooled(layer, x)
    raise NotImplementedError(f"{name}: a {kind}")


def _sides(layer):
    """Zeros before and behind rows and columns."""
    return [(p, p) if isinstance(p, int) else tuple(p) for p in layer["pad"]]


def _padded(x, edges, value):
    if not any(map(any, edges)):
        return x
    return ops.pad(x, [(0, 0), *edges, (0, 0)], constant_values=value)


def _pooled(layer, x):
    """Windows of which the last may hang over the end (ignore_border false)."""
    size, stride, sides = layer["pool_size"], layer["stride"], _sides(layer)
    edges = []
    for axis in (0, 1):
        n, out = x.shape[1 + axis], layer["output_shape"][2 + axis]
        before = sides[axis][0]
        over = (out - 1) * stride[axis] + size[axis] - n - before
        edges.append((before, max(0, over)))
    if layer.get("mode", "max") == "max":
        return ops.max_pool(_padded(x, edges, -float("inf")), size, stride, "valid")
    whole = ops.average_pool(_padded(x, edges, 0.), size, stride, "valid")
    if layer["mode"] == "average_inc_pad":
        return whole
    ones = ops.ones((1, *x.shape[1:3], 1))
    return whole / ops.average_pool(_padded(ones, edges, 0.), size, stride, "valid")


def _response_norm(layer, x):
    half, C = layer["n"] // 2, x.shape[-1]
    squares = ops.pad(x * x, [(0, 0)] * 3 + [(half, half)])
    total = sum(squares[..., place:place + C] for place in range(layer["n"]))
    return x / (layer["k"] + layer["alpha"] * total) ** layer["beta"]


def _activated(layer, x):
    options = dict(layer.get("nonlinearity") or {"nonlinearity": "identity"})
    function = options.pop("nonlinearity")
    if function == "identity":
        return x
    # By a name of its own: Keras calls an operation as a layer may be called.
    name = f"{layer['name']}_{function}"
    if function == "leaky_rectify":
        return layers.LeakyReLU(options["leakiness"], name=name)(x)
    if function == "clipped_rectify":
        return layers.ReLU(options["ceiling"], name=name)(x)
    function = {"rectify": "relu"}.get(function, function)
    return layers.Activation(function, name=name)(x)


def load(path):
    """The model of model.json and model.h5."""
    with open(path, encoding="utf-8") as file:
        model = build(json.load(file))
    model.load_weights(path.removesuffix(".json") + ".h5", by_name=True)
    return model


if __name__ == "__main__":
    load(sys.argv[1]).summary()
