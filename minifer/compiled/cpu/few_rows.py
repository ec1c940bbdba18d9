"""The product of a few rows with a dense layer's weights: one row at a time.

It takes as long as the weights take to be read. BLAS multiplies a row where the weights
are; before it multiplies two or three it copies all weights, which takes longer than to
read them as often.

Weights stand input by input, (D, U). Where a core's own cache does not hold them and
U is small, they are read faster unit by unit, in long runs, so that a plan for a few
images keeps them turned, until they change.
"""

import numpy as np

from ..steps import pieces
from .folding import Kept

__all__ = ["FewRows", "FEW"]

FEW = 3  # rows; from four on, one product is as fast
LARGE = 2 ** 20  # numbers, 4 MB: more than a core's own cache
SHORT = 512  # units; longer rows of weights are read as fast as they are
PIECE = 64  # inputs whose weights are turned at a time, so that both stay in the cache


class FewRows:
    """Multiplies up to ``FEW`` rows.

    Parameters
    ----------
    W : Param, shape (D, U)
    rows : int
        Most rows at once, of the plan; with more, the weights stay as they are.
    """

    def __init__(self, W, rows):
        self.W, self.turned = W, None
        D, U = W.shape
        if rows <= FEW and D * U > LARGE and U <= SHORT:
            self.turned, self.kept = np.empty((U, D), np.float32), Kept([W])

    def product(self, x, out):
        """Write ``x @ W`` to ``out``; x is (N, D), out (N, U)."""
        W = self._weights()
        for row, place in zip(x, out):
            # Unlike matmul, dot lets other threads run even where ``out`` is short.
            np.dot(row, W, out=place)

    def _weights(self):
        """The weights (D, U), in whichever order they are read faster."""
        if self.turned is None:
            return self.W.peek()
        if self.kept.changed():
            W = self.W.peek()
            for some in pieces(0, len(W), PIECE):
                np.copyto(self.turned[:, some], W[some].T)
        return self.turned.T

    @property
    def nbytes(self):
        """Bytes of the weights that are kept, and of what they are compared with."""
        return 0 if self.turned is None else self.turned.nbytes + self.kept.nbytes
