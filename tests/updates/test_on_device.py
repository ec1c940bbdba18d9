"""What an update works on lies together on a device, and goes where it is sent."""

import numpy as np
import pytest

from helpers import runs
from helpers.devices import DEVICES
from helpers.steps import (RULES, SHAPES, all_rules, assert_close, assert_equal,
                           assert_together, contents, made, on_devices, take)
from minifer import layers, updates
from minifer.device import arrays
from minifer.errors import SettingError, ShapeError
from minifer.layers.param import Param
from minifer.training.checkpoint import load_checkpoint, save_checkpoint
from minifer.updates import rules
from minifer.updates.on_device import Buffer


# --- where things are -------------------------------------------------------

@on_devices
@all_rules
def test_there_and_back_again(device, rule):
    here, there = made(rule), made(rule)
    for step, place in enumerate([device, device, "cpu", device]):
        there.to_device(place)
        take(there, 1, seed=step)
        take(here, 1, seed=step)
    there.to_device("cpu")
    assert_close(there, here)
    for array in [p.value for p in there.params] + there.state.get("velocity", []):
        assert type(array) is np.ndarray and array.base is None
    assert there.buffers.values is None and type(there.buffers.finite) is np.ndarray


@on_devices
def test_to_device_leaves_what_is_there(device):
    update = take(made(RULES["adam"], device), 1)
    values, slots = [p.value for p in update.params], update.state["mean"]
    update.to_device(device)
    assert all(p.value is v for p, v in zip(update.params, values))
    assert update.state["mean"] is slots


def test_a_buffer_holds_its_own_parts_on_its_own_device():
    buffer = Buffer([np.ones(2), np.ones((3, 1))], "emu")
    assert buffer.holds(buffer.parts, "emu") and not buffer.holds(buffer.parts, "cuda")
    assert not buffer.holds([part.copy() for part in buffer.parts], "emu")


@on_devices
def test_values_are_set_in_their_place(device):
    update = made(RULES["sgd"], device)
    update.params[1].set_value(np.arange(5))
    update.params[3].set_value([3.0])
    assert_together(update, device)
    here = made(RULES["sgd"])
    here.params[1].set_value(np.arange(5))
    here.params[3].set_value([3.0])
    assert_close(take(update, 2), take(here, 2))


@on_devices
@all_rules
def test_parameters_that_were_moved_are_followed(device, rule):
    here, there = take(made(rule), 3), made(rule)
    rng = np.random.default_rng(1)
    for place in (device, "cpu", device):
        for param in there.params:
            param.to_device(place)
        gradients = [rng.normal(size=p.shape) * rng.integers(0, 2, p.shape)
                     for p in there.params]
        there([arrays.to_device(g, place) for g in gradients])
    assert_close(there, here)
    assert_together(there, device)


@on_devices
def test_arrays_that_were_replaced_are_used(device):
    here, there = (take(made(RULES["adam"], d), 1) for d in ("cpu", device))
    for update in (here, there):
        update.params[2].value = update.params[2].value * 2
        update.state["mean"] = [a + 1 for a in update.state["mean"]]
        update.state["squares"][1] = update.state["squares"][1] + 1
        take(update, 1)
    assert_close(there, here)


@on_devices
@pytest.mark.parametrize("rule", ["momentum", "twice"])
def test_a_rule_made_where_the_parameters_already_are(device, rule):
    params = made(RULES["sgd"]).params
    for param in params:
        param.to_device(device)
    there = RULES[rule](params)
    assert_together(there, device)
    assert_close(take(there, 3), take(made(RULES[rule]), 3))


@on_devices
def test_two_rules_may_share_parameters(device):
    def both(device):
        first = made(RULES["momentum"], device)
        second = updates.adam(first.params[1:], 0.1)
        second.to_device(device)
        for step in range(4):
            take((first, second)[step % 2], 1, seed=step)
        return first

    assert_close(both(device), both("cpu"))


@on_devices
def test_no_parameters(device):
    update = updates.adam([])
    update.to_device(device)
    update([])
    assert update.device == "cpu" and update.buffers.all_finite()


# --- checkpoints ------------------------------------------------------------

def network_and_update(rule, device, seed):
    net = runs.network(seed)
    layers.move_to(net, device)
    update = rule(layers.get_all_params(net, trainable=True))
    update.to_device(device)
    return net, take(update, 3, seed)


@on_devices
@all_rules
@pytest.mark.parametrize("back", [False, True], ids=["saved there", "loaded there"])
def test_checkpoints_go_from_device_to_device(tmp_path, device, rule, back):
    path = tmp_path / "c.npz"
    first, second = ("cpu", device) if back else (device, "cpu")
    net, update = network_and_update(rule, first, seed=1)
    save_checkpoint(path, net, update, {"epoch": 2}, {})
    other, other_update = network_and_update(rule, second, seed=2)
    places = [p.value for p in other_update.params]
    assert load_checkpoint(path, other, other_update, {}) == {"epoch": 2}
    assert_equal(other_update, update)
    for value, there in zip(layers.get_all_param_values(other),
                            layers.get_all_param_values(net), strict=True):
        np.testing.assert_array_equal(value, there)
    if back:  # what was loaded is what the next step starts from
        assert all(p.value is v for p, v in zip(other_update.params, places))
    assert_close(take(other_update, 2, seed=5), take(update, 2, seed=5), 1e-5)


# --- refusals ---------------------------------------------------------------

@on_devices
def test_refusals(device):
    update = updates.sgd([Param(np.ones(2)), Param(np.ones(2, np.float32))], 0.1)
    with pytest.raises(SettingError, match="one dtype on .+ got float32 and float64"):
        update.to_device(device)
    param = Param(np.ones(2), "W")
    with pytest.raises(SettingError, match="got one twice"):
        updates.sgd([param, param], 0.1).to_device(device)
    assert param.device == "cpu"
    with pytest.raises(SettingError, match="device: expected one of"):
        updates.sgd([param], 0.1).to_device("gpu")


@on_devices
def test_wrong_gradients_are_refused_and_change_nothing(device):
    update = take(made(RULES["adam"], device), 1)
    before = contents(update)
    good = [arrays.to_device(np.ones(s), device) for s in SHAPES]
    with pytest.raises(SettingError, match="gradient of 'p0' .+ got it on 'cpu'"):
        update([np.ones(s) for s in SHAPES])
    with pytest.raises(ShapeError, match="shape .+ for 'p3'"):
        update(good[:3] + [good[1]])
    with pytest.raises(ShapeError, match="expected 4 gradients"):
        update(good[:3])
    for a, b in zip(contents(update), before, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(SettingError, match="on 'cpu', where the parameters are"):
        made(RULES["sgd"])(good)


class Down:
    """A rule to mix in."""

    def rule(self, p, g, *slots):
        p -= 7


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("change", ["mixin", "class", "instance", "subclass"])
def test_a_changed_rule_is_not_done_by_the_old_kernel(device, change):
    class Mixed(Down, rules.Adam):
        pass

    class Assigned(rules.Adam):
        pass

    class Overriding(rules.Adam):
        def rule(self, p, g, *slots):
            p -= 7

    if change == "class":
        Assigned.rule = Down.rule
    kind = {"mixin": Mixed, "subclass": Overriding}.get(change, Assigned)
    w = Param(np.ones(3, "float32"), "w")
    w.to_device(device)
    update = kind([w], 0.1)
    if change == "instance":
        update.rule = lambda p, g, *slots: Down.rule(update, p, g)
    assert update.usable_kernel is None
    update([arrays.to_device(np.full(3, 4, "float32"), device)])
    assert w.get_value().tolist() == [-6, -6, -6]
