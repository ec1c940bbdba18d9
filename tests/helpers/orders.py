"""Kernels on the emulator, their threads in every order."""

import pytest

from helpers.devices import DEVICES
from minifer.device.arrays import to_host

on_emulator = pytest.mark.parametrize("device", [d for d in DEVICES
                                                 if d.values == ("emu",)])


def in_every_order(run):
    """The one result of ``run()``, bit by bit, in whatever order threads go."""
    from minifer.cuda.emulator import schedule
    found = []
    for order in ("forward", "reverse", "fair", 1):
        with schedule(order):
            found.append([to_host(array) for array in run()])
    for other in found[1:]:
        assert [a.tobytes() for a in other] == [a.tobytes() for a in found[0]]
    return found[0]
