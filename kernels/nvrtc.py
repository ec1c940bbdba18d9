"""What the compiler makes of the kernels, seen without a GPU.

NVRTC turns CUDA C++ into machine code of any architecture, and its assembler says
what each kernel needs: registers a thread, bytes of shared memory a block, and bytes
**spilled**, which found no register and travel to memory and back. So a kernel that
would be slow, or that a GPU would refuse, is found on any machine.

``kernels/budgets.py`` says how much each kernel may need. A file whose text has a
line ``// needs sm_80`` is compiled from that architecture on.
"""

import functools
import re
from typing import NamedTuple

from ..errors import BackendUnavailable, KernelError
from .loader import FOLDER, source_of

__all__ = ["Usage", "architectures", "compile_file", "needed", "version"]

#: Turing, Ampere and Hopper; the newest that NVRTC knows is added.
OLD = (75, 80, 90)

ENTRY = re.compile(r"Compiling entry function '(\w+)'")
SPILLED = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
NEEDS = re.compile(r"^// needs sm_(\d+)", re.MULTILINE)


class Usage(NamedTuple):
    """What one kernel needs.

    Attributes
    ----------
    registers : int
        Of a thread, 32 bits each.
    spilled : int
        Bytes of a thread that are stored to memory and loaded back.
    shared : int
        Bytes of a block's static shared memory.
    """

    registers: int
    spilled: int
    shared: int


@functools.lru_cache(maxsize=None)
def version():
    """NVRTC's version, such as ``"13.0"``.

    Raises
    ------
    BackendUnavailable
        If cuda-bindings or NVRTC is missing; the message says what to install.
    """
    return ".".join(map(str, _ask("nvrtcVersion")))


@functools.lru_cache(maxsize=None)
def architectures():
    """Those to compile for, as numbers: 75, 80, 90 and the newest that NVRTC lists."""
    known, = _ask("nvrtcGetSupportedArchs")
    return tuple(sorted({arch for arch in OLD if arch in known} | {max(known)}))


def needed(file):
    """The lowest architecture for which a file is meant: 0 if it does not say."""
    return max(map(int, NEEDS.findall(source_of(file))), default=0)


def compile_file(file, arch, real="float", **defines):
    """Compile a ``.cu`` file to machine code.

    Parameters
    ----------
    file : str
        A name in this folder, or a path of your own.
    arch : int
        Such as 90, for sm_90.
    real : {'float', 'double'}
    **defines : int or str
        Further macros.

    Returns
    -------
    dict of str -> Usage
        By the kernels' names.

    Raises
    ------
    KernelError
        If it does not compile; the message holds the first error.
    BackendUnavailable
        If cuda-bindings or NVRTC is missing.
    """
    macros = {"REAL": real, **defines}
    # -ftz as CuPy sets it, so that what is counted here is what runs.
    options = [f"-arch=sm_{arch}", f"-I{FOLDER}", "-ftz=true", "--ptxas-options=-v",
               *(f"-D{name}={value}" for name, value in macros.items())]
    program, = _ask("nvrtcCreateProgram", source_of(file).encode(), str(file).encode(),
                    0, [], [])
    try:
        compiled = _nvrtc().nvrtcCompileProgram(program, len(options),
                                                [o.encode() for o in options])
        size, = _ask("nvrtcGetProgramLogSize", program)
        log = bytearray(size)
        _ask("nvrtcGetProgramLog", program, log)
    finally:
        _ask("nvrtcDestroyProgram", program)
    text = log.decode(errors="replace")
    if compiled[0].value:
        raise KernelError(f"{file}: expected code for sm_{arch}, {real}, got "
                          f"{_first_error(text) or compiled[0].name}.")
    return read_log(text)


def read_log(text):
    """The usage of each kernel, from what ``--ptxas-options=-v`` printed.

    Parameters
    ----------
    text : str

    Returns
    -------
    dict of str -> Usage
    """
    found = {}
    _, *parts = ENTRY.split(text)
    for name, part in zip(parts[::2], parts[1::2]):
        spilled, shared = SPILLED.search(part), SHARED.search(part)
        found[name] = Usage(int(USED.search(part)[1]),
                            max(map(int, spilled.groups())),
                            int(shared[1]) if shared else 0)
    return found


def _first_error(log):
    """The first line of a log that tells of an error."""
    return next((line.strip() for line in log.splitlines() if "error" in line.lower()),
                None)


@functools.lru_cache(maxsize=None)
def _nvrtc():
    try:
        from cuda.bindings import nvrtc
        nvrtc.nvrtcVersion()  # loads the library itself
    except (ImportError, RuntimeError) as error:
        raise BackendUnavailable(
            "compile checks: expected cuda-bindings and NVRTC, got "
            f"{str(error).splitlines()[0]}. pip install 'minifer[nvrtc]'.") from error
    return nvrtc


def _ask(name, *args):
    """Call a function of NVRTC; a tuple of what it returns after its status."""
    status, *values = getattr(_nvrtc(), name)(*args)
    if status.value:
        raise KernelError(f"{name}: expected success, got {status.name}.")
    return tuple(values)
