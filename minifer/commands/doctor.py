"""Is everything there, and does it work? minifer doctor [--json].

A line for each thing minifer uses: ok, absent (nothing needs it, you may want it), or
broken; and what to do about it. Exit code 1 if something that minifer needs is broken.
"""

import dataclasses
import importlib
import importlib.metadata
import json
import os
import platform
import re
import tempfile

import numpy as np

from .._version import __version__
from ..device import arrays
from ..device.threads import default_threads
from ..errors import BackendUnavailable, MiniferError
from ..faces import cropping
from ..faces.cache import cache_folder
from ..ops.activation import rectify_forward

__all__ = ["Check", "examine", "fits", "is_well"]

OPENCV = "opencv-python-headless"
#: Package -> (what is imported, what it is for).
NEEDED = {"numpy": ("numpy", "arrays"),
          "scipy": ("scipy", "statistics"),
          OPENCV: ("cv2", "images and faces"),
          "matplotlib": ("matplotlib", "pictures"),
          "threadpoolctl": ("threadpoolctl", "a thread a core"),
          "tqdm": ("tqdm", "progress bars")}
EXTRA = {"h5py": ("h5py", "reads Keras's .h5 weights"),
         "optuna": ("optuna", "minifer search --strategy optuna"),
         "distributed": ("distributed", "minifer search --runner dask"),
         "mpi4py": ("mpi4py", "minifer train --ranks mpi, on many machines")}


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was looked at: tried, not only found to be there.

    Parameters
    ----------
    name : str
    status : {'ok', 'absent', 'broken'}
        Absent is what nothing needs and one may want.
    text : str
        What was found, or what is missing.
    fix : str
        What to do; empty if all is well.
    needed : bool
        Whether minifer cannot do without.

    Examples
    --------
    >>> print(Check("h5py", "absent", "reads Keras's .h5 weights", "pip install h5py"))
    absent  h5py           reads Keras's .h5 weights
                           -> pip install h5py
    """

    name: str
    status: str
    text: str
    fix: str = ""
    needed: bool = False

    def __str__(self):
        lines = [f"{self.status:<7} {self.name:<14} {self.text}"]
        return "\n".join(lines + [f"{'':<22} -> {self.fix}"] * bool(self.fix))


def arguments(parser):
    """The options."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args):
    """Print what was found."""
    checks = examine()
    well = is_well(checks)
    if args.json:
        print(json.dumps({"ok": well, "checks": list(map(dataclasses.asdict, checks))},
                         indent=2))
    else:
        print(*checks, sep="\n")
        print("\nAll that minifer needs is there." if well else
              "\nSomething that minifer needs is broken: see above.")
    return 0 if well else 1


def examine():
    """Look at everything.

    Returns
    -------
    list of Check
    """
    # BLAS before SciPy and OpenCV bring their own.
    return [_python(), _minifer(), _blas(), _kernels(),
            *(_package(name, *what, needed=True) for name, what in NEEDED.items()),
            _wheels(), _cascade(),
            *(_package(name, *what) for name, what in EXTRA.items()), _window(),
            _nvrtc(), _threads(), _cpu(), _cuda(), _emulator(), _cache()]


def is_well(checks):
    """Whether everything needed is there and works."""
    return all(check.status == "ok" for check in checks if check.needed)


# --- Python and packages -------------------------------------------------------

def _python():
    wanted = _installed().get("Requires-Python") or ""
    version = platform.python_version()
    if not fits(version, wanted):
        return Check("Python", "broken", f"{version}, expected {wanted}",
                     "make PYTHON=python3.12 ... (or newer) in a new environment", True)
    return Check("Python", "ok", f"{version}, {platform.system()} "
                 f"{platform.machine()}", needed=True)


def _minifer():
    folder = os.path.dirname(os.path.abspath(__file__))
    if not _installed():
        return Check("minifer", "absent", f"{__version__}, in {folder}, not installed",
                     "pip install -e . in the folder with setup.cfg")
    return Check("minifer", "ok", f"{__version__}, in {folder}")


def _installed():
    """What pip knows of minifer; empty if it was not installed."""
    try:
        return importlib.metadata.metadata("minifer")
    except importlib.metadata.PackageNotFoundError:
        return {}


def _requirement(name):
    """The versions of a package that minifer wants, such as ``'>=2.0'``."""
    lines = _installed() and importlib.metadata.requires("minifer") or []
    for line in lines:
        match = re.match(rf"{re.escape(name)}\s*([<>=][^;]*)", line)
        if match:
            return match[1].strip()
    return ""


def fits(version, wanted):
    """Whether a version meets requirements of the forms ``>=``, ``<`` and ``==``.

    Parameters
    ----------
    version : str
        What follows its numbers, as ``rc1``, is not looked at. A fourth number is
        compared only where it has one: OpenCV does not tell that of its wheel.
    wanted : str
        Requirements with commas between them; empty is met by all.

    Examples
    --------
    >>> fits("4.10.0", ">=4.10.0.84,<5"), fits("5.0", ">=4.8,<5")
    (True, False)
    """
    def numbers(text):
        found = re.match(r"[\d.]*\d", text)
        parts = [int(part) for part in found[0].split(".")] if found else []
        return (parts + [0] * 4)[:4 if version.count(".") > 2 else 3]

    compare = {">=": lambda a, b: a >= b, "<": lambda a, b: a < b,
               "==": lambda a, b: a == b}
    return all(compare[sign](numbers(version), numbers(bound))
               for sign, bound in re.findall(r"(>=|<|==)\s*([\d.]+)", wanted))


def _package(name, module, use, needed=False):
    """A package, imported."""
    wanted = _requirement(name)
    fix = f"pip install '{name}{wanted}'" if name != OPENCV else _opencv_fix()
    name = name.partition("-")[0]
    try:
        version = importlib.import_module(module).__version__
    except ModuleNotFoundError:
        return Check(name, "broken" if needed else "absent", f"not installed: {use}",
                     fix, needed)
    except Exception as error:  # whatever a broken package does when it is imported
        return Check(name, "broken", f"cannot be imported: {_line(error)}",
                     f"{fix} --force-reinstall", needed)
    if not fits(version, wanted):
        # From 5 on it has its cascades in the larger wheels only, as a thing of old.
        why = ": finds no faces" if name == "opencv" and not fits(version, "<5") else ""
        return Check(name, "broken", f"{version}, expected {wanted}{why}", fix, needed)
    return Check(name, "ok", f"{version}: {use}", needed=needed)


def _opencvs():
    """Wheels that bring a ``cv2``: name -> version. They all write to one folder."""
    found = {}
    for one in importlib.metadata.distributions():
        name = (one.metadata["Name"] or "").lower().replace("_", "-")
        if name.startswith("opencv-") and any(
                file.parts[0] == "cv2" for file in one.files or ()):
            found[name] = one.version
    return found


def _opencv_fix():
    """How to come to the one OpenCV that minifer wants."""
    others = sorted(_opencvs())
    away = f"pip uninstall {' '.join(others)}; " if others not in ([], [OPENCV]) else ""
    return f"{away}pip install '{OPENCV}{_requirement(OPENCV)}'"


def _wheels():
    """Several wheels of OpenCV overwrite each other's files, and pip does not mind."""
    found = _opencvs()
    text = ", ".join(f"{name} {version}" for name, version in sorted(found.items()))
    if len(found) < 2:
        return Check("OpenCV wheel", "ok", text or "none: OpenCV came in another way")
    mixed = len(set(found.values())) > 1
    return Check("OpenCV wheel", "broken", f"{text}: one overwrites the other, and "
                 + ("files of both are mixed" if mixed else
                    "takes it along when it is uninstalled"), _opencv_fix(), mixed)


def _line(error):
    return " ".join(str(error).split()) or type(error).__name__


def _blas():
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return Check("BLAS", "absent", "not known without threadpoolctl",
                     "pip install threadpoolctl")
    found = {f"{pool['internal_api']} {pool['version']}, kernels for "
             f"{pool.get('architecture') or 'an unknown processor'}, "
             f"{pool['num_threads']} threads"
             for pool in threadpool_info() if pool["user_api"] == "blas"}
    if not found:
        return Check("BLAS", "absent", "none whose threads can be limited: slower",
                     "pip install --force-reinstall numpy: its wheels have OpenBLAS")
    return Check("BLAS", "ok", f"{'; '.join(sorted(found))}{_told('OPENBLAS_CORETYPE')}"
                 ": NumPy's matrix products")


def _told(variable):
    """A variable that decides what is told beside it, if it is set."""
    value = os.environ.get(variable)
    return f" ({variable}={value})" if value else ""


def _kernels():
    """Which of its loops NumPy takes: results may differ in the last bits by them."""
    kinds = np.show_config(mode="dicts").get("SIMD Extensions", {})
    text = ", ".join([*kinds.get("baseline", ()), *kinds.get("found", ())])
    return Check("NumPy's loops", "ok", f"for {text or 'any processor'}"
                 + _told("NPY_DISABLE_CPU_FEATURES"))


def _cascade():
    """Look for a face where there is none."""
    try:
        cropping.find_faces(np.zeros((64, 64), np.uint8))
    except Exception as error:  # ours, or OpenCV's own of a file that is damaged
        return Check("face cascade", "broken", _line(error),
                     _opencv_fix().replace("pip install",
                                           "pip install --force-reinstall"), True)
    return Check("face cascade", "ok", "OpenCV's, of Haar features", needed=True)


def _window():
    try:
        import tkinter
    except ImportError:
        return Check("tkinter", "absent", "not installed: windows on the screen",
                     "apt install python3-tk, or a Python from python.org")
    return Check("tkinter", "ok", f"Tk {tkinter.TkVersion}: windows on the screen")


def _nvrtc():
    from ..cuda import nvrtc
    try:
        return Check("NVRTC", "ok", f"{nvrtc.version()}: compiles kernels without GPU")
    except BackendUnavailable:
        return Check("NVRTC", "absent", "not installed: compiles kernels without GPU",
                     "pip install 'minifer[nvrtc]'")


# --- devices, threads, disk ----------------------------------------------------

def _threads():
    try:
        count = default_threads()
    except MiniferError as error:
        return Check("threads", "broken", _line(error),
                     "unset MINIFER_NUM_THREADS, or give it a number", True)
    whence = ("MINIFER_NUM_THREADS" if "MINIFER_NUM_THREADS" in os.environ
              else "a core each")
    return Check("threads", "ok", f"{count}, {whence}", needed=True)


def _cpu():
    return Check("device cpu", "ok", f"{os.cpu_count()} cores", needed=True)


def _cuda():
    gpu = arrays.gpu_name()
    try:
        cupy = arrays.cupy_module()
    except BackendUnavailable as error:
        text, fix = _parts(error)
        return Check("device cuda", "broken" if gpu else "absent",
                     f"{gpu or 'no GPU that nvidia-smi knows'}: {text}", fix)
    return _kernel("cuda", f"{gpu or 'a GPU'}, CuPy {cupy.__version__}",
                   "nvidia-smi, and make gpu-check, tell more")


def _emulator():
    try:
        compiler = arrays.compiler()
    except BackendUnavailable as error:
        return Check("device emu", "absent", *_parts(error))
    return _kernel("emu", f"the kernels without a GPU, by {compiler}",
                   "install g++ again, or do without this device")


def _parts(error):
    """What is missing, and what to do: the sentences of our errors."""
    text, _, fix = _line(error).partition(". ")
    return text.partition(": ")[2], fix.removeprefix("Try ").rstrip(".")


def _kernel(device, text, fix):
    """Compile and run a kernel there: ReLU of two numbers."""
    try:
        x = arrays.to_device(np.array([-1, 2], np.float32), device)
        y = arrays.to_host(rectify_forward(x)[0]).tolist()
    except Exception as error:  # of the compiler or the driver
        return Check(f"device {device}", "broken", f"{text}: {_line(error)}", fix)
    if y != [0, 2]:
        return Check(f"device {device}", "broken", f"{text}: ReLU of -1, 2 is {y}", fix)
    return Check(f"device {device}", "ok", text)


def _cache():
    folder = cache_folder()
    there = os.path.abspath(folder)
    while not os.path.exists(there):
        there = os.path.dirname(there)
    size = sum(os.lstat(os.path.join(place, name)).st_size
               for place, _, names in os.walk(folder) for name in names)
    text = f"{folder}, {size / 1e6:,.1f} MB"
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return Check("cache", "broken", f"{text}, cannot be written ({error.strerror}):"
                     " faces are searched again each time",
                     "set MINIFER_CACHE to a folder of yours")
    return Check("cache", "ok", text)
