"""Numbers that are sent to a device arrive where they should, as they are."""

import numpy as np
import pytest

from helpers.devices import DEVICES
from minifer.cuda.emulator import schedule
from minifer.cuda.scalars import MOST, send
from minifer.device import arrays
from minifer.errors import KernelError

on_devices = pytest.mark.parametrize("device", DEVICES)


@on_devices
@pytest.mark.parametrize("count", range(MOST + 1))
@pytest.mark.parametrize("offset", [0, 3])
def test_they_arrive_and_leave_their_neighbours_alone(device, count, offset):
    expected = np.arange(100.0, 120.0)
    numbers = arrays.to_device(expected, device)
    values = np.random.default_rng(count).normal(size=count)
    with schedule(races=True):
        send(numbers, offset, list(values))
    expected[offset:offset + count] = values
    np.testing.assert_array_equal(arrays.to_host(numbers), expected)


@on_devices
def test_every_double_arrives_bit_for_bit(device):
    values = [0.1, -0.0, 2.0 ** 53 - 1, 1e-300, np.inf, -np.inf, np.nan, 7,
              np.float32(0.1), np.int64(3)]
    numbers = arrays.to_device(np.ones(len(values)), device)
    send(numbers, 0, values)
    found = arrays.to_host(numbers)
    assert found.tobytes() == np.array(values, float).tobytes()


@on_devices
def test_what_does_not_fit_is_refused(device):
    numbers = arrays.to_device(np.ones(20), device)
    for offset, values, said in [(0, [0.0] * 17, "at most 16 values"),
                                 (18, [0.0] * 3, "got 3 from number 18"),
                                 (-1, [0.0], "from number -1"), (21, [], "number 21")]:
        with pytest.raises(KernelError, match=said):
            send(numbers, offset, values)
    with pytest.raises(KernelError, match="numbers of float64, got float32"):
        send(numbers.astype(np.float32), 0, [1.0])
    assert (arrays.to_host(numbers) == 1).all()
