"""A task recorded as a graph: many launches, started by one.

To launch a kernel costs the CPU some microseconds, and a step of a small network is a
few dozen kernels of a few microseconds each: a GPU then mostly waits for its CPU. A
graph holds the launches with all their arguments, and starts them at the cost of one
(CUDA programming guide, "CUDA Graphs").

**What a task must keep to.** It has run once before, so that every kernel is compiled.
Arrays that it works on were there before, stay where they are, and are kept by the
caller as long as the graph. Numbers are noted as they are, so what changes from launch
to launch is read from the device's memory (:mod:`minifer.cuda.scalars` sends it there
before). Nothing waits for the device, nothing is copied from or to the host, and
CuPy's cuBLAS is not used. The task's Python runs once: counters, and all else that the
host keeps, belong outside. Arrays that it makes are the graph's own.

>>> import numpy as np
>>> from minifer.device.arrays import to_device
>>> x, rate = to_device(np.ones(2), "emu"), to_device(np.array([0.5]), "emu")
>>> def decay():
...     x[...] = x - rate * x
>>> graph = capture("emu", decay)
>>> x
EmuArray([1., 1.])
>>> graph.launch()
>>> rate[...] = 0.25
>>> graph.launch()
>>> x, graph.nodes
(EmuArray([0.375, 0.375]), 3)
"""

import re

from ..errors import BackendUnavailable, SettingError
from .arrays import cupy_module, explained
from .pools import POOLS
from .recording import Recording, capturing, refuse

__all__ = ["Graph", "capture"]

NODE = re.compile(r"^\s*\"?graph_\d+_node_\d+\"?\s*\[", re.MULTILINE)


def capture(device, task):
    """Record what a task launches.

    Nothing of it is done by the capture: arrays hold what they held before, and
    those that the task made hold nothing yet. Each :meth:`Graph.launch` does it once.
    On the emulator that is arranged: the task runs, and memory is put back.

    Parameters
    ----------
    device : {'cuda', 'emu'}
    task : function without arguments
        See the top of this file for what it may do.

    Returns
    -------
    Graph

    Raises
    ------
    CaptureError
        If the task waits for the device, copies from or to the host, or calls a
        library that cannot be captured; the message says what.
    SettingError
        If the device cannot capture.
    """
    if device not in ("cuda", "emu"):
        raise SettingError("capture: expected device 'cuda' or 'emu', got "
                           f"{device!r}. Call the task itself.")
    refuse("another capture")
    return (_capture_cuda if device == "cuda" else _capture_emu)(task)


class Graph:
    """The launches that :func:`capture` recorded.

    Attributes
    ----------
    nodes : int or None
        Number of launches and array operations; None if CUDA does not tell.
    result : object
        What the task returned. Arrays in it are filled by each launch.
    """

    def __init__(self, start, nodes, result, kept):
        self.nodes, self.result = nodes, result
        self._start = start
        self._kept = kept  # the memory that the recorded calls work on

    def launch(self):
        """Do the task on CuPy's current stream, without waiting for it."""
        refuse("the launch of a graph")
        with explained():
            self._start()


def _capture_emu(task):
    recording = Recording()
    with capturing(recording):
        try:
            result = task()
        finally:
            recording.undo()

    def start():
        for again in recording.nodes:
            again()

    return Graph(start, len(recording.nodes), result, (task, recording))


def _capture_cuda(task):
    """Capture on a stream and from a pool of its own.

    What the task makes and drops goes back to that pool, which only this graph uses:
    the recorded launches will go on using it.
    """
    cupy = cupy_module()
    # Else the steps before have filled the other pool with what is needed here.
    POOLS.give_back(cupy)
    pool = cupy.cuda.MemoryPool(_block)
    try:
        with explained():
            stream = cupy.cuda.Stream(non_blocking=True)
            with cupy.cuda.using_allocator(pool.malloc), stream, capturing(stream):
                stream.begin_capture()
                try:
                    result = task()
                except BaseException:
                    _abandon(stream)
                    raise
                graph = stream.end_capture()
            graph.upload()
    except BaseException:
        POOLS.retired.append(pool)
        raise
    made = Graph(graph.launch, _count(graph), result, (task, stream))
    POOLS.of_graph(made, pool)
    return made


def _block(size):
    """Memory for the pool. When there is none left, the pool must not give back and
    take again what has been recorded, as it would do after CuPy's own error."""
    cupy = cupy_module()
    try:
        return cupy.cuda.MemoryPointer(cupy.cuda.Memory(size), 0)
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise BackendUnavailable(
            f"capture: expected {size} bytes of GPU memory, got none ({error}). Use a "
            "smaller batch, or end other programs on this GPU.") from error


def _abandon(stream):
    """End a capture that failed; CUDA then says so once more."""
    try:
        stream.end_capture()
    except cupy_module().cuda.runtime.CUDARuntimeError:
        pass


def _count(graph):
    """How many nodes a CUDA graph has, as far as its description shows."""
    return len(NODE.findall(graph.debug_dot_str())) or None
