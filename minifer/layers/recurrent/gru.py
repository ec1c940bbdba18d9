"""Gated recurrent units."""

from __future__ import annotations

import numpy as np

from ... import init, nonlinearities
from ..._types import Shape
from ...ops.gru import gru_backward, gru_forward
from ...ops.gru_variants import gru_variant_backward, gru_variant_forward
from ..base import Layer
from ..options import count
from ..param import Spec
from .gate import Gate
from .sequence import GatedLayer

__all__ = ["GRULayer"]


class GRULayer(GatedLayer):
    """Gated recurrent units; the formulas are in :mod:`minifer.ops.gru`.

    The reset gate acts on the product of the hidden state, as in Lasagne and PyTorch,
    unless it is told otherwise.

    Parameters
    ----------
    incoming : Layer or tuple
        Sequences (N, T, ...); what follows the first two axes is flattened to D.
    num_units : int >= 1
        H. The output is (N, T, H).
    resetgate, updategate : Gate, default Gate(W_cell=None)
    hidden_update : Gate, default Gate(W_cell=None, nonlinearity=tanh)
        What the new state would be.
    hid_init : Param, array, initialiser or Layer, default Constant(0)
        The state before the first step: a parameter (1, H), or what a layer puts out,
        (N, H).
    grad_clipping : float, default 0
        Limit of the gradients of both products, and of what enters the nonlinearity of
        ``hidden_update``, at every step; 0 is none.
    backwards, learn_init, gradient_steps, unroll_scan, precompute_input, mask_input, \
only_return_final, name
        As for :class:`LSTMLayer`.
    reset_after : bool, default True
        False lets the reset gate act on the state, before its product: the form in
        which they were published, and ONNX's default.
    b_hid : Param, array, initialiser or None, default None
        A bias (H,) of the product of ``hidden_update``, inside of what the reset gate
        multiplies: PyTorch's and Keras's layers have one.

    References
    ----------
    Cho et al. (2014): On the properties of neural machine translation.
    arXiv:1409.1259.
    """

    GATES = ("resetgate", "updategate", "hidden_update")
    STATES = ("hid_init",)
    USUAL = ("sigmoid", "sigmoid", "tanh")

    def __init__(self, incoming: Layer | Shape, num_units: int,
                 resetgate: Gate = Gate(W_cell=None),
                 updategate: Gate = Gate(W_cell=None),
                 hidden_update: Gate = Gate(W_cell=None,
                                            nonlinearity=nonlinearities.tanh),
                 hid_init: Spec | Layer = init.Constant(0.), backwards: bool = False,
                 learn_init: bool = False, gradient_steps: int = -1,
                 grad_clipping: float = 0, unroll_scan: bool = False,
                 precompute_input: bool = True, mask_input: Layer | None = None,
                 only_return_final: bool = False, *, reset_after: bool = True,
                 b_hid: Spec | None = None, name: str | None = None):
        super().__init__(incoming, mask_input, {"hid_init": hid_init}, backwards,
                         learn_init, gradient_steps, grad_clipping, unroll_scan,
                         precompute_input, only_return_final, name)
        self.num_units = count(self, "num_units", num_units)
        # The order of Lasagne's parameters is not that of its arguments.
        self.add_gate("updategate", updategate)
        self.add_gate("resetgate", resetgate)
        self.add_gate("hidden_update", hidden_update)
        self.nonlinearity_hid = hidden_update.nonlinearity
        self.hid_init = self.add_state("hid_init", hid_init, (self.num_units,))

        self.reset_after = bool(reset_after)
        self.b_hid = None if b_hid is None else self.add_param(
            b_hid, (self.num_units,), "b_hid", regularizable=False)

    @property
    def is_plain(self) -> bool:
        """Whether it is the form that has an op, and kernels, of its own."""
        return self.reset_after and self.b_hid is None

    def _walk(self, x, W_in, W_hid, b, *states, mask, helper):
        functions = [gate.nonlinearity for gate in self.gates]
        if not self.is_plain:
            b_hid = (np.zeros_like(b[:self.num_units]) if self.b_hid is None
                     else self.b_hid.value)
            return gru_variant_forward(x, W_in, W_hid, b, b_hid, *states, mask,
                                       functions, self.backwards, self.reset_after)
        return gru_forward(x, W_in, W_hid, b, *states, mask, self.unusual(functions),
                           self.backwards, helper)

    def _walk_back(self, dy, cache, **limits):
        if not self.is_plain:
            dx, dW_in, dW_hid, db, db_hid, *states = gru_variant_backward(
                dy, cache, **limits)
            return dx, dW_in, dW_hid, db, states, (
                {} if self.b_hid is None else {self.b_hid: db_hid})
        dx, dW_in, dW_hid, db, *states = gru_backward(dy, cache, **limits)
        return dx, dW_in, dW_hid, db, states, {}
