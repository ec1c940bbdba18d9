"""What stands in for expressions in a compiled function.

:func:`minifer.expressions.evaluate` computes an expression by its own ``forward`` and
``backward``, unless a stand-in is given: here a network's plan, and, on a GPU,
the kernel that computes a network's last layer together with its loss.
"""

from collections import Counter

import numpy as np

from ..cuda.loss import class_numbers
from ..device.arrays import device_of, to_device
from ..expressions import (Apply, GradientsOf, Part, Variable, all_below, leads_to,
                           mean_of)
from ..layers import get_all_params
from ..layers.input import ValueLayer
from ..layers.symbolic import NetworkPass
from ..ops.loss import softmax_crossentropy_forward
from .plan import runs_planned
from .rows import most_rows

__all__ = ["PlannedPass", "FusedHead", "fused_heads", "network_passes",
           "passes_that_learn", "gradients_in"]


class PlannedPass:
    """Stands in for a NetworkPass: runs its plan, or the pass where none applies.

    Parameters
    ----------
    network_pass : NetworkPass
    batch : int
        Images to plan for, at least.
    make : function
        ``make(images, dtype)`` returns a plan.
    types : tuple of types
        The float types that it makes plans for.
    begun : bool, default False
        Whether the caller calls :meth:`begin_with` before each pass, so that
        ``forward`` only launches kernels and can be captured.

    Attributes
    ----------
    plan : Plan or None
    latest : Plan or None
        The plan, if the latest pass ran in it.
    keep : function or None
        Takes gradients as steps find them, until the next pass; see
        :func:`minifer.ops.backpropagation.walk_back`.
    """

    keep = None
    can_skip_dx = True

    def __init__(self, network_pass, batch, make, types, begun=False):
        self.network_pass, self.batch, self.make = network_pass, batch, make
        self.types = types
        self.params = get_all_params(network_pass.outputs)
        self.plan, self.applies, self.latest = None, False, None
        self.rows = {}  # by the inputs' shapes
        self.begun = begun and all(isinstance(one, Variable)
                                   for one in network_pass.inputs)

    def begin(self, values):
        """What the host has to do before a pass: a plan, if need be, and its begin.

        Returns
        -------
        bool
            Whether a plan applies to these values.
        """
        dtype = runs_planned(values, self.params, self.types)
        self.applies = (dtype is not None
                        and None not in self.network_pass.sources
                        and all(len(v) for v in values)  # nothing needs no plan
                        and self._rows(values) is not None)
        if self.applies:
            size = max(self.batch, self._rows(values))
            if self.plan is None or size > self.plan.batch or dtype != self.plan.dtype:
                self.plan = self.make(size, dtype)
            self.plan.begin()
        return self.applies

    def _rows(self, values):
        """See :func:`.rows.most_rows`; looked at once for each shape of inputs."""
        one, shapes = self.network_pass, tuple(value.shape for value in values)
        key = shapes, *(tuple(map(int, value)) for value, source in zip(
            values, one.sources) if isinstance(source, ValueLayer) and (
                source.shape == (1,)))
        if key not in self.rows:
            self.rows[key] = most_rows(one.outputs, dict(zip(one.sources, values)))
        return self.rows[key]

    def begin_with(self, given):
        """The same for the values of variables; False where they are not known yet."""
        inputs = self.network_pass.inputs
        return (self.begun and all(one in given for one in inputs)
                and self.begin([given[one] for one in inputs]))

    def forward(self, *values):
        if not self.begun:
            self.begin(values)
        self.keep = None
        self.latest = self.plan if self.applies else None
        if self.latest is None:
            return self.network_pass.forward(*values)
        return self.plan.run(dict(zip(self.network_pass.sources, values))), self.plan

    def backward(self, dvalues, cache, need_dx=False):
        if cache is not self.plan or self.plan is None:
            return self.network_pass.backward(dvalues, cache, need_dx)
        found = self.plan.backward(dvalues, self.keep)
        return tuple(self.plan.input_gradients.get(layer)
                     for layer in self.network_pass.sources), found

    def places(self):
        """From how many places of the latest pass each parameter's gradient comes."""
        if self.latest is None:
            return Counter(self.params)
        return Counter(param for step in self.latest.steps if step.learns
                       for layer in step.layers for param in layer.get_params())


class FusedHead:
    """Stands in for the cross-entropy behind a network whose last layer is put off.

    Parameters
    ----------
    crossentropy : Apply
    planned : PlannedPass
    """

    def __init__(self, crossentropy, planned):
        self.crossentropy, self.planned = crossentropy, planned
        self.weights = None  # of the classes, once they are on the device

    def forward(self, logits, targets):
        head = self.planned.latest and self.planned.latest.head
        if head is None:
            return self.crossentropy.forward(logits, targets)
        if targets.ndim != 1:  # shares of the classes
            head.work_out()
            return self.crossentropy.forward(logits, targets)
        if self.weights is None and self.crossentropy.constants[0] is not None:
            self.weights = to_device(np.asarray(self.crossentropy.constants[0], "f"),
                                     device_of(logits))
        classes = class_numbers(targets, logits.shape[1])
        losses, dlogits = head.run(classes, self.weights)
        return losses, (dlogits,)

    def backward(self, dlosses, cache):
        if len(cache) == 1:  # the losses' mean is what is learnt from: see fused_heads
            return cache, {}
        return self.crossentropy.backward(dlosses, cache)


def passes_that_learn(losses):
    """Passes through networks that are walked back.

    Parameters
    ----------
    losses : list of (Expression, list of Expression or None)
        Each with what gradients are wanted of, None for parameters.

    Returns
    -------
    dict of NetworkPass -> dict
        What its plan is to know: ``feeds_back``, whether the gradients of a pass's
        inputs are wanted, too, and whether it is walked back ``again``.
    """
    found = {}
    for loss, wrt in losses:
        order = all_below([loss])
        leads = leads_to(order, wrt)
        for one in order:
            if isinstance(one, NetworkPass) and one in leads:
                before = found.get(one, {"feeds_back": False})
                found[one] = {"feeds_back": before["feeds_back"] or any(
                    i in leads for i in one.inputs), "again": one in found}
    return found


def gradients_in(expressions):
    """All gradients that expressions contain."""
    return [one for one in all_below(expressions) if isinstance(one, GradientsOf)]


def fused_heads(loss, wanted):
    """Cross-entropies that can be computed together with a network's last layer.

    That is so if the loss is their mean, or a sum with it, and no other expression
    reads the network's output or the losses, nor wants gradients: these may be of a
    multiple of the mean.

    Parameters
    ----------
    loss : Expression
    wanted : list of Expression
        Everything that is evaluated together.

    Returns
    -------
    dict of NetworkPass -> Apply
    """
    found = {}
    for losses in mean_of(loss) if not gradients_in(wanted) else ():
        if not (isinstance(losses, Apply) and losses.op is softmax_crossentropy_forward
                and isinstance(losses.inputs[0], Part)
                and isinstance(losses.inputs[0].inputs[0], NetworkPass)):
            continue
        output, = losses.inputs[:1]
        run, = output.inputs
        if len(run.outputs) == 1 and (
                _readers(losses, wanted) == _readers(output, wanted)
                == _readers(run, wanted) == 1):
            found[run] = losses
    return found


def network_passes(expressions):
    """All passes through networks that expressions contain, each once."""
    return [node for node in all_below(expressions) if isinstance(node, NetworkPass)]


def _readers(expression, wanted):
    """How many expressions, or callers, look at an expression."""
    return wanted.count(expression) + sum(
        node.inputs.count(expression) for node in all_below(wanted))
