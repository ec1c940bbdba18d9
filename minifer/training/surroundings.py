"""What the last bits of a training depend on, besides what it was given.

Sums round by the order in which they are added up, and that depends on the number of
threads, on the processor for which NumPy and BLAS chose their kernels, and on the
device. A checkpoint notes it, and a run that goes on elsewhere says so.

>>> differences({"threads": 2, "numpy": "2.0.0"}, {"threads": 2, "numpy": "2.3.1"})
'began with numpy 2.0.0, goes on with 2.3.1: its last bits may differ from those of \
a run that never stopped'
>>> differences({"threads": 2}, {"threads": 2})
''
"""

import platform
import warnings

import numpy as np

from .. import layers
from ..device.threads import blas_kernels
from ..errors import ResumeWarning

__all__ = ["surroundings", "differences", "say_differences", "threads_of"]

#: What a caller names, and so knows.
NAMED = ("device", "precision")

#: More threads than any machine has cores are an error in a file.
MOST_THREADS = 4096


def surroundings(network, device, precision, threads, ranks=1):
    """What a training's last bits depend on, by name; JSON-ready.

    Parameters
    ----------
    network : Layer
    device, precision : str
        As for a Trainer.
    threads : int or None
        Threads of the plan; None on a GPU.
    ranks : int
        Processes that share each batch.

    Returns
    -------
    dict
        ``device``; on a GPU ``precision``; on the CPU ``threads``, ``machine`` and
        ``blas``, and for networks of float64, which have no plan, ``blas threads``;
        versions of ``python`` and ``numpy``; ``ranks``, if there are several.
    """
    found = {"device": device, "python": ".".join(platform.python_version_tuple()[:2]),
             "numpy": np.__version__} | ({"ranks": ranks} if ranks > 1 else {})
    if device != "cpu":
        return found | {"precision": precision}
    blas, blas_threads = blas_kernels()
    found |= {"threads": threads, "machine": platform.machine(), "blas": blas}
    if any(param.dtype != np.float32 for param in layers.get_all_params(network)):
        found["blas threads"] = blas_threads
    return found


def threads_of(then):
    """The number of threads that surroundings tell of, or None."""
    threads = then.get("threads")
    return threads if type(threads) is int and 1 <= threads <= MOST_THREADS else None


def differences(then, now):
    """What has changed since a run began, in a line; empty if nothing has.

    Parameters
    ----------
    then, now : dict
        As :func:`surroundings` returns them; ``then`` is empty where an older
        checkpoint does not tell.

    Returns
    -------
    str
    """
    if not then:
        return ("began with an unknown number of threads, as checkpoints did not note "
                "it; its last bits may differ from those of a run that never stopped")
    then, now = {"ranks": 1} | then, {"ranks": 1} | now
    names = [name for name in now if name in then and then[name] != now[name]]
    if not names:
        return ""
    was = ", ".join(f"{name} {then[name]}" for name in names)
    return (f"began with {was}, goes on with "
            f"{', '.join(str(now[name]) for name in names)}: its last bits may differ "
            "from those of a run that never stopped")


def say_differences(then, now, progress):
    """Print :func:`differences`; where no progress is shown, warn of them.

    Warns
    -----
    ResumeWarning
        Not of another device or precision, which the caller has named.
    """
    if progress.enabled:
        text = differences(then, now)
        if text:
            progress.line(text)
        return
    text = differences(then, {name: now[name] for name in now if name not in NAMED})
    if text:
        warnings.warn(text, ResumeWarning, stacklevel=5)
