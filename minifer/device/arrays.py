"""Devices: where arrays live, and the way there and back.

There are three: ``cpu`` is NumPy; ``cuda`` an NVIDIA GPU, with CuPy's arrays and
the kernels of ``kernels/``; ``emu`` runs the same kernels on the CPU, slowly, to
be looked at and tested without a GPU. ``auto`` is ``cuda`` where that works, else
``cpu``.

NumPy's functions act on the arrays of all three (``np.maximum(x, 0)`` of a CuPy
array is CuPy's), so an op is written once; ``np.empty_like(x, shape=...)`` makes a
new array where x lives. Only what has a kernel asks :func:`on_gpu`.

>>> x = to_device(np.array([1.0, -1.0]), "emu")
>>> device_of(x), to_host(np.maximum(x, 0))
('emu', array([1., 0.]))
"""

import functools
import math
import shutil
import subprocess
import sys

import numpy as np

from ..errors import BackendUnavailable, SettingError
from .emuarray import EmuArray
from .explaining import INSTALL, explained
from .pools import POOLS
from .recording import refuse
from .threads import default_threads

__all__ = ["DEVICES", "resolve", "device_of", "on_gpu", "to_device", "to_host",
           "as_array", "contiguous", "address", "compute_capability", "current_gpu",
           "synchronize",
           "stream", "compiler", "cupy_module", "nccl_module", "raw_module",
           "memory_used", "memory_free", "shared_memory", "explained", "gpu_name"]

DEVICES = ("auto", "cpu", "cuda", "emu")


def resolve(name):
    """The device that a name means, checked.

    Parameters
    ----------
    name : {'cpu', 'cuda', 'emu', 'auto'}

    Returns
    -------
    str
        'cpu', 'cuda' or 'emu'.

    Raises
    ------
    SettingError
        If there is no such device, or MINIFER_NUM_THREADS is no number of threads.
    BackendUnavailable
        If it cannot be used on this machine; the message says what to do.
    """
    default_threads()  # on all devices something runs on the CPU's threads
    if name == "auto":
        try:
            _cupy()
        except BackendUnavailable:
            return "cpu"
        return "cuda"
    if name not in DEVICES:
        raise SettingError(
            f"device: expected one of {', '.join(DEVICES)}, got {name!r}.")
    if name == "cuda":
        _cupy()
    if name == "emu":
        compiler()
    return name


def compiler():
    """The path of the C++ compiler with which the emulator makes its kernels.

    Raises
    ------
    BackendUnavailable
        If there is none.
    """
    path = shutil.which("g++") if sys.platform == "linux" else None
    if path is None:
        raise BackendUnavailable(
            "the emulator: expected Linux and the C++ compiler g++, got none. Install "
            "it, for instance with 'apt install g++' or 'dnf install gcc-c++'.")
    return path


def device_of(array):
    """The device on which an array lives; ``'cpu'`` for anything that is no array."""
    if isinstance(array, EmuArray):
        return "emu"
    cupy = sys.modules.get("cupy")
    return "cuda" if cupy is not None and isinstance(array, cupy.ndarray) else "cpu"


def on_gpu(array):
    """Whether kernels work on this array: it lives on a GPU, or on the emulator."""
    return device_of(array) != "cpu"


def to_device(array, device):
    """An array on ``device``: itself if it is there, else a contiguous copy.

    Parameters
    ----------
    array : array of any device, or what NumPy makes one of
    device : {'cpu', 'cuda', 'emu'}

    Raises
    ------
    CaptureError
        If it would be copied while a graph is captured.
    """
    array = as_array(array)
    if device_of(array) == device:
        return array
    refuse("an array that is copied from the host to the device")
    host = to_host(array)
    if device == "cpu":
        return host
    if device == "emu":
        return EmuArray(np.array(host, order="C"))
    with explained():
        return _cupy().array(host, order="C")


def to_host(array):
    """An array as NumPy's; a copy if it came from a device, for which it waits."""
    if not on_gpu(array):
        return np.asarray(array)
    refuse("an array that is copied to the host, which waits for the device")
    return array.get()


def as_array(value):
    """``value`` as an array, on whatever device it is."""
    return value if on_gpu(value) else np.asarray(value)


def contiguous(array):
    """``array`` itself if it is C-contiguous, else a copy that is."""
    return array if array.flags.c_contiguous else array.copy()


def stream(device):
    """Where a device's current stream lies, for libraries; 0 on the emulator."""
    return _cupy().cuda.get_current_stream().ptr if device == "cuda" else 0


def cupy_module():
    """CuPy, for what only it can do: streams, graphs, pinned memory.

    Raises
    ------
    BackendUnavailable
        Without CuPy or a GPU.
    """
    return _cupy()


def nccl_module():
    """CuPy's NCCL, for sums over GPUs.

    Raises
    ------
    BackendUnavailable
        Without CuPy, a GPU, or NCCL: CuPy's wheels bring none.
    """
    _cupy()
    try:
        import cupy.cuda.nccl as nccl
        if getattr(nccl, "available", True):
            return nccl
        why = "CuPy was built without it"
    except ImportError as error:
        why = str(error)
    raise BackendUnavailable(
        f"ranks 'nccl': expected NCCL, got none ({why}). Try pip install "
        "nvidia-nccl-cu13 (or nvidia-nccl-cu12), or ranks='mpi'.")


def raw_module(source, options):
    """CUDA C++ text as a module of the current GPU, compiled at its first use.

    Parameters
    ----------
    source : str
    options : tuple of str
        Options for NVRTC: ``-Dname=value``, ``-Ifolder``.
    """
    return _cupy().RawModule(code=source, options=options)


def address(array):
    """Where an array's first element lies in its device's memory."""
    if device_of(array) == "cuda":
        return array.data.ptr
    memory = array.memory if isinstance(array, EmuArray) else array
    return memory.__array_interface__["data"][0]


def compute_capability(device):
    """A GPU's compute capability, 90 for 9.0; the emulator counts as 9.0."""
    return int(_cupy().cuda.Device().compute_capability) if device == "cuda" else 90


def synchronize(device):
    """Wait until a device has done all that it was told."""
    if device == "cuda":
        _cupy().cuda.runtime.deviceSynchronize()


def memory_used(device):
    """Bytes that have been taken from the GPU at most; 0 on other devices.

    Those of CuPy's pool and of the graphs', free or in use: what PyTorch calls
    ``max_memory_reserved``.
    """
    if device != "cuda":
        return 0
    POOLS.used(_cupy())
    return POOLS.peak


def memory_free(device):
    """Bytes of a device's memory that are free for new arrays.

    For the CPU's memory, which the emulator uses too, no account is kept: infinity.
    """
    if device != "cuda":
        return math.inf
    with explained():
        free, _ = _cupy().cuda.runtime.memGetInfo()
    return free + _cupy().get_default_memory_pool().free_bytes()


def current_gpu(device):
    """The number of the GPU that is used now; 0 on other devices."""
    return _cupy().cuda.runtime.getDevice() if device == "cuda" else 0


def shared_memory(device):
    """Bytes of shared memory that a block of threads can have.

    Those of the current GPU; on the emulator 227 KB, as on Hopper.
    """
    if device != "cuda":
        return 227 * 1024
    return _shared_memory(current_gpu(device))


@functools.lru_cache(maxsize=None)
def _shared_memory(gpu):
    """That of one GPU. CuPy asks for all that a GPU tells of itself, which is slow."""
    with explained():
        return _cupy().cuda.Device(gpu).attributes["MaxSharedMemoryPerBlockOptin"]


def gpu_name():
    """Name and driver version of the first GPU, as ``nvidia-smi`` tells them.

    Returns
    -------
    str
        Such as ``'NVIDIA H100 80GB HBM3, 580.65.06'``; empty if it tells nothing.
    """
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout.strip().split("\n")[0]


@functools.lru_cache(maxsize=None)
def _cupy():
    """CuPy, with a GPU behind it, or an error that says what is missing."""
    try:
        import cupy
    except ImportError as error:
        raise BackendUnavailable(
            f"device 'cuda': expected CuPy, got none ({error}). Try {INSTALL}."
        ) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        what = {35: "no NVIDIA driver, or one too old for this CuPy",
                100: "a driver but no GPU"}.get(error.status, str(error))
        raise BackendUnavailable(
            f"device 'cuda': expected an NVIDIA GPU, got {what}. Install the driver "
            "(nvidia-smi shows it), or use device='cpu'.") from error
    if not count:
        raise BackendUnavailable("device 'cuda': expected an NVIDIA GPU, got none. Use "
                                 "device='cpu'.")
    return cupy
