"""Places through which arrays pass from the host to a device, without waiting.

A copy from ordinary memory makes the host wait, since the operating system may move
that memory meanwhile. Pinned memory stays where it is: a GPU copies from it by itself,
beside its other work. Two events keep order: an array on the device is not read before
its copy has ended, and not written again before its readers have.
"""

import contextlib
import weakref

import numpy as np

from .arrays import cupy_module, explained, to_device

__all__ = ["staging_slots"]


def staging_slots(shape, dtype, device, count=2):
    """Places for arrays of one shape; load one while another is read.

    Parameters
    ----------
    shape : tuple of int
        (N, ...)
    dtype : dtype
    device : {'cpu', 'cuda', 'emu'}
    count : int, default 2

    Returns
    -------
    list
        Each with ``load(source, rows)``, which brings ``source[rows]`` there from any
        thread, and ``opened()``, for a ``with`` block that reads the last load on the
        device's current stream.
    """
    if device != "cuda":
        return [_PlainSlot(shape, dtype, device) for _ in range(count)]
    with explained():
        stream = cupy_module().cuda.Stream(non_blocking=True)
        return [_PinnedSlot(shape, dtype, stream) for _ in range(count)]


class _PlainSlot:
    """A slot without a GPU: the same calls, which copy at once."""

    def __init__(self, shape, dtype, device):
        self.there, self.device = to_device(np.empty(shape, dtype), device), device

    def load(self, source, rows):
        self.there[:len(rows)] = to_device(source[rows], self.device)

    def opened(self):
        return contextlib.nullcontext(self.there)


class _PinnedSlot:
    """An array on the GPU, and one of the same shape in pinned memory."""

    def __init__(self, shape, dtype, stream):
        cupy = cupy_module()
        self.there, self.stream = cupy.empty(shape, dtype), stream
        memory = cupy.cuda.alloc_pinned_memory(self.there.nbytes)
        self.here = np.frombuffer(memory, dtype, self.there.size).reshape(shape)
        self.copied, self.read = (cupy.cuda.Event(disable_timing=True) for _ in "12")
        # The pool may have handed out memory that kernels under way still use.
        self.read.record()
        # And gives away what a copy under way still writes to.
        weakref.finalize(self, self.copied.synchronize).atexit = False

    def load(self, source, rows):
        with explained(), self.there.device:
            self.copied.synchronize()  # the last copy no longer needs pinned memory
            # Any mode but 'raise' writes into place without another copy.
            part = np.take(source, rows, axis=0, out=self.here[:len(rows)], mode="clip")
            self.stream.wait_event(self.read)
            self.there.data.copy_from_host_async(part.ctypes.data, part.nbytes,
                                                 self.stream)
            self.copied.record(self.stream)

    @contextlib.contextmanager
    def opened(self):
        with explained():
            cupy_module().cuda.get_current_stream().wait_event(self.copied)
            yield self.there
            self.read.record()
