"""minifer's network in PyTorch: python examples/elsewhere/in_pytorch.py model.json

`minifer export model.npz model.safetensors` writes the weights in PyTorch's names and
layout, and model.json, which says what the network is. This file knows nothing of
minifer: it builds the network from the JSON, loads the weights, and can be trained on.
The layers are those of minifer's models.
"""

import json
import sys

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

ACTIVATIONS = {"identity": lambda x: x, "rectify": F.relu, "tanh": torch.tanh,
               "sigmoid": torch.sigmoid, "softmax": lambda x: F.softmax(x, dim=-1),
               "elu": F.elu, "selu": F.selu, "softplus": F.softplus,
               "leaky_rectify": F.leaky_relu,
               "clipped_rectify": lambda x, ceiling: x.clamp(0, ceiling)}


class Network(nn.Module):
    """A network from its blueprint; its modules have the layers' names."""

    def __init__(self, blueprint):
        super().__init__()
        self.plan = blueprint["layers"]
        shapes = {layer["name"]: layer["output_shape"] for layer in self.plan}
        for layer in self.plan:
            module = _module(layer, [shapes[name] for name in layer["reads"]])
            if module is not None:
                _put(self, layer["name"], module)

    def forward(self, x):
        values = {}
        for layer in self.plan:
            below = [values[name] for name in layer["reads"]] or [x]
            values[layer["name"]] = self.step(layer, below)
        return values[self.plan[-1]["name"]]

    def step(self, layer, xs):
        """The output of one layer."""
        x, kind = xs[0], layer["type"]
        if layer["arrays"]:
            if kind == "DenseLayer":
                x = x.flatten(1)
            elif kind == "Conv2DLayer" and not _is_even(layer):
                x = F.pad(x, [n for sides in reversed(_sides(layer)) for n in sides])
            y = self.get_submodule(layer["name"])(x)
            return _activated(layer, y)
        if kind in ("InputLayer", "DropoutLayer"):
            p = layer.get("p", 0.)
            return F.dropout(x, p, self.training and p > 0)
        if kind == "NonlinearityLayer":
            return _activated(layer, x)
        if kind == "FlattenLayer":
            return x.flatten(1)
        if kind == "ConcatLayer":
            return torch.cat(xs, dim=layer["axis"])
        if kind == "ElemwiseSumLayer":
            return sum(coeff * one for coeff, one in zip(layer["coeffs"], xs))
        if kind == "GlobalPoolLayer":
            pool = {"mean": torch.mean, "max": torch.amax, "sum": torch.sum}
            return pool[layer["pool_function"]](x.flatten(2), dim=2)
        if kind == "SliceLayer":
            start, stop, step = layer["indices"]["slice"]
            return x[(slice(None),) * layer["axis"] + (slice(start, stop, step),)]
        if kind == "LocalResponseNormalization2DLayer":
            return F.local_response_norm(x, layer["n"], layer["alpha"] * layer["n"],
                                         layer["beta"], layer["k"])
        if "Pool2D" in kind:
            return _pooled(layer, x)
        raise NotImplementedError(f"{layer['name']}: a {kind}")


def _module(layer, below):
    """The module of a layer that has weights."""
    bias, kind = "bias" in layer["arrays"], layer["type"]
    if kind == "Conv2DLayer":
        return nn.Conv2d(below[0][1], layer["num_filters"], layer["filter_size"],
                         layer["stride"], layer["pad"] if _is_even(layer) else 0,
                         bias=bias,
                         groups=layer.get("num_groups", 1))
    if kind == "DenseLayer":
        inputs = torch.Size(below[0][1:]).numel()
        return nn.Linear(inputs, layer["num_units"], bias=bias)
    if kind in ("BatchNormLayer", "FrozenBatchNormLayer"):
        norm = nn.BatchNorm2d if len(below[0]) == 4 else nn.BatchNorm1d
        return norm(below[0][1], layer["epsilon"], layer["alpha"])
    return None


def _sides(layer):
    """Zeros before and behind rows and columns."""
    return [(p, p) if isinstance(p, int) else tuple(p) for p in layer["pad"]]


def _is_even(layer):
    return all(isinstance(p, int) for p in layer["pad"])


def _put(module, name, child):
    """Put a module where the dots of its name lead."""
    *path, last = name.split(".")
    for part in path:
        if part not in module._modules:
            module.add_module(part, nn.Module())
        module = module._modules[part]
    module.add_module(last, child)


def _activated(layer, x):
    options = dict(layer.get("nonlinearity") or {"nonlinearity": "identity"})
    name = options.pop("nonlinearity")
    if "leakiness" in options:
        options = {"negative_slope": options["leakiness"]}
    return ACTIVATIONS[name](x, **options)


def _pooled(layer, x):
    """Windows of which the last may hang over the end (ignore_border false)."""
    size, stride, sides = layer["pool_size"], layer["stride"], _sides(layer)
    edges = []  # from the last axis on: zeros before and behind it
    for axis in (1, 0):
        n, out = x.shape[2 + axis], layer["output_shape"][2 + axis]
        before = sides[axis][0]
        over = (out - 1) * stride[axis] + size[axis] - n - before
        edges += [before, max(0, over)]
    if layer.get("mode", "max") == "max":
        return F.max_pool2d(F.pad(x, edges, value=-float("inf")), size, stride)
    whole = F.avg_pool2d(F.pad(x, edges), size, stride)
    if layer["mode"] == "average_inc_pad":
        return whole
    return whole / F.avg_pool2d(F.pad(torch.ones_like(x), edges), size, stride)


def load(path):
    """The network of model.json and model.safetensors, ready to judge."""
    with open(path, encoding="utf-8") as file:
        network = Network(json.load(file))
    network.load_state_dict(load_file(path.removesuffix(".json") + ".safetensors"))
    return network.eval()


if __name__ == "__main__":
    print(load(sys.argv[1]))
