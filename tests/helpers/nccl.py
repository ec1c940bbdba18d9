"""A stand-in for ``cupy.cuda.nccl``, which sums the emulator's memory by MPI.

It is as strict as NCCL: all ranks make the same calls in the same order, and a call is
part of a graph on all of them or on none. Called as a script, by mpiexec, it runs
scenarios of its own, as ``together.py`` does::

    mpiexec -n 2 python nccl.py FOLDER SCENARIO ...
"""

import collections
import contextlib
import ctypes
import os
import pathlib
import sys
from unittest import mock

import numpy as np

TESTS = pathlib.Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from helpers import together  # noqa: E402
from minifer import layers, nonlinearities  # noqa: E402
from minifer.commands import cli  # noqa: E402
from minifer.device.arrays import to_device  # noqa: E402
from minifer.device.graphs import Graph  # noqa: E402
from minifer.device.recording import active  # noqa: E402
from minifer.ranks import nccl as ranks  # noqa: E402

NCCL_SUM, NCCL_FLOAT32, NCCL_FLOAT64 = 0, 7, 8
TYPES = {NCCL_FLOAT32: ctypes.c_float, NCCL_FLOAT64: ctypes.c_double}

#: How calls are made: at once, noted for a graph, or by a graph that is launched.
_launched = [False]


class NcclError(RuntimeError):
    """A call that NCCL would refuse, or that would hang it."""


def get_version():
    return 22304  # 2.23.4


def get_unique_id():
    return tuple(os.urandom(128))


class NcclCommunicator:
    """Ranks that call it together."""

    def __init__(self, ndev, commId, rank):
        from mpi4py import MPI
        self.MPI, self.comm, self.calls = MPI, MPI.COMM_WORLD.Dup(), []
        self.ways = collections.Counter()
        self._agree(ndev, commId)
        if (ndev, rank) != (self.comm.size, self.comm.rank):
            raise NcclError("invalid argument")

    def allReduce(self, sendbuf, recvbuf, count, datatype, op, stream):
        way = "noted" if active() else "graph" if _launched[0] else "plain"
        self._agree(way, count, datatype, op, stream)
        self.ways[way] += 1
        sent, array = (np.ctypeslib.as_array((TYPES[datatype] * count).from_address(at))
                       for at in (sendbuf, recvbuf))
        array[:] = sent
        self.comm.Allreduce(self.MPI.IN_PLACE, array)

    def _agree(self, *call):
        everybody = self.comm.allgather(call)
        if any(other != call for other in everybody):
            raise NcclError(f"ranks call it differently: {everybody}")


@contextlib.contextmanager
def planted():
    """For a block, NCCL's ranks are those of this module, on the emulator."""
    launch = Graph.launch

    def launched(graph):
        _launched[0] = True
        try:
            launch(graph)
        finally:
            _launched[0] = False

    with mock.patch.object(ranks.NCCLRanks, "device", "emu"), \
            mock.patch.object(ranks, "nccl_module", lambda: sys.modules[__name__]), \
            mock.patch.object(ranks, "take_gpu"), \
            mock.patch.object(Graph, "launch", launched):
        yield


def normed():
    """A network all of whose layers a graph can hold."""
    net = layers.Conv2DLayer(layers.InputLayer((None, 1, 16, 16)), 8, 3)
    net = layers.dropout(layers.MaxPool2DLayer(layers.batch_norm(net), 2), .25)
    net = layers.dropout(layers.batch_norm(layers.DenseLayer(net, 16)), .5)
    return layers.DenseLayer(net, 3, nonlinearity=nonlinearities.softmax), {}


def trained(make, dtype):
    """Two epochs on the emulator, of batches of two sizes; how NCCL was called."""
    def scenario(ranks, folder):
        found = together.trained(make, dtype, ranks, 2, device="emu", n=11, batch=4)
        ways, ranks.gpus.ways = ranks.gpus.ways, collections.Counter()
        return found | {"ways": ways}
    return scenario


def mixed(ranks, folder):
    """Ranks of which one captures what the others do at once."""
    graph = mock.patch.object(sys.modules[__name__], "active", lambda: ranks.rank == 1)
    try:
        with graph:
            ranks.sum(to_device(np.ones(3, np.float32), "emu"))
    except NcclError as error:
        return str(error)


def sums(ranks, folder):
    """Arrays of all kinds: of which NCCL knows some, and of no device."""
    found = []
    for dtype in "float32", "float64", "int32":
        array = np.arange(12).reshape(3, 4).astype(dtype) * (1 + ranks.rank)
        on_device = to_device(array, "emu")
        ranks.sum(on_device[:, 1:3])
        found.append(on_device.get())
        found.append(ranks.sum(array))
    ways, ranks.gpus.ways = ranks.gpus.ways, collections.Counter()
    return found, ways


NETWORKS = {"shared": together.shared, "ck96": together.ck96, "normed": normed}
#: Where ranks share a batch, plans are for float32: only that is captured.
TRAINED = [("shared", "float64"), ("ck96", "float32"), ("normed", "float32"),
           ("normed", "float64")]
SCENARIOS = {"mixed": mixed, "sums": sums} | {
    f"{make}-{dtype}": trained(NETWORKS[make], dtype) for make, dtype in TRAINED}


if __name__ == "__main__":
    with planted():
        cli.run(lambda: together.main(*sys.argv[1:], kind="nccl", also=SCENARIOS))
