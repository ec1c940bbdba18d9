"""Memory of a GPU that graphs keep, and how much there has been at most.

A captured graph has a pool of its own, since its launches go on using what the task
made. CuPy does not give a pool's memory back when the pool is dropped: only
``free_all_blocks()`` does, and only what no array holds any more. So a pool whose graph
has gone is kept here, and emptied whenever the next graph is captured.
"""

import weakref

from .explaining import explained

__all__ = ["Pools", "POOLS"]


class Pools:
    """The pools of graphs, those that live and those that are to be emptied.

    Attributes
    ----------
    peak : int
        Bytes that all pools together had taken at most, as far as was looked.
    """

    def __init__(self):
        self.living, self.retired, self.peak = [], [], 0

    def of_graph(self, graph, pool):
        """Keep account of a graph's pool, and retire it when the graph is dropped."""
        self.living.append(pool)
        weakref.finalize(graph, self._retire, pool).atexit = False

    def _retire(self, pool):
        self.living.remove(pool)
        self.retired.append(pool)

    def give_back(self, cupy):
        """Give the GPU what no graph and no array holds any more."""
        self.used(cupy)  # it will be less after this
        with explained():
            for pool in (cupy.get_default_memory_pool(), *self.retired):
                pool.free_all_blocks()
        self.retired = [pool for pool in self.retired if pool.total_bytes()]

    def used(self, cupy):
        """Bytes taken from the GPU now; remembers the most."""
        now = sum(pool.total_bytes() for pool in (
            cupy.get_default_memory_pool(), *self.living, *self.retired))
        self.peak = max(self.peak, now)
        return now


POOLS = Pools()
