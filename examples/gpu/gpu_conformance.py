"""Whether a GPU does what the emulator does, so that what the emulator proves counts.

First the few things that CUDA C++ has no words for, alone: the tensor core's product,
its rounding, copies that go on by themselves. Then every kernel: launches of their
tests are done again by the emulator.
"""

import glob
import importlib.util
import os
import subprocess
import sys

import numpy as np

from minifer.cuda import loader, nvrtc
from minifer.cuda.tensor_map import TensorMap
from minifer.device.arrays import compute_capability, on_gpu, to_device, to_host
from minifer.device.recording import refuse
from minifer.errors import CaptureError

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))

# Largest relative differences. A kernel's: the GPU rounds a*b + c once, the emulator
# twice, and a tensor core adds up in an order and a precision of its own.
KERNEL = {"float32": 1e-4, "tf32": 1e-4, "float64": 1e-11}

#: By primitive, of numbers that must come out the same bits, and of random ones.
PRIMITIVES = os.path.join(ROOT, "tests", "cuda", "kernels", "primitives.cu")
PRODUCT = 1e-5


def primitives(device, size):
    """The tensor core's products and rounding, and asynchronous copies."""
    rng = np.random.default_rng(0)
    n = 100

    def whole(*shape):  # products and sums of such are exact
        return rng.integers(-8, 9, shape).astype(np.float32)

    def real(*shape):
        return rng.standard_normal(shape, dtype=np.float32)

    ties = real(1000).view(np.int32) & ~0x1fff | 0x1000  # half way between two
    odd = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e-30], np.float32)
    values = np.concatenate([real(1000), ties.view(np.float32), odd])
    a, b = whole(n, 16, 8), whole(n, 8, 8)
    found = {
        "whole_numbers": both(device, "products", [a, b], a.shape, n, 0, grid=n),
        "rounded": both(device, "products", [real(n, 16, 8), real(n, 8, 8)], a.shape, n,
                        0, grid=n),
        "cut": both(device, "products", [real(n, 16, 8), real(n, 8, 8)], a.shape, n, 1,
                    grid=n),
        "rounding": both(device, "rounded", [values], values.shape, values.size,
                         grid=values.size),
        "copies": both(device, "copies", [real(n, 256)], (n, 256), n, grid=1, block=64)}
    limits = dict.fromkeys(found, 0.0) | {"rounded": PRODUCT, "cut": PRODUCT}
    return {"passed": all(found[name] <= limits[name] for name in found), **found}


def both(device, name, inputs, shape, *numbers, grid, block=32):
    """The difference between what a device and the emulator make of the same inputs."""
    results = []
    for where in (device, "emu"):
        arrays = [to_device(one, where) for one in inputs]
        y = to_device(np.full(shape, 7, np.float32), where)
        loader.kernel(PRIMITIVES, name, y)(*arrays, y, *numbers, grid=grid, block=block)
        results.append(to_host(y))
    return difference(*results)


def conformance(device, size):
    """Launches of the kernels' tests, compared with the emulator's."""
    import pytest
    os.chdir(ROOT)
    warm_up(size)
    shadow = Shadow(device)
    # The loader's own tests look at what it returns, which is not the loader's here.
    code = pytest.main([*sorted(glob.glob(size.kernel_tests)), "--device", device, "-k",
                        "not loader and not test_cupy", "-p", "no:cacheprovider"],
                       plugins=[shadow])
    found = shadow.report(size.every_kernel)
    return found | {"passed": found["passed"] and code == 0}


def warm_up(size):
    """Let several processes fill the emulator's cache: one takes minutes with g++.

    How its own tests end is not asked here.
    """
    if importlib.util.find_spec("xdist"):
        several = str(min(16, os.cpu_count() or 1))
        files = sorted(glob.glob(size.kernel_tests))
        subprocess.run([sys.executable, "-m", "pytest", *files, "--device", "emu", "-p",
                        "no:cacheprovider", "-n", several], stdout=subprocess.DEVNULL)


class Shadow:
    """A pytest plugin that repeats a device's launches on the emulator.

    The test's inputs go to both; all that the kernel can write to is compared. So
    each kernel that has tests is covered, with their awkward shapes.
    """

    launches, elements = 6, 200_000  # at most: of a kernel and precision, of a launch

    def __init__(self, device):
        self.device, self.original = device, loader.kernel
        self.seen = {}  # (file, kernel, type or precision) -> differences

    def pytest_collection_finish(self):
        """Stand in for ``loader.kernel`` wherever it has been imported."""
        for module in list(sys.modules.values()):
            if vars(module).get("kernel") is self.original:
                module.kernel = self.kernel

    def kernel(self, file, name, like, **defines):
        there = self.original(file, name, like, **defines)
        real = like.dtype.name if like.dtype.kind == "f" else "float32"
        precision = "tf32" if defines.get("TF32") else real
        seen = self.seen.setdefault((str(file), name, precision), [])

        def launch(*args, **how):
            arrays = [a for a in args if on_gpu(a)]
            if (len(seen) >= self.launches or is_captured()
                    or sum(a.size for a in arrays) > self.elements):
                return there(*args, **how)
            copies = [emulated_copy(a) for a in args]
            there(*args, **how)
            emulated = self.original(file, name, to_device(np.empty(0, real), "emu"),
                                     **defines)
            emulated(*copies, **how)
            seen.append(max((difference(to_host(a), to_host(copy)) for a, copy in
                             zip(args, copies) if on_gpu(a)), default=0.0))

        return launch

    def report(self, every_kernel):
        """The largest difference of each kernel, and which were never launched."""
        found = {key: max(seen) for key, seen in sorted(self.seen.items()) if seen}
        launched = {key[:2] for key in found}
        capability = compute_capability(self.device)
        missing = [(path.name, name) for path in sorted(loader.FOLDER.glob("*.cu"))
                   if every_kernel and nvrtc.fits(path.name, capability)
                   for name in loader.signatures(path.name)
                   if (path.name, name) not in launched]
        worst = {real: max((d for key, d in found.items() if key[2] == real), default=0)
                 for real in KERNEL}
        return {"passed": bool(found) and not missing
                and all(worst[real] <= KERNEL[real] for real in KERNEL),
                "kernels": len(launched),
                "launches": sum(map(len, self.seen.values())), **worst,
                "never_launched": [" ".join(key) for key in missing],
                "differences": {" ".join(key): d for key, d in found.items()}}


def emulated_copy(argument):
    """A copy of an array, or a map of one, for the emulator; others as they are."""
    if isinstance(argument, TensorMap):
        return argument.on(emulated_copy(argument.array))
    return (to_device(to_host(argument).copy(), "emu") if on_gpu(argument)
            else argument)


def difference(found, expected):
    """The largest difference, relative to the largest number; 0 for equal bits.

    Whole numbers must be equal: of those it is the share that differs. It is 1 if one
    has NaN or infinity where the other has not.
    """
    if found.dtype.kind != "f":
        return float(np.mean(found != expected)) if found.size else 0.0
    finite = np.isfinite(expected)
    if not np.array_equal(found[~finite], expected[~finite], equal_nan=True) or (
            not np.isfinite(found[finite]).all()):
        return 1.0
    gap = np.abs(found[finite].astype(np.float64) - expected[finite]).max(initial=0)
    size = np.abs(expected[finite]).max(initial=0)
    return float(gap / size) if size else float(gap > 0)


def is_captured():
    """Whether launches are being noted for a graph: then nothing else may be done."""
    try:
        refuse("a comparison")
    except CaptureError:
        return True
    return False
