"""From CUDA text to a shared library: g++, and a cache of what it made.

The cache is ``$XDG_CACHE_HOME/minifer/emu``, or ``~/.cache/minifer/emu``. A file's
name is a hash of all that went into it, so nothing there is ever out of date, and it
may be deleted at any time.
"""

import functools
import hashlib
import os
import pathlib
import re
import subprocess
import tempfile

from ...device.arrays import compiler
from ...errors import BackendUnavailable, KernelError
from ...files import make_folder
from ..folder import FOLDER

__all__ = ["available", "kernel_library", "runtime_library", "parameter_names",
           "line_of", "variable_at"]

HERE = FOLDER / "emulator"

#: -g1 keeps lines, for the messages; -ffp-contract=off keeps results the same on
#: every CPU. The sanitizers' calls, before each load and store and where an index or
#: an address is wrong, end in memory.cpp: their own libraries are not used. The time
#: goes there, so kernels need no more than -O1, which takes g++ a quarter less.
COMMON = ("-std=c++17", "-g1", "-gdwarf-4", "-fPIC", "-ffp-contract=off")
RUNTIME = (*COMMON, "-O2")
KERNEL = (*COMMON, "-O1", "-w", "-fsanitize=thread,alignment,bounds", "-fno-exceptions",
          "-fno-optimize-sibling-calls", "-fno-toplevel-reorder")

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
KERNEL_HEAD = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?"
                         r"(\w+)\s*\(([^)]*)\)")


def available():
    """Whether kernels can be compiled here: on Linux, if there is a g++."""
    try:
        return bool(compiler())
    except BackendUnavailable:
        return False


def cache_folder():
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(make_folder(os.path.join(root, "minifer", "emu")))


@functools.lru_cache(maxsize=None)
def compiler_version():
    """What g++ says it is, as text for the hash."""
    return subprocess.run([compiler(), "-dumpfullversion", "-dumpmachine"],
                          capture_output=True, text=True, check=True).stdout


def sources(path):
    """A file and all that it includes of ours: dict of path -> text."""
    found, todo = {}, [pathlib.Path(path).resolve()]
    while todo:
        one = todo.pop()
        if one in found:
            continue
        try:
            found[one] = one.read_text("utf-8")
        except OSError as error:
            raise KernelError(f"{one}: expected a CUDA source, got "
                              f"{error.strerror}.") from error
        for name in INCLUDE.findall(found[one]):
            near = [folder / name for folder in (one.parent, FOLDER, HERE)
                    if (folder / name).is_file()]
            todo.extend(near[:1])    # g++ itself reports one that is missing
    return found


def kernel_heads(text):
    """The kernels in a file's text: dict of name -> names of the parameters."""
    return {name: [part.split()[-1].lstrip("*&") for part in parts.split(",") if part]
            for name, parts in KERNEL_HEAD.findall(COMMENT.sub(" ", text))}


def runtime_library():
    """The emulator's own code as a library: its path."""
    parts = [HERE / name for name in ("emu.cpp", "warp.cpp", "memory.cpp", "races.cpp",
                                      "hopper.cpp", "wgmma.cpp")]
    texts = [text for part in parts for text in sources(part).values()]

    def make(target):
        _compile("emulator", *RUNTIME, "-shared", *parts, "-o", target, "-ldl")

    return _cached("emulator", texts, make)


def kernel_library(path, defines):
    """The kernels of a ``.cu`` file as a library: its path.

    Parameters
    ----------
    path : path-like
    defines : dict
        Macros.

    Raises
    ------
    BackendUnavailable
        Without g++.
    KernelError
        If g++ does not accept the file.
    """
    found = sources(path)
    path, runtime = pathlib.Path(path).resolve(), runtime_library()
    macros = [f"-D{key}={value}" for key, value in sorted(defines.items())]
    text = "\n".join(['#include "emu.h"', f'#include "{path}"', "EMU_MODULE",
                      *(f"EMU_KERNEL({name})" for name in kernel_heads(found[path])),
                      ""])
    parts = [text, *macros, *map(str, found), *found.values(), str(runtime)]

    def make(target):
        _compile(path.name, *KERNEL, *macros, f"-I{HERE}", f"-I{FOLDER}",
                 "-x", "c++", "-c", "-", "-o", target + ".o", text=text)
        # On its own, since the sanitizers' flags would link their libraries too.
        _compile(path.name, "-shared", target + ".o", runtime, "-o", target)

    return _cached(path.stem, parts, make)


def _cached(name, parts, make):
    """A file made of these parts; it appears whole or not at all."""
    key = "\0".join([compiler(), compiler_version(), *RUNTIME, *KERNEL, *parts])
    folder = cache_folder()
    target = folder / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.so"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            make(os.path.join(scratch, "made"))
            os.replace(os.path.join(scratch, "made"), target)
    return target


def _compile(name, *options, text=""):
    done = subprocess.run([compiler(), *map(str, options)], input=text,
                          capture_output=True, text=True,
                          env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        raise KernelError(_first_error(name, done.stderr))


def _first_error(name, output):
    errors = [line for line in output.splitlines() if "error" in line] or [output]
    return f"{name}: expected CUDA C++ that g++ accepts, got '{errors[0].strip()}'."


# --- from places in a library back to names in the source --------------------

def parameter_names(path, kernel):
    """The names of a kernel's parameters."""
    return kernel_heads(sources(path)[pathlib.Path(path).resolve()])[kernel]


def line_of(library, place):
    """The line of a ``.cu`` or ``.cuh`` file that a place in the code comes from."""
    lines = [line.split(" ")[0] for line in
             _tool("addr2line", "-i", "-e", str(library), hex(place))]
    return next((line for line in lines if not line.startswith(str(HERE))),
                f"code at {place:#x}")


def variable_at(library, place):
    """The name of the variable that begins at a place."""
    for line in _tool("nm", "-C", "--defined-only", str(library)):
        at, _, name = line.split(" ", 2)
        if int(at, 16) == place:
            return name.rpartition("::")[2]
    return "shared memory"


def _tool(*command):
    """The output of one of the programs that come with g++; none if it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.splitlines() if done.returncode == 0 else []
