"""Update rules on a device against the same rules on the CPU."""

import functools

import numpy as np
import pytest

import runs
from devices import DEVICES
from minifer import backend, layers, updates
from minifer.checkpoint import load_checkpoint, save_checkpoint
from minifer.emuarray import EmuArray
from minifer.errors import SettingError, ShapeError
from minifer.factored import FactoredGradient
from minifer.param import Param
from minifer.rules import NesterovMomentum

on_devices = pytest.mark.parametrize("device", DEVICES)

SHAPES = [(7, 5), (5,), (4, 3, 3, 3), (1,)]
OPTIONS = {"sgd": {"learning_rate": 0.1}, "momentum": {"learning_rate": 0.1},
           "nesterov_momentum": {"learning_rate": 0.1, "momentum": 0.7},
           "adagrad": {}, "rmsprop": {}, "adadelta": {"rho": 0.8, "epsilon": 1e-4},
           "adam": {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.6},
           "amsgrad": {"learning_rate": 0.01, "beta2": 0.6},
           "adamax": {"learning_rate": 0.01, "beta2": 0.6},
           "adamw": {"learning_rate": 0.01, "weight_decay": 0.5}}


def wrapped(wrapper, inner):
    def rule(params, some=False):
        chosen = params[::2] if some else None
        return getattr(updates, wrapper)(RULES[inner](params), chosen, momentum=0.6)
    return rule


RULES = {name: functools.partial(getattr(updates, name), **options)
         for name, options in OPTIONS.items()}
RULES["sgd + momentum"] = wrapped("apply_momentum", "sgd")
RULES["adam + nesterov"] = wrapped("apply_nesterov_momentum", "adam")
RULES["twice"] = wrapped("apply_momentum", "adam + nesterov")

all_rules = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def made(rule, device="cpu", dtype="float64"):
    """A rule with parameters of its own, the same at each call."""
    rng = np.random.default_rng(0)
    params = [Param(rng.normal(size=s).astype(dtype), f"p{i}")
              for i, s in enumerate(SHAPES)]
    update = rule(params)
    update.to_device(device)
    return update


def take(update, steps, seed=1, **options):
    """Steps with random gradients, some of them 0."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        gradients = [rng.normal(size=p.shape) * rng.integers(0, 2, p.shape)
                     for p in update.params]
        there = [backend.to_device(g.astype(p.dtype), update.device)
                 for g, p in zip(gradients, update.params)]
        update(there, **options)
    return update


def contents(update):
    """Copies of all numbers that a rule changes, on the CPU."""
    def of_state(state):
        for value in state.values():
            if isinstance(value, dict):
                yield from of_state(value)
            else:
                yield from value if isinstance(value, list) else [np.array(value)]
    return [np.array(backend.to_host(a))
            for a in [*(p.value for p in update.params), *of_state(update.state)]]


def assert_equal(update, other):
    for a, b in zip(contents(update), contents(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def assert_close(update, other, rtol=1e-12):
    for a, b in zip(contents(update), contents(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


def assert_together(update, device):
    """Each parameter and slot is a part of one buffer, as made by ``to_device``."""
    for buffer, arrays in [(update.values, [p.value for p in update.params])] + [
            (update.buffers[name], update.state[name]) for name in update.slots]:
        before = buffer.whole.copy()
        buffer.whole[...] = 7
        for array, shape in zip(arrays, SHAPES, strict=True):
            assert array.shape == shape and backend.device_of(array) == device
            assert (backend.to_host(array) == 7).all()
        buffer.whole[...] = before


# --- every rule -------------------------------------------------------------

@on_devices
@all_rules
@pytest.mark.parametrize("dtype, rtol", [("float64", 1e-12), ("float32", 1e-5)])
def test_twenty_steps_are_the_cpus(device, rule, dtype, rtol):
    here = take(made(rule, dtype=dtype), 20)
    there = take(made(rule, device, dtype), 20)
    assert_close(there, here, rtol)
    assert not np.allclose(here.params[0].value, made(rule).params[0].value)
    assert there.all_fine() and here.all_fine()
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
    there.forgive()
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
    here([FactoredGradient(x, dz)])
    there([FactoredGradient(backend.to_device(x, device),
                            backend.to_device(dz, device))])
    assert_close(there, here)


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
    assert there.values is None and type(there.fine) is np.ndarray


@on_devices
def test_to_device_leaves_what_is_there(device):
    update = take(made(RULES["adam"], device), 1)
    values, slots = [p.value for p in update.params], update.state["mean"]
    update.to_device(device)
    assert all(p.value is v for p, v in zip(update.params, values))
    assert update.state["mean"] is slots


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
        there([backend.to_device(g, place) for g in gradients])
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
    assert update.device == "cpu" and update.all_fine()


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
    assert int(backend.to_host(update.fine)[0]) == 0 and not update.all_fine()
    assert update.forgive() == 3 and update.all_fine()
    for a, b in zip(contents(update), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert_equal(take(update, 2, seed=3), take(other, 2, seed=3))
    assert update.all_fine() and update.forgive() == 0
    assert_together(update, device)


@on_devices
def test_what_overflows_on_the_way_is_not_finite(device):
    update = made(RULES["sgd"], device, "float32")
    with np.errstate(over="ignore"):
        update([backend.to_device(np.full(s, 1e300), device) for s in SHAPES])
    assert not update.all_fine()
    for loss, fine in [(None, True), (np.float32(3), True), (np.float64(1e300), True)]:
        update.forgive()
        take(update, 1, loss=None if loss is None else backend.to_device(loss, device))
        assert update.all_fine() == fine


@on_devices
def test_a_wild_number_is_found_wherever_it_is(device):
    g = np.ones(600)
    update = updates.sgd([Param(g.copy())], 0.1)
    update.to_device(device)
    for place in (0, 255, 256, 599):
        g[place] = np.nan
        update([backend.to_device(g, device)])
        assert not update.all_fine() and update.forgive() == 1
        g[place] = 1
    update([backend.to_device(g, device)])
    assert update.all_fine()


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

    for name in ("get", "__bool__", "__int__", "__float__", "__index__"):
        monkeypatch.setattr(EmuArray, name, waited)
    for loss in (None, EmuArray(np.array(1.0, np.float32))):
        update(gradients, loss=loss)
    with pytest.raises(AssertionError, match="waited"):
        update.all_fine()


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
    good = [backend.to_device(np.ones(s), device) for s in SHAPES]
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
