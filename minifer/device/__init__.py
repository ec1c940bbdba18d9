"""Devices: where arrays live, how they travel, and threads and graphs that use them.

The names here are those of ``arrays.py``, the only file that imports CuPy. The others:
``emuarray.py`` (arrays of the emulator), ``staging.py`` (copies to a device while it
works), ``threads.py`` and ``prefetch.py`` (a thread a core; work done in advance),
``recording.py`` and ``graphs.py`` (a task captured once and launched whole).
"""

from .arrays import (DEVICES, address, as_array, compiler, compute_capability,
                     contiguous, cupy_module, device_of, explained, gpu_name,
                     memory_free, memory_used, on_gpu, raw_module, resolve,
                     shared_memory, synchronize, to_device, to_host)

__all__ = ["DEVICES", "address", "as_array", "compiler", "compute_capability",
           "contiguous", "cupy_module", "device_of", "explained", "gpu_name",
           "memory_free", "memory_used", "on_gpu", "raw_module", "resolve",
           "shared_memory", "synchronize", "to_device", "to_host"]
