"""Long short-term memory."""

from __future__ import annotations

import numpy as np

from ... import init, nonlinearities
from ..._types import Shape
from ...nonlinearities import Nonlinearity, as_nonlinearity
from ...ops.lstm import lstm_backward, lstm_forward
from ..base import Layer
from ..options import count
from ..param import Spec
from .gate import Gate
from .sequence import GatedLayer

__all__ = ["LSTMLayer"]

PEEPHOLES = ("ingate", "forgetgate", "outgate")


class LSTMLayer(GatedLayer):
    r"""Long short-term memory, with peepholes; the formulas are in
    :mod:`minifer.ops.lstm`.

    Parameters
    ----------
    incoming : Layer or tuple
        Sequences (N, T, ...); what follows the first two axes is flattened to D.
    num_units : int >= 1
        H, the number of cells. The output is (N, T, H).
    ingate, forgetgate, outgate : Gate
    cell : Gate, default Gate(W_cell=None, nonlinearity=tanh)
        What is offered to the cell.
    nonlinearity : Nonlinearity or None, default tanh
        What a cell shows is ``outgate * nonlinearity(cell)``.
    cell_init, hid_init : Param, array, initialiser or Layer, default Constant(0)
        The states before the first step: parameters (1, H), or what a layer puts out,
        (N, H).
    backwards : bool, default False
        From the last step to the first. The output is in the order of the input.
    learn_init : bool, default False
        Whether initial states that are parameters are learned.
    peepholes : bool, default True
        Whether the gates see the cells, by their ``W_cell``.
    gradient_steps : int, default -1
        Through how many of the last steps the gradient goes back; -1 is all.
    grad_clipping : float, default 0
        Limit of the gradients of what enters the gates, peepholes aside, at every step;
        0 is none.
    unroll_scan, precompute_input : bool
        As in Lasagne; here the input's product is always one for all steps, and
        neither changes anything.
    mask_input : Layer, optional
        (N, T): where it is 0, a sequence keeps its states.
    only_return_final : bool, default False
        The state after the last step alone, (N, H).
    name : str, optional

    References
    ----------
    Graves (2013): Generating sequences with recurrent neural networks.
    arXiv:1308.0850.
    """

    GATES = ("ingate", "forgetgate", "cell", "outgate")
    STATES = ("hid_init", "cell_init")
    USUAL = ("sigmoid", "sigmoid", "tanh", "sigmoid", "tanh")

    def __init__(self, incoming: Layer | Shape, num_units: int,
                 ingate: Gate = Gate(), forgetgate: Gate = Gate(),
                 cell: Gate = Gate(W_cell=None, nonlinearity=nonlinearities.tanh),
                 outgate: Gate = Gate(),
                 nonlinearity: Nonlinearity | None = nonlinearities.tanh,
                 cell_init: Spec | Layer = init.Constant(0.),
                 hid_init: Spec | Layer = init.Constant(0.),
                 backwards: bool = False, learn_init: bool = False,
                 peepholes: bool = True, gradient_steps: int = -1,
                 grad_clipping: float = 0, unroll_scan: bool = False,
                 precompute_input: bool = True, mask_input: Layer | None = None,
                 only_return_final: bool = False, *, name: str | None = None):
        super().__init__(incoming, mask_input,
                         {"hid_init": hid_init, "cell_init": cell_init}, backwards,
                         learn_init, gradient_steps, grad_clipping, unroll_scan,
                         precompute_input, only_return_final, name)
        self.num_units = count(self, "num_units", num_units)
        self.nonlinearity = as_nonlinearity(nonlinearity)
        self.peepholes = bool(peepholes)
        given = dict(zip(self.GATES, (ingate, forgetgate, cell, outgate)))
        for option, gate in given.items():
            self.add_gate(option, gate)
        for option in PEEPHOLES if self.peepholes else ():
            if given[option].W_cell is None:
                self.fail(f"{option} with W_cell, its peephole", "a Gate without",
                          "Give it, or peepholes=False.")
            W_cell = self.add_param(given[option].W_cell, (self.num_units,),
                                    f"W_cell_to_{option}")
            getattr(self, option).W_cell = W_cell
            setattr(self, f"W_cell_to_{option}", W_cell)
        self.cell_init = self.add_state("cell_init", cell_init, (self.num_units,))
        self.hid_init = self.add_state("hid_init", hid_init, (self.num_units,))

    def _walk(self, x, W_in, W_hid, b, *states, mask, helper):
        peepholes = None
        if self.peepholes:
            peepholes = np.stack([getattr(self, option).W_cell.value
                                  for option in PEEPHOLES])
        functions = [gate.nonlinearity for gate in self.gates] + [self.nonlinearity]
        return lstm_forward(x, W_in, W_hid, b, *states, peepholes, mask,
                            self.unusual(functions), self.backwards, helper)

    def _walk_back(self, dy, cache, **limits):
        dx, dW_in, dW_hid, db, *states, seen = lstm_backward(dy, cache, **limits)
        gradients = {}
        if seen is not None:
            for option, one in zip(PEEPHOLES, seen):
                param = getattr(self, option).W_cell
                gradients[param] = gradients.get(param, 0) + one
        return dx, dW_in, dW_hid, db, states, gradients
