"""Update rules on a device against the same rules on the CPU."""

import numpy as np
import pytest

from helpers.devices import DEVICES
from helpers.steps import (OPTIONS, RULES, SHAPES, all_rules, assert_close,
                           assert_equal, assert_together, contents, made, on_devices,
                           take, wrapped)
from minifer import updates
from minifer.cuda.emulator import schedule
from minifer.device import arrays as backend
from minifer.device.emuarray import EmuArray
from minifer.device.graphs import capture
from minifer.layers.param import Param
from minifer.ops.outer_product import OuterProduct
from minifer.updates.rules import NesterovMomentum


# --- every rule -------------------------------------------------------------

@on_devices
@all_rules
@pytest.mark.parametrize("dtype, rtol", [("float64", 1e-12), ("float32", 1e-5)])
def test_twenty_steps_are_the_cpus(device, rule, dtype, rtol):
    here = take(made(rule, dtype=dtype), 20)
    there = take(made(rule, device, dtype), 20)
    assert_close(there, here, rtol)
    assert not np.allclose(here.params[0].value, made(rule).params[0].value)
    assert there.buffers.all_finite() and here.buffers.all_finite()
    assert_together(there, device)


@on_devices
@pytest.mark.parametrize("rule", [name for name in RULES if name in OPTIONS])
def test_the_kernel_does_what_array_syntax_does(device, rule):
    def plain(params):
        update = RULES[rule](params)

        class Plain(type(update)):
            def rule(self, *arrays):
                super().rule(*arrays)

        update.__class__ = Plain
        return update

    there = take(made(plain, device), 3)
    assert_close(there, take(made(RULES[rule], device), 3))
    assert_close(there, take(made(RULES[rule]), 3))


class Sign(NesterovMomentum):
    """A rule of one's own, of a rule that has a kernel."""

    def rule(self, p, g, v):
        v += np.abs(g)
        p -= self.learning_rate * np.sign(g)


@on_devices
def test_a_rule_of_ones_own_needs_no_kernel(device):
    here, there = (take(made(lambda params: Sign(params, 0.1, 0.0), d), 3)
                   for d in ("cpu", device))
    assert_close(there, here)
    before = contents(there)
    there([backend.to_device(np.full(s, np.nan), device) for s in SHAPES])
    there.buffers.clear_not_finite()
    for a, b in zip(contents(there), before, strict=True):
        np.testing.assert_array_equal(a, b)


@on_devices
@pytest.mark.parametrize("wrapper", ["apply_momentum", "apply_nesterov_momentum"])
def test_momentum_applied_to_some(device, wrapper):
    def rule(params):
        return wrapped(wrapper, "sgd")(params, some=True)

    here, there = (take(made(rule, d), 5) for d in ("cpu", device))
    assert_close(there, here)
    assert not np.any(here.state["velocity"][1]) and np.any(here.state["velocity"][0])


@on_devices
@pytest.mark.parametrize("dtype, step", [("float32", 4), ("float64", 2)])
def test_each_parameter_begins_at_16_bytes(device, dtype, step):
    update = made(RULES["sgd"], device, dtype)
    places = np.arange(update.buffers.values.whole.size, dtype=dtype)
    update.buffers.values.whole[...] = backend.to_device(places, device)
    for param in update.params:
        assert param.get_value().flat[0] % step == 0


@pytest.mark.parametrize("device", DEVICES[:1])
@all_rules
def test_any_order_of_threads_gives_the_same_bits(device, rule):
    with schedule("reverse", races=True):
        there = take(made(rule, device), 2)
    assert_equal(there, take(made(rule, device), 2))


@on_devices
def test_many_elements(device):
    rng = np.random.default_rng(0)
    value, g = rng.normal(size=(2, 1031))
    here, there = (updates.adam([Param(value.copy())], 0.1) for _ in range(2))
    there.to_device(device)
    here([g])
    there([backend.to_device(g, device)])
    assert_close(there, here)


@on_devices
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_rate_may_change_and_be_a_numpy_number(device, dtype):
    here, there = (made(RULES["adamw"], d, dtype) for d in ("cpu", device))
    for update in (here, there):
        for seed, rate in enumerate((np.float64(0.1), 0.0, 0.5)):
            update.learning_rate = rate
            take(update, 1, seed)
    assert_close(there, here, {"float64": 1e-12, "float32": 1e-5}[dtype])
    assert there.params[0].dtype == dtype


@on_devices
def test_gradients_by_param_cast_and_left_as_they_were(device):
    here, there = (made(RULES["adam"], d, "float32") for d in ("cpu", device))
    gradients = [np.full(s, 0.1) for s in SHAPES]  # of float64
    here(dict(zip(here.params, gradients)))
    moved = [backend.to_device(g, device) for g in gradients]
    there(dict(zip(there.params, moved)))
    assert_close(there, here, 1e-6)
    for g in moved:
        assert (backend.to_host(g) == 0.1).all()


@on_devices
def test_a_gradient_as_factors(device):
    x, dz = np.random.default_rng(0).normal(size=(2, 6, 6))
    here, there = (updates.sgd([Param(np.ones((6, 6)))], 1.0) for _ in range(2))
    there.to_device(device)
    here([OuterProduct(x, dz)])
    there([OuterProduct(backend.to_device(x, device),
                        backend.to_device(dz, device))])
    assert_close(there, here)


# --- a step in two parts ----------------------------------------------------

@on_devices
@all_rules
def test_gradients_in_their_targets_are_used_where_they_are(device, rule, monkeypatch):
    here, there = (take(made(rule, device), 1) for _ in range(2))
    rng = np.random.default_rng(3)
    for _ in range(2):
        gradients = [rng.normal(size=s) for s in SHAPES]
        for param, g in zip(there.params, gradients):
            there.buffers.targets[param][...] = backend.to_device(g, device)
        here([backend.to_device(g, device) for g in gradients])
        with monkeypatch.context() as patched:
            patched.setattr(type(there.buffers.finite), "__setitem__", None)
            there(there.buffers.targets)
    assert_equal(there, here)


def test_the_cpu_has_no_targets():
    assert made(RULES["adam"]).buffers.targets == {}


@on_devices
@all_rules
@pytest.mark.parametrize("limit", [None, 0.5])
def test_what_is_launched_is_the_same_at_every_step(device, rule, limit):
    """Rates and Adam's corrections reach kernels that were captured before."""
    here, there = made(rule), made(rule, device)
    assert there.buffers.may_be_captured
    here.max_total_norm = there.max_total_norm = limit
    rng = np.random.default_rng(4)
    for step, rate in enumerate((0.1, 0.01, 0.5)):
        gradients = [rng.normal(size=s) for s in SHAPES]
        here.learning_rate = there.learning_rate = rate
        here(gradients)
        for param, g in zip(there.params, gradients):
            there.buffers.targets[param][...] = backend.to_device(g, device)
        there.buffers.advance()
        if step == 0:
            there.buffers.launch(there.buffers.targets)
            graph = capture(device, lambda: there.buffers.launch(there.buffers.targets))
        else:
            graph.launch()
    assert_close(there, here)


@on_devices
def test_what_may_be_captured(device):
    update = made(RULES["twice"], device)
    assert update.buffers.may_be_captured
    update.inner.constrain(update.params[0], 1.0)
    assert update.buffers.may_be_captured
    update.inner.constraints[update.params[0]] = np.abs  # of a user's own: might wait
    assert not update.buffers.may_be_captured
    signs = made(lambda params: Sign(params, 0.1, 0.0), device)
    assert not signs.buffers.may_be_captured


# --- not finite -------------------------------------------------------------

@on_devices
@all_rules
@pytest.mark.parametrize("wild", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["gradient", "loss"])
def test_what_is_not_finite_changes_nothing_until_forgiven(device, rule, wild, where):
    def ready():
        update = made(rule, device)
        for param in update.params[::2]:
            update.constrain(param, 0.5, norm_axes=(0,))
        update.max_total_norm = 2.0
        return take(update, 2)

    update, other = ready(), ready()
    before = contents(update)
    loss, gradients = np.array(1.0), [np.ones(s) for s in SHAPES]
    if where == "loss":
        loss[...] = wild
    else:
        gradients[2][3, 2, 2, 1] = wild
    with np.errstate(invalid="ignore"):
        update([backend.to_device(g, device) for g in gradients],
               loss=backend.to_device(loss, device))
    take(update, 2)  # which are skipped too, finite as they are
    assert int(backend.to_host(update.buffers.finite)[0]) == 0
    assert not update.buffers.all_finite()
    assert update.buffers.clear_not_finite() == 3 and update.buffers.all_finite()
    for a, b in zip(contents(update), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert_equal(take(update, 2, seed=3), take(other, 2, seed=3))
    assert update.buffers.all_finite() and update.buffers.clear_not_finite() == 0
    assert_together(update, device)


@on_devices
def test_what_overflows_on_the_way_is_not_finite(device):
    update = made(RULES["sgd"], device, "float32")
    with np.errstate(over="ignore"):
        update([backend.to_device(np.full(s, 1e300), device) for s in SHAPES])
    assert not update.buffers.all_finite()
    for loss, fine in [(None, True), (np.float32(3), True), (np.float64(1e300), True)]:
        update.buffers.clear_not_finite()
        take(update, 1, loss=None if loss is None else backend.to_device(loss, device))
        assert update.buffers.all_finite() == fine


@on_devices
def test_a_wild_number_is_found_wherever_it_is(device):
    g = np.ones(600)
    update = updates.sgd([Param(g.copy())], 0.1)
    update.to_device(device)
    for place in (0, 255, 256, 599):
        g[place] = np.nan
        update([backend.to_device(g, device)])
        assert not update.buffers.all_finite()
        assert update.buffers.clear_not_finite() == 1
        g[place] = 1
    update([backend.to_device(g, device)])
    assert update.buffers.all_finite()


@pytest.mark.parametrize("rule", [*RULES.values(), lambda p: Sign(p, 0.1, 0.0)],
                         ids=[*RULES, "own"])
def test_a_step_does_not_wait(rule, monkeypatch):
    """What would make the host wait for a GPU fails on the emulator's arrays."""
    update = made(rule, "emu", "float32").constrain(Param(np.ones((2, 2))), 1.0)
    update.constraints = {update.params[0]: update.constraints.popitem()[1]}
    update.max_total_norm = 1.0
    gradients = [EmuArray(np.ones(s, np.float32)) for s in SHAPES]

    def waited(self, *args):
        raise AssertionError("the host waited")

    for name in ("get", "__bool__", "__int__", "__float__"):
        monkeypatch.setattr(EmuArray, name, waited)
    for loss in (None, EmuArray(np.array(1.0, np.float32))):
        update(gradients, loss=loss)
    with pytest.raises(AssertionError, match="waited"):
        update.buffers.all_finite()


# --- norms ------------------------------------------------------------------

@on_devices
@all_rules
def test_constraints(device, rule):
    here, there = made(rule), made(rule, device)
    for update in (here, there):
        for param, limit in zip(update.params[::2], (0.5, 0.8)):
            update.constrain(param, limit)
        take(update, 3)
    assert_close(there, here)
    norms = np.linalg.norm(here.params[0].value, axis=0)
    assert (norms < 0.5 * (1 + 1e-6)).all() and (norms > 0.4).any()
    assert_together(there, device)


@on_devices
@all_rules
@pytest.mark.parametrize("limit", [0.5, 1e6])
@pytest.mark.parametrize("dtype, rtol", [("float64", 1e-12), ("float32", 1e-5)])
def test_max_total_norm(device, rule, limit, dtype, rtol):
    here, there = made(rule, dtype=dtype), made(rule, device, dtype)
    here.max_total_norm = there.max_total_norm = limit
    assert_close(take(there, 3), take(here, 3), rtol)


@on_devices
def test_max_total_norm_is_of_all_gradients_together(device):
    update = updates.sgd([Param(np.zeros(1)), Param(np.zeros(1))], 1.0)
    update.to_device(device)
    update.max_total_norm = 1.0
    update([backend.to_device(np.array([v]), device) for v in (3.0, 4.0)])
    np.testing.assert_allclose([p.get_value()[0] for p in update.params], [-0.6, -0.8],
                               rtol=1e-7)


@on_devices
def test_the_norm_is_of_all_elements_however_many(device):
    """More than one for each thread of the blocks that sum."""
    g = np.random.default_rng(0).normal(size=20000)
    update = updates.sgd([Param(np.zeros(20000))], 1.0)
    update.to_device(device)
    update.max_total_norm = 1.0
    update([backend.to_device(g, device)])
    np.testing.assert_allclose(update.params[0].get_value(), -g / np.linalg.norm(g),
                               rtol=1e-6)


@on_devices
def test_the_norm_functions_take_device_arrays(device):
    value = np.random.default_rng(0).normal(size=(4, 3))
    there = backend.to_device(value, device)
    found = updates.norm_constraint(Param(there), 0.5)
    assert backend.device_of(found) == device
    np.testing.assert_allclose(backend.to_host(found),
                               updates.norm_constraint(value, 0.5), rtol=1e-12)
    (found,), norm = updates.total_norm_constraint([there], 0.5, return_norm=True)
    (expected,), _ = updates.total_norm_constraint([value], 0.5, return_norm=True)
    np.testing.assert_allclose(backend.to_host(found), expected, rtol=1e-12)
    np.testing.assert_allclose(norm, np.linalg.norm(value))


@on_devices
def test_norms_of_float16_have_room_for_squares(device):
    there = backend.to_device(np.full((16, 3), 20000, np.float16), device)
    for found, length in ((updates.norm_constraint(there, 1.0), 4),
                          (updates.total_norm_constraint([there], 1.0)[0], 48 ** 0.5)):
        assert (backend.device_of(found), found.dtype) == (device, "float16")
        np.testing.assert_allclose(backend.to_host(found), 1 / length, rtol=1e-3)
