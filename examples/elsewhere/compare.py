"""minifer's networks in PyTorch and Keras: python examples/elsewhere/compare.py

Each network of minifer.models is built small, given weights and batch statistics drawn
at random, exported, and built again by in_pytorch.py and in_keras.py from what was
written. The table says how far their outputs are from minifer's, as a part of the
largest. It needs torch, safetensors, keras and h5py, and names what is missing.
"""

import importlib
import inspect
import os
import sys
import tempfile

import numpy as np

from minifer import layers, models, random
from minifer.commands.show import built_in
from minifer.files import write_json
from minifer.weights import Model
from minifer.weights.foreign import (blueprint, keras_arrays, torch_arrays, write_keras,
                                     write_safetensors)

#: Sides of the images, where a network's own are larger than needed here.
SIZES = {"caffenet": 99, "vgg_cnn_s": 99, "googlenet": 64, "inception_v3": 107,
         "vgg16": 32, "vgg19": 32, "ck96": 48, "r2": 96, "six_conv": 16, "mlp": 16}
RESIDUAL = 64


def small(name):
    """A network of minifer.models, at a small size and with few classes."""
    build = getattr(models, name)
    options, named = {}, inspect.signature(build).parameters
    if "num_classes" in named:
        options["num_classes"] = 7
    if "size" in named and (name in SIZES or "resnet" in name):
        options["size"] = SIZES.get(name, RESIDUAL)
    if name == "mlp":
        options["batch_norm"] = True
    made = build(**options)
    return getattr(made, "network", made)


def shake(network, seed=0):
    """Give biases, factors and batch statistics values that no layer starts with."""
    rng = np.random.default_rng(seed)
    for layer in layers.get_all_layers(network):
        if getattr(layer, "b", None) is not None:
            layer.b.set_value(.1 * rng.standard_normal(layer.b.shape, "float32"))
        if isinstance(layer, layers.BatchNormLayer):
            for param in (layer.mean, layer.beta):
                if param is not None:
                    param.set_value(.1 * rng.standard_normal(param.shape, "float32"))
            for param in (layer.gamma, layer.inv_std):
                if param is not None:
                    param.set_value(rng.uniform(.8, 1.2, param.shape).astype("float32"))


def calm(network, x):
    """Divide the last weights, so that the scores before a softmax are 3 at most.

    A softmax of larger ones is sure of itself, and would hide what is not right.
    """
    scores = layers.forward(network, x, deterministic=True, logits=True)[0]
    most = abs(scores).max() / 3
    *_, last = (one for one in layers.get_all_layers(network) if one.params)
    if most > 1 and hasattr(last, "W"):
        for param in last.params:
            param.set_value(param.get_value() / most)


def apart(library, network, x, folder):
    """How far a library's output is from minifer's, as a part of the largest."""
    y = layers.get_output(network, x, deterministic=True)
    model = Model(network, tuple(str(k) for k in range(y.shape[1])))
    path = os.path.join(folder, "model")
    write_json(f"{path}.json", blueprint(model, library))
    if library == "torch":
        write_safetensors(f"{path}.safetensors", torch_arrays(network))
        import in_pytorch
        import torch
        with torch.no_grad():
            found = in_pytorch.load(f"{path}.json")(torch.from_numpy(x)).numpy()
    else:
        write_keras(f"{path}.h5", keras_arrays(network))
        import in_keras
        found = in_keras.load(f"{path}.json").predict(
            x.transpose(0, 2, 3, 1), verbose=0)
        if found.ndim == 4:
            found = found.transpose(0, 3, 1, 2)
    return float(abs(found - y).max() / abs(y).max())


def main(names):
    """Print the table."""
    versions = {}
    for library, needs in (("torch", "safetensors"), ("keras", "h5py")):
        try:
            importlib.import_module(needs)
            versions[library] = importlib.import_module(library).__version__
        except ImportError as error:
            print(f"{library}: left out ({error})")
    columns = "".join(f"  {name + ' ' + one:>16}" for name, one in versions.items())
    print(f"{'network':<17}{'input':>10}{'parameters':>12}{columns}")
    for name in names or [one for one in built_in() if hasattr(models, one)]:
        random.set_rng(0)
        network = small(name)
        shake(network)
        shape = layers.get_all_layers(network)[0].shape[1:]
        x = np.random.default_rng(1).standard_normal((2, *shape), "float32")
        calm(network, x)
        with tempfile.TemporaryDirectory() as folder:
            found = [apart(library, network, x, folder) for library in versions]
        print(f"{name:<17}{'×'.join(map(str, shape)):>10}"
              f"{layers.count_params(network):>12,}"
              + "".join(f"  {one:16.1e}" for one in found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
