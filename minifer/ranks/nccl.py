"""Ranks with a GPU each, whose arrays are summed by NCCL.

MPI starts them, and passes on what lets NCCL find its peers; what lies on a GPU then
goes from GPU to GPU, on CuPy's stream, and the host does not wait for it. All else is
as in :mod:`minifer.ranks.mpi`.
"""

import os
import sys

import numpy as np

from ..device.arrays import contiguous, cupy_module, device_of, nccl_module
from ..errors import SettingError
from .mpi import MPIRanks

__all__ = ["NCCLRanks"]


class NCCLRanks(MPIRanks):
    """The processes of ``mpiexec`` or ``srun``, a GPU for each.

    Raises
    ------
    BackendUnavailable
        If mpi4py, CuPy, NCCL or a GPU is missing.
    SettingError
        If a machine has more ranks than GPUs.
    """

    def __init__(self):
        super().__init__()
        here = self.MPI.COMM_WORLD.Split_type(self.MPI.COMM_TYPE_SHARED)
        take_gpu(here.rank)
        here.Free()
        nccl = nccl_module()
        self.kinds = {np.dtype("float32"): nccl.NCCL_FLOAT32,
                      np.dtype("float64"): nccl.NCCL_FLOAT64}
        self.add = nccl.NCCL_SUM
        key = self.hand_out(nccl.get_unique_id() if self.writes else None)
        self.gpus = nccl.NcclCommunicator(self.size, key, self.rank)

    def sum(self, array):
        if device_of(array) != "cuda" or array.dtype not in self.kinds:
            return super().sum(array)
        whole = contiguous(array)
        stream = cupy_module().cuda.get_current_stream()
        self.gpus.allReduce(whole.data.ptr, whole.data.ptr, whole.size,
                            self.kinds[whole.dtype], self.add, stream.ptr)
        if whole is not array:
            array[...] = whole
        return array


def take_gpu(number, environ=os.environ):
    """Let this process see one GPU, the one of its number among those it may see.

    That is decided before CuPy starts: then every thread of the process uses it.

    Raises
    ------
    SettingError
        If there are fewer GPUs that this process may see.
    """
    visible = [one for one in environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
    if not visible:
        if "cupy" not in sys.modules:
            environ["CUDA_VISIBLE_DEVICES"] = str(number)
        return
    if len(visible) == 1:  # the launcher has given each rank its own
        return
    if number >= len(visible):
        raise SettingError(
            f"ranks: expected a GPU for each rank of a machine, got {len(visible)} and "
            f"a rank {number + 1}. Start as many ranks as there are GPUs.")
    environ["CUDA_VISIBLE_DEVICES"] = visible[number]
