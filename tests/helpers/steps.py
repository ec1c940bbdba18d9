"""Update rules with parameters of their own, on any device, and steps of theirs."""

import functools

import numpy as np
import pytest

from helpers.devices import DEVICES
from minifer import updates
from minifer.device import arrays as backend
from minifer.layers.param import Param

#: Of the parameters.
SHAPES = [(7, 5), (5,), (4, 3, 3, 3), (1,)]
OPTIONS = {"sgd": {"learning_rate": 0.1}, "momentum": {"learning_rate": 0.1},
           "nesterov_momentum": {"learning_rate": 0.1, "momentum": 0.7},
           "adagrad": {}, "rmsprop": {}, "adadelta": {"rho": 0.8, "epsilon": 1e-4},
           "adam": {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.6},
           "amsgrad": {"learning_rate": 0.01, "beta2": 0.6},
           "adamax": {"learning_rate": 0.01, "beta2": 0.6},
           "adamw": {"learning_rate": 0.01, "weight_decay": 0.5}}


def wrapped(wrapper, inner):
    """Momentum around a rule, by the names of both; ``some``: every other parameter."""
    def rule(params, some=False):
        chosen = params[::2] if some else None
        return getattr(updates, wrapper)(RULES[inner](params), chosen, momentum=0.6)
    return rule


RULES = {name: functools.partial(getattr(updates, name), **options)
         for name, options in OPTIONS.items()}
RULES["sgd + momentum"] = wrapped("apply_momentum", "sgd")
RULES["adam + nesterov"] = wrapped("apply_nesterov_momentum", "adam")
RULES["adamw of weights"] = functools.partial(
    updates.adamw, weights_only=True, **OPTIONS["adamw"])
RULES["twice"] = wrapped("apply_momentum", "adam + nesterov")

#: Every rule, alone or with momentum around it.
all_rules = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
on_devices = pytest.mark.parametrize("device", DEVICES)


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
    state = update.buffers
    for buffer, arrays in [(state.values, [p.value for p in update.params])] + [
            (state.slots[name], update.state[name]) for name in update.slots]:
        before = buffer.whole.copy()
        buffer.whole[...] = 7
        for array, shape in zip(arrays, SHAPES, strict=True):
            assert array.shape == shape and backend.device_of(array) == device
            assert (backend.to_host(array) == 7).all()
        buffer.whole[...] = before
