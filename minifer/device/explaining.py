"""What goes wrong on a GPU, in one line that says what to do.

CuPy passes on the errors of five libraries, each with a class of its own: CUDA's
runtime (memory, streams), its driver (launches), the compiler NVRTC, cuBLAS, and the
search for all of them on this machine.
"""

import contextlib
import operator
import sys

from ..errors import BackendUnavailable, CaptureError, KernelError

__all__ = ["explained", "INSTALL"]

INSTALL = ("pip install 'cupy-cuda13x[ctk]' (or cupy-cuda12x[ctk]: nvidia-smi shows "
           "the driver's CUDA version), or use device='cpu'")


@contextlib.contextmanager
def explained():
    """Turn CuPy's errors inside a block into one line that says what to do."""
    try:
        yield
    except Exception as error:
        found = _explain(error)
        if found is error:
            raise
        raise found from error


def _explain(error):
    """The error that a user should see."""
    if sys.modules.get("cupy") is None:
        return error
    said = str(error).strip().partition("\n")[0]
    if _is_a(error, "cuda.memory.OutOfMemoryError"):
        return _no_memory(said)
    if _is_a(error, "cuda.runtime.CUDARuntimeError", "cuda.driver.CUDADriverError"):
        if error.status in range(900, 909):  # cudaErrorStreamCapture...
            return _not_in_a_capture(said)
        if error.status == 2:
            return _no_memory(said)
        return BackendUnavailable(
            f"device 'cuda': expected a GPU that works, got {said}. Try nvidia-smi, "
            "or use device='cpu'.")
    if _is_a(error, "cuda.compiler.CompileException"):
        return KernelError("a kernel: expected CUDA C++ that NVRTC accepts, got "
                           f"'{_first_error(str(error))}'. The CUDA version of NVRTC "
                           "must be CuPy's: try python -c 'import cupy; "
                           "cupy.show_config()'.")
    if _is_a(error, "cuda.nvrtc.NVRTCError", "cuda.cublas.CUBLASError"):
        return BackendUnavailable(
            f"device 'cuda': expected CUDA libraries that fit the GPU, got {said}. Try "
            f"{INSTALL}.")
    if "Failure finding" in said:  # cuda.pathfinder, which CuPy asks for libraries
        return BackendUnavailable(
            f"device 'cuda': expected CUDA's libraries beside CuPy, got "
            f"'{said[:200]}'. Try {INSTALL}.")
    if isinstance(error, NotImplementedError) and "capture" in said or (
            type(error) is RuntimeError and "captur" in said):
        return _not_in_a_capture(f"'{said}'")
    return error


def _is_a(error, *names):
    """Whether an error is of one of CuPy's classes, as far as those are loaded."""
    for name in names:
        module, _, kind = name.rpartition(".")
        found = [sys.modules.get(f"cupy_backends.cuda.{room}.{module.split('.')[-1]}")
                 for room in ("api", "libs")]
        try:
            found.append(operator.attrgetter(module)(sys.modules["cupy"]))
        except (AttributeError, ImportError):
            pass  # cuBLAS is loaded by its first use
        if any(isinstance(error, getattr(one, kind, ())) for one in found):
            return True
    return False


def _no_memory(said):
    return BackendUnavailable(
        f"device 'cuda': expected enough GPU memory, got none left ({said}). Use "
        "a smaller batch, or end other programs on this GPU.")


def _not_in_a_capture(said):
    return CaptureError(
        "capture: expected only launches and array operations on the device, got "
        f"{said}. Do all else before or after launch().")


def _first_error(log):
    lines = log.splitlines()
    return next((line for line in lines if "error" in line), lines[0] if lines else "")
