"""Ranks with a GPU each, whose arrays are summed by NCCL.

MPI starts them, and passes on what lets NCCL find its peers; what lies on a GPU then
goes from GPU to GPU, on CuPy's stream, and the host does not wait for it. All else is
as in :mod:`minifer.ranks.mpi`.

Sums may be part of a captured graph (NCCL user guide, "Using NCCL with CUDA Graphs").
NCCL then asks that all ranks capture the same sums, and launch them, together.
"""

import os
import sys

import numpy as np

from ..device.arrays import address, contiguous, device_of, nccl_module, stream
from ..device.recording import launch
from ..errors import BackendUnavailable, SettingError, one_line
from .mpi import MPIRanks

__all__ = ["NCCLRanks"]

#: The first version of NCCL whose sums may be captured, 2.9.
CAPTURES = 20900


class NCCLRanks(MPIRanks):
    """The processes of ``mpiexec`` or ``srun``, a GPU for each.

    Raises
    ------
    BackendUnavailable
        If mpi4py, CuPy, NCCL or a GPU is missing.
    SettingError
        If a machine has more ranks than GPUs.
    """

    #: Where the arrays lie that NCCL sums.
    device = "cuda"

    def set_up(self):
        super().set_up()
        here = self.MPI.COMM_WORLD.Split_type(self.MPI.COMM_TYPE_SHARED)
        take_gpu(here.rank, here.size)
        here.Free()
        nccl = nccl_module()
        self.kinds = {np.dtype("float32"): nccl.NCCL_FLOAT32,
                      np.dtype("float64"): nccl.NCCL_FLOAT64}
        self.add = nccl.NCCL_SUM
        self.may_be_captured = nccl.get_version() >= CAPTURES
        key = self.hand_out(nccl.get_unique_id() if self.writes else None)
        try:
            self.gpus = nccl.NcclCommunicator(self.size, key, self.rank)
        except RuntimeError as error:  # two ranks on one GPU, say
            raise BackendUnavailable(
                "ranks 'nccl': expected NCCL to connect a GPU of each rank, got "
                f"'{one_line(error)}'. NCCL_DEBUG=INFO tells more; or take ranks='mpi'."
            ) from error

    def sum(self, array):
        if device_of(array) != self.device or array.dtype not in self.kinds:
            return super().sum(array)
        whole = contiguous(array)
        launch(self.gpus.allReduce, (
            address(whole), address(whole), whole.size, self.kinds[whole.dtype],
            self.add, stream(self.device)), whole)
        if whole is not array:
            array[...] = whole
        return array


def take_gpu(number, ranks, environ=os.environ):
    """Let this process see one GPU, the one of its number among those it may see.

    That is decided before CuPy starts: then every thread of the process uses it.

    Parameters
    ----------
    number, ranks : int
        This rank's number on its machine, and how many there are.

    Raises
    ------
    SettingError
        If there are fewer GPUs that this process may see, or CuPy has started.
    """
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    mine = [str(number)] if visible is None else visible.split(",")
    if len(mine) == 1:  # the launcher may have given each rank its own
        found = mine[0]
    elif number < len(mine):
        found = mine[number]
    else:
        raise SettingError(
            f"ranks: expected a GPU for each of {ranks} ranks of a machine, got "
            f"{len(mine)}. Start as many ranks as there are GPUs.")
    if found == visible or ranks == 1:
        return
    if "cupy" in sys.modules:
        raise SettingError(
            "ranks 'nccl': expected to choose a GPU before CuPy is imported, got it "
            "imported. Call minifer.ranks.connect('nccl') first.")
    environ["CUDA_VISIBLE_DEVICES"] = found
