"""An array in memory, as Hopper's copying unit (TMA) is told of it.

A kernel that asks for a box of the array names only where it begins. What else there is
to know comes as a parameter of the kernel, 128 bytes that the driver makes: address,
sizes, strides, the box's size, and the order of its 16-byte pieces in shared memory.
``hopper.cuh`` has the kernel's side.
"""

import ctypes
import sys

import numpy as np

from ..device.arrays import address, device_of
from ..errors import KernelError

__all__ = ["TensorMap"]

BYTES = 128
#: Of CUDA's enumerations: types, and rows of 128 bytes with their pieces mixed.
FLOAT32, TFLOAT32, SWIZZLE_128, PROMOTE_256 = 7, 11, 3, 3


class TensorMap:
    """A parameter ``TENSOR_MAP name`` of a kernel.

    Parameters
    ----------
    array : device array of float32, contiguous
        It begins at a multiple of 16 bytes.
    sizes : (int, int, int)
        Numbers in a row, rows, and so on: the last axis of the array comes first.
    box : (int, int, int)
        How much of it is copied at once. The first is 32: 128 bytes.
    strides : (int, int), optional
        Numbers from a row to the next, and from a plane; if not given, there are no
        gaps.
    rounds : bool, default False
        Whether numbers are rounded on the way, to the 10 bits after the point that the
        tensor core reads.
    """

    def __init__(self, array, sizes, box, strides=None, rounds=False):
        self.array, self.sizes, self.box = array, sizes, box
        self.strides = strides or (sizes[0], sizes[0] * sizes[1])
        self.rounds, self.device = rounds, device_of(array)
        reach = 1 + sum((n - 1) * stride for n, stride in zip(sizes,
                                                              (1, *self.strides)))
        if reach > array.size or not array.flags.c_contiguous:
            raise KernelError(f"tensor map: expected a contiguous array of {reach} "
                              f"numbers for {sizes}, got {array.size}.")

    def on(self, array):
        """The same map of another array, perhaps on another device."""
        return TensorMap(array, self.sizes, self.box, self.strides, self.rounds)

    def encoded(self):
        """The 128 bytes, as the array's device reads them.

        Raises
        ------
        KernelError
            If the driver refuses the array: rows must begin at multiples of 16 bytes.
        """
        room = np.zeros(BYTES + 64, np.uint8)
        start = -room.__array_interface__["data"][0] % 64
        found = room[start:start + BYTES]
        sizes, strides = _longs(self.sizes), _longs(4 * s for s in self.strides)
        box, steps = ((ctypes.c_uint32 * 3)(*n) for n in (self.box, (1, 1, 1)))
        status = _encoder(self.device)(
            ctypes.c_void_p(address(found)), TFLOAT32 if self.rounds else FLOAT32, 3,
            ctypes.c_void_p(address(self.array)), sizes, strides, box, steps, 0,
            SWIZZLE_128, PROMOTE_256, 0)
        if status:
            raise KernelError(
                "tensor map: expected rows that begin at multiples of 16 bytes, got "
                f"{self.sizes} in steps of {self.strides} (error {status}).")
        return found.view(f"V{BYTES}")


def _longs(numbers):
    numbers = tuple(numbers)
    return (ctypes.c_uint64 * len(numbers))(*numbers)


def _encoder(device):
    """The driver's function; the emulator has one that takes the same arguments."""
    if device == "emu":
        from .emulator.build import runtime_library
        return ctypes.CDLL(str(runtime_library())).emu_tensor_map
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    return ctypes.CDLL(name).cuTensorMapEncodeTiled
