"""LSTM and GRU on a device, against loops."""

import numpy as np
import pytest

from helpers import reference
from helpers.checking import check_op, normal
from helpers.devices import DEVICES, moved, on_device
from helpers.orders import in_every_order, on_emulator
from minifer import nonlinearities as f
from minifer.device.arrays import to_host
from minifer.ops.gru import gru_backward, gru_forward
from minifer.ops.lstm import lstm_backward, lstm_forward

on_each_device = pytest.mark.parametrize("device", DEVICES)
MASK = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0], [1, 1, 1.]])


def inputs(gates, states, N=4, T=3, D=2, H=3, peepholes=False):
    return [normal((N, T, D), 1), normal((D, gates * H), 2), normal((H, gates * H), 3),
            normal((gates * H,), 4), *[normal((N, H), 5 + k) for k in range(states)],
            *([] if states == 1 else [normal((3, H), 8)] if peepholes else [None])]


FAMILIES = {"gru": (gru_forward, gru_backward, inputs(3, 1), reference.gru),
            "lstm": (lstm_forward, lstm_backward, inputs(4, 2), reference.lstm),
            "peepholes": (lstm_forward, lstm_backward, inputs(4, 2, peepholes=True),
                          reference.lstm)}


@on_each_device
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("masked, backwards", [(False, False), (True, True)])
def test_recurrent(device, family, masked, backwards):
    forward, backward, arrays, expected = FAMILIES[family]
    check_op(*on_device(forward, backward, device), arrays, expected,
             mask=MASK if masked else None, backwards=backwards)


@on_each_device
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("usual", [True, False])
@pytest.mark.parametrize("limits", [{}, {"clip": 0.05}, {"gradient_steps": 2}])
def test_the_same_as_on_the_cpu(device, family, usual, limits):
    forward, backward, arrays, _ = FAMILIES[family]
    options = {} if usual else {"nonlinearities": [f.tanh, f.sigmoid, f.softplus] * 2}
    if family == "gru" and not usual:
        options["nonlinearities"] = options["nonlinearities"][:3]

    def run(arrays, mask):
        y, cache = forward(*arrays, mask=mask, **options)
        return [to_host(a) for a in (y, *backward(y * 3, cache, **limits))
                if a is not None]
    for there, here in zip(run(moved(arrays, device), moved([MASK], device)[0]),
                           run(arrays, MASK)):
        np.testing.assert_allclose(there, here, rtol=1e-10, atol=1e-12)


@on_emulator
@pytest.mark.parametrize("family", FAMILIES)
def test_the_order_of_threads_changes_no_bit(device, family):
    forward, backward, arrays, _ = FAMILIES[family]
    there, mask = moved(arrays, device), moved([MASK], device)[0]

    def run():
        y, cache = forward(*there, mask=mask)
        return [y, *(a for a in backward(y, cache) if a is not None)]
    in_every_order(run)
