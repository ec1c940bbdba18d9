"""An environment with real CuPy on a device that is not there.

CuPy's wheel is taken as it is, but for one extension, which holds a static copy of
CUDA's runtime: it is made anew from the same version's source, to call the shared
libraries of this folder. They lie in the environment where NVIDIA's would lie, and
nowhere else: no other environment finds them.
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
EMULATOR = ROOT / "kernels" / "emulator"

CUPY = "14.2.0"
CUDA = 13000
#: Compiler and headers of one CUDA. The newest NVRTC may know more than CuPy asks for.
NVIDIA = [f"nvidia-cuda-{name}==13.0.*"
          for name in ("nvrtc", "runtime", "crt", "profiler-api")]
TOOLS = ["cython==3.1.8", "setuptools", "pytest>=8.2", "pytest-xdist>=3.5",
         "hypothesis>=6.80", "h5py>=3.12.1"]
EXTENSION = "cupy_backends/cuda/api/runtime"

#: As install/cupy_builder/_command.py of CuPy's source has them.
CYTHONIZE = f"""
from Cython.Build import cythonize
from setuptools import Extension
cythonize([Extension("{EXTENSION.replace("/", ".")}", ["{EXTENSION}.pyx"],
                     language="c++")], language_level=3, force=True, quiet=True,
          compiler_directives={{"linetrace": False, "profile": False, "binding": False,
                                "embedsignature": True, "c_api_binop_methods": True,
                                "warn.deprecated.IF": False,
                                "freethreading_compatible": True}},
          compile_time_env={{"CUPY_USE_CUDA_PYTHON": False, "CUPY_CUFFT_STATIC": False,
                             "CUPY_CYTHON_VERSION": "3", "CUPY_CUDA_VERSION": {CUDA},
                             "CUPY_HIP_VERSION": 0}})
"""


def cache_folder():
    """Where environments are kept: ``$XDG_CACHE_HOME/minifer/cupy-check``."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(root, "minifer", "cupy-check")


def environment():
    """The Python of the environment, which is made if it is not there."""
    pins = repr((CUPY, CUDA, NVIDIA, TOOLS, CYTHONIZE, sys.version, str(ROOT)))
    folder = cache_folder() / hashlib.sha256(pins.encode()).hexdigest()[:16]
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        print(f"Installing CuPy {CUPY} into {folder}.", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        install(python, f"cupy-cuda13x=={CUPY}", *NVIDIA, *TOOLS)
        install(python, "-e", ROOT)
        rebuild(python, folder)
        (folder / "installed").touch()
    put_libraries(python)
    return python


def install(python, *what):
    command(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            *what)


def rebuild(python, folder):
    """The extension, from CuPy's source distribution."""
    # Else its setup looks for an installed CUDA, only to tell what it would build.
    command(python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--no-deps", "--no-binary", "cupy", f"cupy=={CUPY}", "-d", folder,
            env={**os.environ, "CUPY_INSTALL_USE_STUB": "1"})
    with tarfile.open(folder / f"cupy-{CUPY}.tar.gz") as source:
        if hasattr(tarfile, "data_filter"):
            source.extraction_filter = tarfile.data_filter
        source.extractall(folder)
    source = folder / f"cupy-{CUPY}"
    command(python, "-c", CYTHONIZE, cwd=source)
    packages = packages_of(python)
    made = packages / "runtime.o"
    command(compiler(), "-O1", "-std=c++17", "-fPIC", "-c", "-w", f"-I{source}",
            f"-I{packages}/nvidia/cu13/include",
            f"-I{sysconfig.get_paths()['include']}", source / f"{EXTENSION}.cpp",
            "-o", made)
    put_libraries(python)
    target, = packages.glob(f"{EXTENSION}.*.so")
    command(compiler(), "-shared", made, "-o", target,
            packages / "nvidia" / "cu13" / "lib" / "libcudart.so.13",
            "-Wl,-rpath,$ORIGIN/../../../nvidia/cu13/lib")


def put_libraries(python):
    """The stand-in's libraries in NVIDIA's place, and the hook of the compiler."""
    packages = packages_of(python)
    (packages / "standin.pth").write_text(
        f"import sys; sys.path.append({str(HERE)!r}); import hook; sys.path.pop()\n")
    sources = [*sorted(HERE.glob("*.cpp")), *sorted(HERE.glob("*.h")),
               *(EMULATOR / name for name in ("emu.cpp", "warp.cpp", "hopper.cpp",
                                              "wgmma.cpp", "hopper.h", "emu.h",
                                              "internals.h")), pathlib.Path(__file__)]
    digest = hashlib.sha256(b"".join(one.read_bytes() for one in sources)).hexdigest()
    mark = packages / "standin.digest"
    if mark.exists() and mark.read_text() == digest:
        return
    folder = packages / "nvidia" / "cu13" / "lib"
    driver = folder / "libcuda.so.1"
    link(driver, *(HERE / f"{name}.cpp" for name in ("driver", "streams", "memory")),
         "-include", HERE / "names.h",
         *(EMULATOR / name for name in ("emu.cpp", "warp.cpp", "hopper.cpp",
                                      "wgmma.cpp")))
    cublas, = (packages / "cupy_backends" / "cuda" / "libs").glob("cublas.*.so")
    link_all_of(folder / "libcudart.so.13", packages / "runtime.o", "cuda", 801,
                HERE / "runtime.cpp", driver)
    link_all_of(folder / "libcublas.so.13", cublas, "cublas", 15,
                HERE / "cublas.cpp", driver)
    link(folder / "libcublasLt.so.13", driver)  # empty: cuBLAS is looked for with it
    mark.write_text(digest)


def link(target, *parts):
    """A shared library that finds the others beside it."""
    target.unlink(missing_ok=True)
    command(compiler(), "-std=c++17", "-O2", "-g1", "-fPIC", "-shared", "-w",
            f"-I{HERE}", f"-I{EMULATOR}", f"-I{target.parents[1]}/include", *parts,
            "-ldl", "-o", target, f"-Wl,-soname,{target.name}", "-Wl,-rpath,$ORIGIN")


def link_all_of(target, user, prefix, unsupported, *parts):
    """A library with all that its user calls: what the parts lack says no."""
    link(target, *parts)
    there = symbols(target, "-D", "--defined-only")
    missing = sorted(name for name in symbols(user, "--undefined-only",
                                              *(["-D"] if user.suffix == ".so" else []))
                     if name.startswith(prefix) and name not in there)
    with tempfile.TemporaryDirectory() as folder:
        rest, version = (pathlib.Path(folder, name) for name in ("rest.cpp", "version"))
        rest.write_text("".join(f'extern "C" int {name}() {{ return {unsupported}; }}\n'
                                for name in missing))
        version.write_text(f"{target.name} {{ global: *; }};")
        link(target, *parts, rest, f"-Wl,--version-script={version}")


def symbols(path, *options):
    lines = command("nm", *options, path).splitlines()
    return {line.split()[-1].partition("@")[0] for line in lines if line.split()}


def packages_of(python):
    done = subprocess.run([python, "-c", "import sysconfig; "
                           "print(sysconfig.get_paths()['platlib'])"],
                          check=True, capture_output=True, text=True)
    return pathlib.Path(done.stdout.strip())


def compiler():
    from minifer.device.arrays import compiler as found
    return found()


def command(*words, **how):
    """Run a program; what it said is shown if it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          **how)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout
