"""What a gate is made of."""

from __future__ import annotations

from ... import init, nonlinearities
from ...nonlinearities import Nonlinearity, as_nonlinearity
from ..param import Spec

__all__ = ["Gate"]


class Gate:
    """The weights and the nonlinearity of one gate of a recurrent layer.

    Parameters
    ----------
    W_in : Param, array or initialiser, default Normal(0.1)
        Weights of the input, shape (D, H).
    W_hid : Param, array or initialiser, default Normal(0.1)
        Weights of the hidden state, shape (H, H).
    W_cell : Param, array, initialiser or None, default Normal(0.1)
        Peephole: weights of the cell, shape (H,). None where there is none.
    b : Param, array or initialiser, default Constant(0)
        Bias, shape (H,).
    nonlinearity : Nonlinearity or None, default sigmoid

    Notes
    -----
    A large bias lets an LSTM's forget gate remember at first:
    ``forgetgate=Gate(b=init.Constant(5.0))``.
    """

    def __init__(self, W_in: Spec = init.Normal(0.1), W_hid: Spec = init.Normal(0.1),
                 W_cell: Spec | None = init.Normal(0.1),
                 b: Spec = init.Constant(0.),
                 nonlinearity: Nonlinearity | None = nonlinearities.sigmoid):
        self.W_in, self.W_hid, self.W_cell, self.b = W_in, W_hid, W_cell, b
        self.nonlinearity = as_nonlinearity(nonlinearity)
