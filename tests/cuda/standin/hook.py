"""Compile for the stand-in all that CuPy compiles; its environment's Python loads this.

Each source goes first to NVRTC, with the options that CuPy gives it, and must compile.
Then g++ compiles it with the emulator, and CuPy gets, in place of machine code, the
path of that library: it keeps it in its cache and hands it to the driver, as ever.
"""

import hashlib
import importlib.abc
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
EMULATOR = HERE.parents[2] / "kernels" / "emulator"
PARTS = [HERE / "hook.py", *sorted(HERE.glob("*.h")), EMULATOR / "emu.h"]
DIGEST = hashlib.sha256(b"\0".join(one.read_bytes() for one in PARTS)).hexdigest()[:16]
#: What has been compiled, and CuPy's own cache: anew if anything here changes.
LIBRARIES = pathlib.Path(sys.prefix, "standin", DIGEST)
DRIVER = pathlib.Path(sysconfig.get_paths()["platlib"], "nvidia", "cu13", "lib",
                      "libcuda.so.1")

OPTIONS = ("-std=c++17", "-O1", "-fPIC", "-w", "-ffp-contract=off", "-fpermissive",
           f"-I{HERE}", f"-I{EMULATOR}")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?"
                    r"(\w+)\s*\(")
DYNAMIC = re.compile(r"extern\s+__shared__\s+(?:__align__\(\d+\)\s*)?([\w ]+?)\s+(\w+)"
                     r"\s*\[\s*\]\s*;")


def compile_for_standin(source, options, lowered=None):
    """A CUDA source as a library of the stand-in: the image of a module.

    Parameters
    ----------
    source : str
    options : tuple of str
        NVRTC's; macros and folders are taken over.
    lowered : dict of str -> str, optional
        Kernels of templates, and the names under which they are asked for.
    """
    head = headers(options if "#include <cupy/" in source else ())
    text = DYNAMIC.sub(r"\1* \2 = (\1*)emu_dynamic_shared();", source)
    plain = COMMENT.sub(" ", text)
    names = {name: name for name in KERNEL.findall(plain)
             if not re.search(rf"template\s*<[^;{{}}]*>\s*(?:__global__\s+)?void\s+(?:"
                              rf"__launch_bounds__\s*\([^)]*\)\s*)?{name}\s*\(", plain)}
    names |= {expression: name for expression, name in (lowered or {}).items()}
    table = "".join(f'    standin::Caller<&{code}>::named("{name}"),\n'
                    for code, name in names.items())
    text = (f"{text}\nEMU_MODULE\nextern \"C\" const StandinKernel standin_kernels[] = "
            f"{{\n{table}    {{0}}}};\n")
    flags = [one for one in options if re.match(r"-[DI]", one)]
    key = "\0".join([text, *flags, head.name])
    target = LIBRARIES / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.so"
    if not target.exists():
        make(target, text, flags, head)
    return b"standin:" + os.fsencode(target)


def headers(options):
    """module.h and CuPy's headers, precompiled once."""
    folders = [one for one in options if one.startswith("-I")]
    cupy = next((one for one in folders if one.endswith("_core/include")), None)
    head = LIBRARIES / ("cupy.h" if cupy else "plain.h")
    if not head.with_suffix(".h.gch").exists():
        LIBRARIES.mkdir(parents=True, exist_ok=True)
        more = ("complex.cuh", "carray.cuh", "atomics.cuh", "math_constants.h")
        head.write_text('#include "module.h"\n' + "".join(
            f"#include <cupy/{name}>\n" for name in more if cupy))
        make(head.with_suffix(".h.gch"), head.read_text(), [cupy] if cupy else [], None)
    return head


def make(target, text, flags, head):
    """Run g++; the file appears whole or not at all."""
    with tempfile.TemporaryDirectory(dir=LIBRARIES) as folder:
        made, source = (os.path.join(folder, name) for name in ("made", "source.cpp"))
        pathlib.Path(source).write_text(text)
        how = (["-x", "c++-header"] if head is None else
               ["-include", str(head), "-shared", "-x", "c++"])
        done = subprocess.run(["g++", *OPTIONS, *how, *flags, source, "-o", made,
                               *([] if head is None else ["-x", "none", DRIVER])],
                              capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"g++ does not compile what NVRTC compiles:\n"
                               f"{done.stderr[:3000]}\n{' '.join(flags)}")
        os.replace(made, target)


def install(compiler):
    """Stand between CuPy and its compiler."""
    program = compiler._NVRTCProgram
    real = program.compile

    def compile(self, options=(), log_stream=None):
        image, lowered = real(self, options, log_stream)
        if self.method != "cubin":  # CuPy asks what the compiler makes of nothing
            return image, lowered
        return compile_for_standin(self.src, options, lowered), lowered

    program.compile = compile


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Does :func:`install` as soon as CuPy's compiler is imported."""

    name = "cupy.cuda.compiler"

    def find_spec(self, name, path, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        found = importlib.util.find_spec(name)
        self.loader = found.loader
        return importlib.util.spec_from_loader(name, self, origin=found.origin)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.__file__ = module.__spec__.origin
        self.loader.exec_module(module)
        install(module)


os.environ["CUPY_ACCELERATORS"] = ""  # CUB needs a GPU
os.environ["CUPY_CACHE_DIR"] = str(LIBRARIES / "cupy")
sys.meta_path.insert(0, Finder())
