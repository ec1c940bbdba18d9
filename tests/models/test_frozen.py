"""Frozen parts: what no longer learns stays, bit for bit; and the heads on top."""

import numpy as np
import pytest

from helpers.devices import DEVICES
from helpers.networks import (check_comes_back, check_learns, counts_of, data,
                              outputs_of, train)
from minifer import (function, models, nonlinearities, objectives, random, tensor,
                     updates)
from minifer.errors import SettingError
from minifer.layers import (BatchNormLayer, Conv2DLayer, DenseLayer, DropoutLayer,
                            FrozenBatchNormLayer, InputLayer, MaxPool2DLayer,
                            count_params, forward, freeze, get_all_layers,
                            get_all_params, get_output)
from minifer.weights.model_file import load_model


def small(frozen=True):
    """Two convolutions with batch norm, of which the first may be frozen."""
    random.set_rng(0)
    body = InputLayer((None, 1, 8, 8), name="input")
    body = Conv2DLayer(body, 4, 3, pad="same", name="conv1")
    body = BatchNormLayer(body, name="bn1")
    if frozen:
        freeze(body)
    top = MaxPool2DLayer(body, 2, name="pool1")
    top = BatchNormLayer(Conv2DLayer(top, 4, 3, name="conv2"), name="bn2")
    top = DenseLayer(top, 3, nonlinearity=nonlinearities.softmax, name="output")
    return top, body


def values_of(layer):
    return {p.name: p.get_value() for p in get_all_params(layer)}


def changed(before, after):
    return {name for name in before if not np.array_equal(before[name], after[name])}


# --- freeze -----------------------------------------------------------------------

def test_what_is_frozen_is_not_trainable_and_all_else_is():
    network, body = small()
    assert [p.name for p in get_all_params(network, trainable=True)] == [
        "conv2.W", "conv2.b", "bn2.beta", "bn2.gamma", "output.W", "output.b"]
    assert get_all_params(body, trainable=True) == []
    assert count_params(network) == count_params(small(frozen=False)[0])
    # Other tags stay: running averages are still known as such, kernels as kernels.
    assert [p.name for p in get_all_params(body, regularizable=True)] == [
        "conv1.W", "bn1.gamma"]
    assert [p.name for p in get_all_params(body, batch_norm_stat=True)] == [
        "bn1.mean", "bn1.inv_std"]


def test_layers_stay_the_objects_they_were():
    network, body = small(frozen=False)
    every, params = get_all_layers(network), get_all_params(network)
    freeze(body)
    assert get_all_layers(network) == every and get_all_params(network) == params
    assert type(body) is FrozenBatchNormLayer
    assert type(every[-2]) is BatchNormLayer  # above the line
    freeze(body)  # once more changes nothing
    assert type(body) is FrozenBatchNormLayer


def test_a_list_of_layers_is_frozen():
    network, _ = small(frozen=False)
    freeze([network])
    assert get_all_params(network, trainable=True) == []


def test_a_batch_norm_of_ones_own_is_refused_and_nothing_changes():
    class Mine(BatchNormLayer):
        pass

    class MineFrozen(FrozenBatchNormLayer):
        pass

    network = Mine(DenseLayer((None, 2), 3, name="dense"), name="mine")
    with pytest.raises(SettingError, match="expected BatchNormLayer, got <Mine 'mine'"):
        freeze(network)
    assert len(get_all_params(network, trainable=True)) == 4
    network = MineFrozen(DenseLayer((None, 2), 3))
    freeze(network)
    assert type(network) is MineFrozen
    assert get_all_params(network, trainable=True) == []


def check_that_frozen_parts_stay(frozen, **options):
    network, body = small(frozen)
    before, x, y = values_of(network), tensor.tensor4("x"), tensor.ivector("y")
    get_all_layers(network)[0].input_var = x
    loss = objectives.categorical_crossentropy(get_output(network), y).mean()
    step = function([x, y], loss, updates.adam(
        loss, get_all_params(network, trainable=True)), **options)
    for _ in range(3):
        step(*data(network, 6))
    learning = set(before) - ({n for n in before if "1." in n} if frozen else set())
    assert changed(before, values_of(network)) == learning


@pytest.mark.parametrize("mode", ["eager", "compiled"])
@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_parts_do_not_change_in_training_and_others_do(frozen, mode):
    check_that_frozen_parts_stay(frozen, mode=mode)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("frozen", [True, False])
def test_nor_do_they_on_a_device(frozen, device):
    check_that_frozen_parts_stay(frozen, device=device)


def test_frozen_batch_norms_normalise_by_their_averages_in_training():
    network, body = small()
    rng = np.random.default_rng(0)
    mean = rng.normal(size=4).astype("float32")
    body.mean.set_value(mean)
    body.inv_std.set_value(rng.uniform(1, 2, size=4))
    x, _ = data(network, 6)
    wide = (1, -1, 1, 1)
    predicted = ((get_output(body.input_layer, x) - body.mean.value.reshape(wide))
                 * body.inv_std.value.reshape(wide))  # gamma is 1, beta 0
    np.testing.assert_array_equal(get_output(body, x), predicted)
    for option in ("batch_norm_use_averages", "batch_norm_update_averages"):
        for value in (True, False):
            np.testing.assert_array_equal(get_output(body, x, **{option: value}),
                                          predicted)
    assert np.array_equal(body.mean.value, mean)


def test_no_gradient_is_worked_out_below_the_first_layer_that_learns():
    network, body = small()
    y, tape = forward(network, data(network, 6)[0])
    found = tape.backward(np.ones_like(y))
    assert {p.name for p in found} == {
        p.name for p in get_all_params(network, trainable=True)}


def test_a_frozen_batch_norm_comes_back_from_a_file_as_one(tmp_path):
    network, _ = small()
    train(network)
    check_comes_back(network, tmp_path / "m.npz")
    back = load_model(tmp_path / "m.npz").network
    bn1 = next(one for one in get_all_layers(back) if one.name == "bn1")
    assert bn1.frozen and bn1.get_params(trainable=True) == []


# --- the heads of S and R ---------------------------------------------------------

HEADS = {  # model -> parameters in all, trainable, what stands above the frozen body
    "s_resnet50": (23577544, 14981128, {"avgpool": (2048,), "fc": (8,)}),
    "r_resnet50": (24211847, 624135, {
        "avg_pool": (2048,), "dense1": (256,), "dense2": (256,), "drop1": (256,),
        "dense3": (128,), "drop2": (128,), "output": (7,)}),
    "r_resnet101": (42864455, 206279, {
        "avg_pool": (2048,), "dense1": (64,), "dense2": (128,), "drop1": (128,),
        "dense3": (256,), "dense4": (128,), "drop2": (128,), "output": (7,)}),
    "r_resnet152": (60997511, 2626567, {
        "avg_pool": (2048,), "dense1": (1024,), "dense2": (512,), "drop1": (512,),
        "output": (7,)})}


@pytest.mark.parametrize("name", HEADS)
def test_heads_have_the_counts_of_the_text(name):
    in_all, trainable, head = HEADS[name]
    network = getattr(models, name)()
    assert count_params(network) == in_all
    assert count_params(network, trainable=True) == trainable
    assert dict(list(outputs_of(network).items())[-len(head):]) == head
    assert get_all_layers(network)[0].shape == (None, 3, 224, 224)
    assert network.nonlinearity is nonlinearities.softmax
    assert all(one.p == .5 for one in get_all_layers(network)
               if isinstance(one, DropoutLayer))


def test_of_s_all_children_but_the_last_three_are_frozen():
    network = models.s_resnet50(size=32)
    learning = {name.split(".")[0] for name in (
        p.name for p in get_all_params(network, trainable=True))}
    assert learning == {"layer4", "fc"}
    for one in get_all_layers(network):
        if isinstance(one, BatchNormLayer):
            assert one.frozen == (not one.name.startswith("layer4"))
    assert counts_of(network)["fc"] == 16392


def test_a_head_on_a_body_that_learns_too():
    network = models.r_resnet50(size=32, frozen=False)
    assert count_params(network, batch_norm_stat=True) + count_params(
        network, trainable=True) == count_params(network) == HEADS["r_resnet50"][0]


@pytest.mark.parametrize("bottleneck", [False, True])
def test_any_resnet_is_frozen_up_to_layer3(bottleneck):
    network = models.resnet((1, 1, 2, 1), bottleneck, width=2, size=32)
    models.freeze_to_layer3(network)
    assert {p.name.split(".")[0] for p in get_all_params(network, trainable=True)} == {
        "layer4", "fc"}


def test_hidden_layers_of_a_head_are_rectified():
    network = models.r_resnet50(size=32)
    assert {one.nonlinearity for one in get_all_layers(network)
            if one.name.startswith("dense")} == {nonlinearities.rectify}


@pytest.mark.parametrize("name, frozen, steps", [
    ("s_resnet50", ("conv1.", "bn1.", "layer1.", "layer2.", "layer3."), 3),
    ("r_resnet50", ("conv",), 10)])
def test_a_head_learns_on_a_body_that_stays(name, frozen, steps):
    random.set_rng(0)
    x = tensor.tensor4("x")
    network = getattr(models, name)(x, num_classes=4, size=32)
    assert get_all_layers(network)[0].input_var is x
    before = values_of(network)
    for one in get_all_layers(network):
        if isinstance(one, DropoutLayer):
            one.p = 0.0  # a few steps show nothing through its noise
    check_learns(network, images=8, steps=steps, rate=3e-3)
    moved = changed(before, values_of(network))
    assert moved == {name for name in before if not name.startswith(frozen)}
