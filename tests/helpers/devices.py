"""Run the checks of tests/helpers/checking.py on another device.

``on_device(forward, backward, device)`` gives the pair on NumPy arrays: inputs go
to the device, results come back, the cache stays where it is.
"""

import shutil

import numpy as np
import pytest

from minifer.cuda.emulator import schedule
from minifer.device import arrays
from minifer.errors import BackendUnavailable


def _why_not(device):
    """What keeps a device from running here, or None."""
    if device == "emu":
        return None if shutil.which("g++") else "needs g++"
    try:
        arrays.resolve(device)
    except BackendUnavailable as error:
        return str(error)


#: For ``@pytest.mark.parametrize("device", DEVICES)``: the emulator, and a GPU if any.
DEVICES = [pytest.param(device, marks=pytest.mark.skipif(bool(why), reason=str(why)))
           for device in ("emu", "cuda") for why in [_why_not(device)]]


def moved(value, device):
    """Arrays, also inside tuples and lists, on ``device``; all else as it is."""
    if isinstance(value, (tuple, list)):
        return type(value)(moved(one, device) for one in value)
    if isinstance(value, np.ndarray) or arrays.on_gpu(value):
        return arrays.to_device(value, device)
    return value


def on_device(forward, backward, device):
    """``forward`` and ``backward`` (or None) of NumPy arrays, worked out elsewhere."""
    def forward_there(*inputs, **options):
        options = {k: moved(v, device) for k, v in options.items()}
        with schedule(races=True):
            y, cache = forward(*moved(inputs, device), **options)
        assert arrays.device_of(y) == device, "the output left the device"
        return moved(y, "cpu"), cache

    def backward_there(dy, cache):
        with schedule(races=True):
            found = backward(arrays.to_device(dy, device), cache)
        for gradient in found if isinstance(found, tuple) else (found,):
            assert gradient is None or arrays.device_of(gradient) == device
        return moved(found, "cpu")

    return forward_there, backward and backward_there
