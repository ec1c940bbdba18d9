"""The networks on FER2013 that are trained from nothing: F, R and A of the seeds."""

import numpy as np
import pytest

from helpers.networks import (check_comes_back, check_learns, check_slope, counts_of,
                              outputs_of, train)
from minifer import models, nonlinearities, random, tensor
from minifer.errors import SettingError, ShapeError
from minifer.layers import (BatchNormLayer, Conv2DLayer, DropoutLayer, MaxPool2DLayer,
                            count_params, get_all_layers, get_all_params,
                            set_all_param_values)

#: model -> outputs of one image, parameters of each layer, in all, trainable
TABLES = {
    "fcn48": (
        {"input": (1, 48, 48), "conv1": (32, 46, 46), "conv2": (64, 44, 44),
         "pool1": (64, 22, 22), "conv3": (128, 20, 20), "pool2": (128, 10, 10),
         "conv4": (128, 8, 8), "pool3": (128, 4, 4), "drop1": (128, 4, 4),
         "conv5": (7, 4, 4), "conv6": (7, 1, 1), "flatten": (7,), "output": (7,)},
        {"conv1": 320, "conv2": 18496, "conv3": 73856, "conv4": 147584,
         "conv5": 903, "conv6": 791}, 241950, 241950),
    "fcn48_dense": (
        {"input": (1, 48, 48), "conv1": (32, 46, 46), "conv2": (64, 44, 44),
         "pool1": (64, 22, 22), "drop1": (64, 22, 22), "conv3": (128, 20, 20),
         "pool2": (128, 10, 10), "conv4": (128, 8, 8), "pool3": (128, 4, 4),
         "drop2": (128, 4, 4), "dense1": (1024,), "output": (7,)},
        {"conv1": 320, "conv2": 18496, "conv3": 73856, "conv4": 147584,
         "dense1": 2098176, "output": 7175}, 2345607, 2345607),
    "r1": (
        {"input": (1, 48, 48), "conv1": (32, 48, 48), "conv2": (64, 48, 48),
         "bn1": (64, 48, 48), "pool1": (64, 24, 24), "drop1": (64, 24, 24),
         "output": (7,)},
        {"conv1": 320, "conv2": 18496, "bn1": 256, "output": 258055}, 277127, 276999),
    "r2": (
        {"input": (1, 96, 96), "conv1": (32, 96, 96), "conv2": (64, 96, 96),
         "bn1": (64, 96, 96), "pool1": (64, 48, 48), "drop1": (64, 48, 48),
         "conv3": (128, 48, 48), "conv4": (256, 48, 48), "bn2": (256, 48, 48),
         "pool2": (256, 24, 24), "drop2": (256, 24, 24), "conv5": (512, 24, 24),
         "conv6": (256, 24, 24), "bn3": (256, 24, 24), "pool3": (256, 12, 12),
         "drop3": (256, 12, 12), "conv7": (128, 12, 12), "dense1": (64,),
         "dense2": (128,), "drop4": (128,), "dense3": (256,), "dense4": (128,),
         "drop5": (128,), "output": (7,)},
        {"conv1": 320, "conv2": 18496, "bn1": 256, "conv3": 73856, "conv4": 295168,
         "bn2": 1024, "conv5": 1180160, "conv6": 1179904, "bn3": 1024, "conv7": 295040,
         "dense1": 1179712, "dense2": 8320, "dense3": 33024, "dense4": 32896,
         "output": 903}, 4300103, 4298951),
    "six_conv": (
        {"input": (1, 48, 48), "conv1": (32, 48, 48), "bn1": (32, 48, 48),
         "conv2": (32, 48, 48), "bn2": (32, 48, 48), "pool1": (32, 24, 24),
         "conv3": (64, 24, 24), "bn3": (64, 24, 24), "conv4": (64, 24, 24),
         "bn4": (64, 24, 24), "pool2": (64, 12, 12), "conv5": (128, 12, 12),
         "bn5": (128, 12, 12), "conv6": (128, 12, 12), "bn6": (128, 12, 12),
         "pool3": (128, 6, 6), "drop1": (128, 6, 6), "dense1": (256,),
         "drop2": (256,), "output": (7,)},
        {"conv1": 320, "bn1": 128, "conv2": 9248, "bn2": 128, "conv3": 18496,
         "bn3": 256, "conv4": 36928, "bn4": 256, "conv5": 73856, "bn5": 512,
         "conv6": 147584, "bn6": 512, "dense1": 1179904, "output": 1799},
        1469927, 1469031),
    "mlp": (
        {"input": (1, 48, 48), "dense1": (1024,), "dense2": (512,), "dense3": (256,),
         "dense4": (128,), "output": (7,)},
        {"dense1": 2360320, "dense2": 524800, "dense3": 131328, "dense4": 32896,
         "output": 903}, 3050247, 3050247)}


@pytest.mark.parametrize("name", TABLES)
def test_shapes_and_counts_are_those_of_the_text(name):
    outputs, counts, in_all, trainable = TABLES[name]
    network = getattr(models, name)()
    assert list(outputs_of(network).items()) == list(outputs.items())
    assert counts_of(network) == counts
    assert count_params(network) == in_all
    assert count_params(network, trainable=True) == trainable
    assert {p.dtype.name for p in get_all_params(network)} == {"float32"}
    assert all(layer.output_shape[0] is None for layer in get_all_layers(network))


@pytest.mark.parametrize("name", TABLES)
def test_hidden_layers_are_rectified_and_the_last_is_a_softmax(name):
    *hidden, last = get_all_layers(getattr(models, name)())
    assert last.nonlinearity is nonlinearities.softmax
    relu = nonlinearities.leaky_rectify if name == "mlp" else nonlinearities.rectify
    active = [one for one in hidden if hasattr(one, "nonlinearity")]
    assert active and all(one.nonlinearity is relu for one in active)


@pytest.mark.parametrize("name, pad, drops", [
    ("fcn48", None, [.25]), ("fcn48_dense", None, [.25, .25]), ("r1", 1, [.25]),
    ("r2", 1, [.25, .25, .25, .5, .5]), ("six_conv", 1, [.25, .5])])
def test_convolutions_are_correlations_and_pools_halve(name, pad, drops):
    every = get_all_layers(getattr(models, name)())
    convs = [one for one in every if isinstance(one, Conv2DLayer)]
    assert not any(conv.flip_filters for conv in convs)
    assert {conv.pad for conv in convs} == {(pad, pad) if pad else (0, 0)}
    pools = [one for one in every if isinstance(one, MaxPool2DLayer)]
    assert {(pool.pool_size, pool.stride) for pool in pools} == {((2, 2), (2, 2))}
    assert [one.p for one in every if isinstance(one, DropoutLayer)] == drops


def test_batch_norms_have_the_constants_of_their_library():
    def constants(network):
        return {(one.epsilon, one.alpha) for one in get_all_layers(network)
                if isinstance(one, BatchNormLayer)}

    assert constants(models.r1()) == constants(models.r2()) == {(1e-3, .01)}
    assert constants(models.six_conv()) == {(1e-5, .1)}


# --- options ------------------------------------------------------------------

def test_an_input_variable_classes_and_sizes_are_taken():
    for name in TABLES:
        x = tensor.tensor4("x")
        network = getattr(models, name)(x, num_classes=5)
        assert get_all_layers(network)[0].input_var is x
        assert network.output_shape == (None, 5)
    assert outputs_of(models.r1(size=2))["pool1"] == (64, 1, 1)
    assert outputs_of(models.r2(size=8))["conv7"] == (128, 1, 1)
    assert outputs_of(models.six_conv(size=8))["pool3"] == (128, 1, 1)
    assert outputs_of(models.mlp(size=3))["input"] == (1, 3, 3)


def test_mlp_with_batch_norm_and_dropout():
    network = models.mlp(batch_norm=True, dropout=0.3, size=4)
    names = ["input"] + [part.format(i) for i in range(1, 5) for part in (
        "dense{}", "dense{}_bn", "dense{}_bn_nonlin", "drop{}")] + ["output"]
    every = {one.name: one for one in get_all_layers(network)}
    assert list(every) == names
    assert all(every[f"drop{i}"].p == 0.3 and every[f"dense{i}"].b is None
               and every[f"dense{i}_bn_nonlin"].nonlinearity
               is nonlinearities.leaky_rectify for i in range(1, 5))
    assert every["output"].b is not None
    assert (count_params(models.mlp(batch_norm=True))
            == count_params(models.mlp()) + 5760)


def test_mlp_starts_from_xavier_and_takes_another_nonlinearity():
    random.set_rng(0)
    network = models.mlp(nonlinearity=nonlinearities.rectify)
    first = get_all_layers(network)[1]
    limit = (6 / (2304 + 1024)) ** 0.5
    assert 0.999 * limit < np.abs(first.W.value).max() <= limit
    assert {one.nonlinearity for one in get_all_layers(network)[1:-1]} == {
        nonlinearities.rectify}


def test_small_resnet_has_blocks_of_several_kinds():
    widths = {"widths": (4, 6), "stem": 3}
    pair = 4 * 3 * 9 + 4 * 4 * 9 + 3 * 4, 6 * 4 * 9 + 6 * 6 * 9 + 4 * 6
    rest = 3 * 9 + (6 + 1) * 7
    norms = 4 * (3 + 3 * 4 + 3 * 6)
    for options, expected in [
            ({"blocks": 1}, sum(pair) + rest + norms),
            ({"blocks": 1, "residual": False},
             sum(pair) + rest + norms - 3 * 4 - 4 * 6 - 4 * (4 + 6)),
            ({"blocks": 1, "separable": True},
             9 * (3 + 4 + 4 + 6) + 2 * (3 * 4 + 4 * 6) + 4 * 4 + 6 * 6 + rest + norms),
            ({}, sum(pair) + 2 * 9 * (16 + 36) + rest + norms + 8 * (4 + 6))]:
        network = models.small_resnet(**widths, **options)
        assert count_params(network) == expected
        assert outputs_of(network)["mean"] == (6,)


@pytest.mark.parametrize("name, options, error, message", [
    ("small_resnet", {"widths": ()}, ShapeError, "one width or more, got none"),
    ("small_resnet", {"widths": [4] * 6}, ShapeError, "MaxPool2DLayer 'pool6'"),
    ("small_resnet", {"blocks": 0}, SettingError, "blocks: expected a whole number"),
    ("r1", {"size": 1}, ShapeError, "MaxPool2DLayer 'pool1'"),
    ("r2", {"size": 7}, ShapeError, "MaxPool2DLayer 'pool3'"),
    ("six_conv", {"size": 7}, ShapeError, "MaxPool2DLayer 'pool3'"),
    ("mlp", {"size": 0}, ShapeError, "InputLayer 'input'"),
    ("mlp", {"dropout": 1}, ShapeError, "DropoutLayer 'drop1'"),
    ("mlp", {"nonlinearity": max}, SettingError, "forward and backward"),
    ("fcn48", {"num_classes": 0}, ShapeError, "'conv5': expected num_filters .+ got 0"),
    ("fcn48_dense", {"num_classes": 0}, ShapeError, "'output'")])
def test_impossible_options_are_refused(name, options, error, message):
    with pytest.raises(error, match=message):
        getattr(models, name)(**options)


# --- the penalty of F -----------------------------------------------------------

@pytest.mark.parametrize("name, convolutions", [("fcn48", 6), ("fcn48_dense", 4)])
def test_the_penalty_is_a_ten_thousandth_of_the_squares_of_each_kernel(
        name, convolutions):
    network = getattr(models, name)()
    set_all_param_values(network, [np.full(p.shape, 3.0)
                                   for p in get_all_params(network)])
    kernels = [p for p in get_all_params(network)
               if p.name.startswith("conv") and p.name.endswith(".W")]
    assert len(kernels) == convolutions and models.FCN48_L2 == 1e-4
    expected = 1e-4 * 9 * sum(p.size for p in kernels)
    assert abs(float(models.fcn48_penalty(network)) / expected - 1) < 1e-5


def test_a_step_with_the_penalty_pulls_kernels_to_zero():
    moved = []
    for weight in (0, 1e4):
        random.set_rng(0)
        network = models.fcn48()
        before = np.abs(get_all_params(network)[0].get_value()).sum()
        penalty = weight * models.fcn48_penalty(network) if weight else 0
        train(network, images=1, steps=1, rate=0.01, penalty=penalty)
        moved.append(np.abs(get_all_params(network)[0].get_value()).sum() - before)
    assert moved[1] < moved[0] and moved[1] < -1


# --- gradients and life -----------------------------------------------------------

SMALL = {"fcn48": {}, "fcn48_dense": {}, "r1": {"size": 8}, "r2": {"size": 8},
         "six_conv": {"size": 16}, "mlp": {"size": 6}}


@pytest.mark.parametrize("name, options", [
    *SMALL.items(), ("mlp", {"size": 6, "batch_norm": True, "dropout": 0.5}),
    ("small_resnet", {"widths": (3, 4), "stem": 2, "separable": True}),
    ("small_resnet", {"widths": (3, 4), "stem": 2, "residual": False})])
def test_gradients_are_those_measured(name, options):
    check_slope(lambda: getattr(models, name)(**options))


@pytest.mark.parametrize("name, options", SMALL.items())
def test_it_learns_is_saved_and_predicts(tmp_path, name, options):
    random.set_rng(0)
    network = getattr(models, name)(**options)
    check_learns(network)
    check_comes_back(network, tmp_path / "m.npz")
