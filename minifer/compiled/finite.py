"""Whether all is finite; and what a step that was not leaves behind."""

import contextlib

import numpy as np

from ..errors import NotFiniteError
from ..ops.outer_product import OuterProduct
from ..updates.update import PIECE, Share, run_alone

__all__ = ["all_finite", "put_back"]


@contextlib.contextmanager
def put_back(params):
    """Give parameters their values back if the block finds what is not finite."""
    before = [p.value.copy() for p in params]
    try:
        yield
    except NotFiniteError:
        for param, value in zip(params, before):
            param.value[...] = value
        raise


def all_finite(array, run=run_alone):
    """Whether every element is finite; ``run`` as for :class:`minifer.updates.Update`.

    A sum is not finite if an element is not, and reads the array only once. Of a
    gradient kept as factors, they are looked at first.
    """
    if isinstance(array, Share):
        array = array.gradient
    if isinstance(array, OuterProduct) and array.surely_finite():
        return True
    flat, sums = np.asarray(array).reshape(-1), []

    def task(worker, start, stop):
        sums.extend(float(np.add.reduce(flat[i:min(i + PIECE, stop)]))
                    for i in range(start, stop, PIECE))

    run(task, len(flat), PIECE)
    return bool(np.isfinite(sums).all())
