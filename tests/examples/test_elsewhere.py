"""examples/elsewhere/: minifer's networks in PyTorch and Keras give the same."""

import sys

import numpy as np
import pytest

from helpers import runs
from minifer import layers, models, nonlinearities, random
from minifer.layers import InputLayer
from minifer.weights.foreign import torch_arrays

#: Keras's arrays of PyTorch do not know NumPy 2's ``copy`` yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")

LIBRARIES = {"torch": ["torch", "safetensors"], "keras": ["keras", "h5py"]}


def needs(library):
    for name in LIBRARIES[library]:
        pytest.importorskip(name, reason=f"{name} is not installed",
                            exc_type=ImportError)


@pytest.fixture(scope="module")
def compare():
    """The example, which imports those beside it."""
    sys.path.insert(0, str(runs.EXAMPLES / "elsewhere"))
    yield runs.example("elsewhere/compare")
    sys.path.remove(str(runs.EXAMPLES / "elsewhere"))


def all_kinds():
    """Every kind of layer that the examples know, on images that are no squares."""
    x = InputLayer((None, 4, 13, 10), name="input")
    x = layers.Conv2DLayer(x, 6, (3, 5), stride=(2, 1), pad=(0, 2), name="conv")
    x = layers.LocalResponseNormalization2DLayer(x, name="lrn")
    parts = [layers.SliceLayer(x, slice(0, 2), axis=1),
             layers.Conv2DLayer(layers.SliceLayer(x, slice(2, None), axis=1), 2, 3,
                                pad=1, flip_filters=False, b=None,
                                nonlinearity=nonlinearities.elu, name="branch")]
    x = layers.ConcatLayer(parts)
    x = layers.ElemwiseSumLayer([x, layers.NonlinearityLayer(x, nonlinearities.tanh)],
                                coeffs=[1., -.5])
    pooled = [layers.Pool2DLayer(x, 3, stride=2, pad=1, mode=mode)
              for mode in ("max", "average_inc_pad", "average_exc_pad")]
    pooled += [layers.Pool2DLayer(x, 2, mode=mode, ignore_border=False)
               for mode in ("max", "average_exc_pad")]
    x = layers.BatchNormLayer(layers.ConcatLayer(pooled), name="norm")
    x = layers.DenseLayer(x, 9, nonlinearity=nonlinearities.leaky_rectify, name="fc")
    x = layers.dropout(layers.BatchNormLayer(x, gamma=None, name="norm2"))
    return layers.DenseLayer(x, 3, nonlinearity=nonlinearities.softmax, name="output")


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("build", [
    all_kinds, lambda: models.six_conv(size=16), models.small_resnet,
    lambda: models.densenet(depth=10), lambda: models.resnet((1, 1), width=4, size=32),
    lambda: models.keras_resnet((1, 1), width=4, size=32),
    models.mini_xception],
    ids=["all", "six_conv", "small_resnet", "densenet", "resnet", "keras_resnet",
         "mini_xception"])
def test_outputs_are_minifers(compare, tmp_path, library, build):
    needs(library)
    random.set_rng(0)
    network = build()
    compare.shake(network)
    shape = layers.get_all_layers(network)[0].shape[1:]
    x = np.random.default_rng(1).standard_normal((3, *shape), "float32")
    compare.calm(network, x)
    y = layers.get_output(network, x, deterministic=True)
    assert y.ndim == 4 or y.max() < .999  # no softmax that is sure of itself
    assert compare.apart(library, network, x, tmp_path) < 1e-5


def test_what_a_file_lacks_is_seen(compare, tmp_path):
    """The comparison is no formality: another network's weights are far away."""
    needs("torch")
    network, wrong = models.six_conv(size=16), models.six_conv(size=16)
    compare.shake(network)
    compare.shake(wrong, seed=7)
    x = np.random.default_rng(1).standard_normal((3, 1, 16, 16), "float32")
    compare.torch_arrays = lambda _: torch_arrays(wrong)
    try:
        assert compare.apart("torch", network, x, tmp_path) > 1e-2
    finally:
        compare.torch_arrays = torch_arrays


def test_it_goes_on_learning_in_pytorch(compare, tmp_path):
    needs("torch")
    import in_pytorch
    import torch
    network = models.six_conv(size=16)
    x = np.zeros((2, 1, 16, 16), "float32")
    compare.apart("torch", network, x, tmp_path)
    there = in_pytorch.load(f"{tmp_path}/model.json").train()
    there(torch.from_numpy(x)).sum().backward()
    assert all(p.grad is not None for p in there.parameters())
    assert len(list(there.parameters())) == len(
        layers.get_all_params(network, trainable=True))


def test_the_table(compare, capsys):
    needs("torch")
    compare.main(["mlp"])
    head, row = capsys.readouterr().out.splitlines()[-2:]
    assert head.split()[:3] == ["network", "input", "parameters"]
    assert row.split()[:2] == ["mlp", "1×16×16"] and float(row.split()[3]) < 1e-5
