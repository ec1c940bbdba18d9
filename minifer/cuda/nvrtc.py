"""What the compiler makes of the kernels, seen without a GPU.

NVRTC turns CUDA C++ into machine code of any architecture, and its assembler says
what each kernel needs: registers a thread, bytes of shared memory a block, and bytes
**spilled**, which found no register and travel to memory and back. So a kernel that
would be slow, or that a GPU would refuse, is found on any machine. ``nvdisasm`` then
reads the machine code back: see :func:`instructions`.

``tests/helpers/budgets.py`` says how much each kernel may need. A file whose text has a
line ``// needs sm_80`` is compiled from that architecture on, one with the line
``// only sm_90a`` for that one, one with ``// float only`` for no other type.
"""

import collections
import functools
import importlib.metadata
import os
import re
import shutil
import subprocess
import tempfile
from typing import NamedTuple

from ..errors import BackendUnavailable, KernelError
from .loader import FOLDER, only, source_of

__all__ = ["Usage", "architectures", "compile_file", "disassembler", "instructions",
           "fits", "needed", "reals", "version"]

#: Turing, Ampere and Hopper; the newest that NVRTC knows is added.
OLD = (75, 80, 90)

ENTRY = re.compile(r"Compiling entry function '(\w+)'")
SPILLED = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, "
                     r"(\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
SERIAL = re.compile(r"wgmma\.mma_async instructions are serialized .* in the\s+"
                    r"function '(\w+)'")
NEEDS = re.compile(r"^// needs sm_(\d+)", re.MULTILINE)
FLOAT_ONLY = re.compile(r"^// float only", re.MULTILINE)

#: ``/*0a10*/  @!P0 LDS.64 R4, [R2] ;`` holds the opcode LDS with the modifier .64.
CODE_OF = re.compile(r"^\.text\.(\w+):$", re.MULTILINE)
OPCODE = re.compile(r"^\s*/\*[0-9a-f]+\*/\s+(?:@!?\w+\s+)?([A-Z]\w*(?:\.\w+)*)",
                    re.MULTILINE)
PRODUCT = re.compile(r"\bHG?MMA\b")
LABEL = re.compile(r"^(\.L_\w+):$", re.MULTILINE)
BRANCH = re.compile(r"\bBRA\b.*`\((\.L_\w+)\)")


class Usage(NamedTuple):
    """What one kernel needs.

    Attributes
    ----------
    registers : int
        Registers of a thread, 32 bits each.
    spilled : int
        Bytes of a thread that are stored to memory and loaded back: values that found
        no register, and arrays whose indices are not known to the compiler.
    shared : int
        Bytes of a block's static shared memory.
    serial : bool
        Whether products of four warps wait for one another, since the compiler found
        no registers for several at a time.
    """

    registers: int
    spilled: int
    shared: int
    serial: bool = False


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
    """The architectures to compile for, as numbers: 75, 80, 90 and NVRTC's newest."""
    known, = _ask("nvrtcGetSupportedArchs")
    return tuple(sorted({arch for arch in OLD if arch in known} | {max(known)}))


def needed(file):
    """The lowest architecture for which a file is meant: 0 if it does not say."""
    return max(map(int, NEEDS.findall(source_of(file))), default=0)


def fits(file, arch):
    """Whether a file is meant for an architecture, such as 90."""
    return only(file) == f"sm_{arch}a" if only(file) else arch >= needed(file)


def reals(file):
    """The types that a file is meant to be compiled for, a tuple."""
    return ("float",) if FLOAT_ONLY.search(source_of(file)) else ("float", "double")


def compile_file(file, arch, real="float", **defines):
    """Compile a ``.cu`` file to machine code.

    Parameters
    ----------
    file : str
        A name in ``kernels/``, or a path of your own.
    arch : int
        The architecture, such as 90 for sm_90.
    real : {'float', 'double'}
    **defines : int or str
        Further macros.

    Returns
    -------
    dict of str -> Usage
        What each kernel needs, by name.

    Raises
    ------
    KernelError
        If it does not compile; the message holds the first error.
    BackendUnavailable
        If cuda-bindings or NVRTC is missing.
    """
    _, log = _compiled(str(file), arch, real, tuple(sorted(defines.items())))
    return read_log(log)


def instructions(file, name, arch, real="float", loop=False, **defines):
    """How often each instruction occurs in the machine code of one kernel.

    Whether a loop was unrolled, its operands kept in registers and its products given
    to the tensor cores is seen here, before a GPU is: ``HMMA`` is a product of the
    tensor cores, ``HGMMA`` one of four warps together, ``UTMALDG`` a copy of a box,
    ``LDL`` and ``STL`` are spilled registers on their way, and ``MOV`` is time spent
    on putting numbers where the next instruction wants them.

    Parameters
    ----------
    file, arch, real, **defines
        As for :func:`compile_file`.
    name : str
        Name of the kernel.
    loop : bool, default False
        Count only its innermost loop with products of the tensor cores, where such a
        kernel spends its time; all of it if there is no such loop.

    Returns
    -------
    collections.Counter
        Counts by opcode without modifiers, ``LDS`` for ``LDS.64``. A move that the
        multipliers do, ``IMAD.MOV``, is counted as ``MOV``.

    Raises
    ------
    KernelError
        If the file does not compile, or has no such kernel.
    BackendUnavailable
        If NVRTC or nvdisasm is missing.
    """
    code, _ = _compiled(str(file), arch, real, tuple(sorted(defines.items())))
    return read_code(_disassembled(code), name, loop)


def read_code(text, name, loop=False):
    """The instructions of one kernel, from what nvdisasm printed.

    Parameters
    ----------
    text : str
    name : str
    loop : bool
        As for :func:`instructions`.

    Returns
    -------
    collections.Counter
    """
    _, *parts = CODE_OF.split(text)
    kernels = dict(zip(parts[::2], parts[1::2]))
    if name not in kernels:
        raise KernelError(f"machine code: expected a kernel {name!r}, got only "
                          f"{', '.join(kernels) or 'none'}.")
    code = _hot_loop(kernels[name]) if loop else kernels[name]
    return collections.Counter(
        "MOV" if opcode.startswith("IMAD.MOV") else opcode.split(".")[0]
        for opcode in OPCODE.findall(code))


def _hot_loop(code):
    """The shortest piece with products that ends in a branch back to its start."""
    labels = {match[1]: match.end() for match in LABEL.finditer(code)}
    loops = [code[labels[branch[1]]:branch.end()] for branch in BRANCH.finditer(code)
             if labels.get(branch[1], len(code)) < branch.start()]
    return min((one for one in loops if PRODUCT.search(one)), key=len, default=code)


def read_log(text):
    """The usage of each kernel, from what ``--ptxas-options=-v`` printed.

    Parameters
    ----------
    text : str

    Returns
    -------
    dict of str -> Usage
    """
    found, serial = {}, set(SERIAL.findall(text))
    _, *parts = ENTRY.split(text)
    for name, part in zip(parts[::2], parts[1::2]):
        spilled, shared = SPILLED.search(part), SHARED.search(part)
        found[name] = Usage(int(USED.search(part)[1]),
                            max(map(int, spilled.groups())),
                            int(shared[1]) if shared else 0, name in serial)
    return found


@functools.lru_cache(maxsize=256)
def _compiled(file, arch, real, defines):
    """Machine code, and what the compiler said."""
    macros = {"REAL": real, **dict(defines)}
    # -ftz as CuPy sets it, so that what is counted here is what runs.
    target = only(file) if only(file) == f"sm_{arch}a" else f"sm_{arch}"
    options = [f"-arch={target}", f"-I{FOLDER}", "-ftz=true", "--ptxas-options=-v",
               *(f"-D{name}={value}" for name, value in macros.items())]
    program, = _ask("nvrtcCreateProgram", source_of(file).encode(), file.encode(),
                    0, [], [])
    try:
        status, = _nvrtc().nvrtcCompileProgram(program, len(options),
                                               [o.encode() for o in options])
        log = _bytes_of(program, "ProgramLog").decode(errors="replace")
        if status.value:
            raise KernelError(f"{file}: expected code for sm_{arch}, {real}, got "
                              f"{_first_error(log) or status.name}.")
        return _bytes_of(program, "CUBIN"), log
    finally:
        _ask("nvrtcDestroyProgram", program)


def _bytes_of(program, what):
    """What NVRTC made of a program: its ``CUBIN`` or its ``ProgramLog``."""
    size, = _ask(f"nvrtcGet{what}Size", program)
    found = bytearray(size)
    _ask(f"nvrtcGet{what}", program, found)
    return bytes(found)


def _first_error(log):
    """The first line of a log that tells of an error."""
    return next((line.strip() for line in log.splitlines() if "error" in line.lower()),
                None)


@functools.lru_cache(maxsize=None)
def disassembler():
    """The path of nvdisasm: of PyPI's package, or of an installed CUDA toolkit.

    Raises
    ------
    BackendUnavailable
        If there is none; the message says what to install.
    """
    try:
        files = importlib.metadata.files("nvidia-cuda-nvdisasm") or ()
    except importlib.metadata.PackageNotFoundError:
        files = ()
    path = next((str(one.locate()) for one in files
                 if one.stem == "nvdisasm"), shutil.which("nvdisasm"))
    if path is None:
        raise BackendUnavailable("machine code: expected nvdisasm to read it, got "
                                 "none. pip install 'minifer[nvrtc]'.")
    return path


@functools.lru_cache(maxsize=64)
def _disassembled(code):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "kernels.cubin")
        with open(path, "wb") as file:
            file.write(code)
        found = subprocess.run([disassembler(), "-c", path], capture_output=True,
                               text=True)
    if found.returncode:
        said = found.stderr.strip().splitlines()
        raise KernelError("nvdisasm: expected machine code that it can read, got "
                          f"{said[0] if said else 'no message'}.")
    return found.stdout


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
