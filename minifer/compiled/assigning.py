"""How a function takes a step that is more than one rule with one loss.

Updates may be a dict: of several rules, each with its own loss (a pair of networks that
train against each other), of gradients that were changed on their way, of new values
that are computed from a rule's,
and of any other values that are kept from call to call.
All of them are computed from what was there before the call, and then put in place.
"""

from __future__ import annotations

import numpy as np

from ..device.arrays import as_array, to_device, to_host
from ..errors import NotFiniteError, SettingError, ShapeError
from ..expressions import all_below, evaluate, gradients
from ..expressions.evaluation import written_out
from ..expressions.shared import SharedValue
from ..layers import get_all_params
from ..updates.mapping import Stepped
from .blame import blame
from .cpu.plan import CpuPlan
from .drivers import Driver
from .finite import put_back
from .gpu.plan import GpuPlan

__all__ = ["AssigningDriver"]


class AssigningDriver(Driver):
    """Steps of several rules, and new values of parameters, on any device.

    Parameters
    ----------
    outputs : list of Expression
    rules : list of Update
    assigned : dict of Param -> Expression
        New values that are not simply a rule's.
    device : {'cpu', 'cuda', 'emu'}
    """

    def __init__(self, outputs, rules, assigned, device):
        self.rules, self.assigned, self.device = rules, assigned, device
        for rule in rules:
            if rule.loss is None and rule.gradients is None:
                raise SettingError(
                    "function: expected updates made from a loss, such as "
                    "updates.sgd(loss, params, learning_rate=0.1).")
        below = all_below(assigned.values())
        late = _later(below)
        self.late = {p: value for p, value in assigned.items() if value in late}
        self.early = {p: value for p, value in assigned.items() if value not in late}
        self.before = [node for node in below if node not in late and (
            any(node in one.inputs for one in late))]
        self.stepped = [node for node in below if isinstance(node, Stepped)]
        found = [g for rule in rules for g in rule.gradients or [rule.loss]]
        super().__init__(outputs, [*found, *self.before, *self.early.values()])
        self.statistics = get_all_params(self.ends, batch_norm_stat=True) if (
            rules) else []

    def plan(self, batch, *options):
        """Run networks by plans."""
        def make(one, images, dtype, training, **given):
            if self.device == "cpu":
                algorithm, threads = options
                return CpuPlan(one.outputs, one.options, one.logits, images, training,
                               threads, algorithm, **given)
            like = to_device(np.zeros(1, dtype), self.device)
            return GpuPlan(one.outputs, one.options, one.logits, images, training, like,
                           options[0], **given)

        Plan = CpuPlan if self.device == "cpu" else GpuPlan
        self.plan_with(make, batch, Plan.types)

    def losses(self):
        return super().losses() + [(rule.loss, rule.params) for rule in self.rules
                                   if rule.gradients is None]

    def run(self, given, wait=True):
        """Evaluate, and put new values in place.

        Parameters
        ----------
        given : dict of Variable -> array
        wait : bool
            No effect: it always waits.

        Returns
        -------
        list of arrays
        """
        with put_back(self.statistics):
            for rule in self.rules:
                rule.follow(given)
            done = evaluate(self.wanted, given, self.standins)
            found = [self._gradients(rule, done, given) for rule in self.rules]
        results = self.results(done)
        before = {node: _copy(done[node][0]) for node in self.before}
        values = {p: _copy(done[value][0]) for p, value in self.early.items()}
        old = {p: p.value.copy() for rule in self.rules for p in rule.params
               if p in self.assigned}
        for rule, of_rule in zip(self.rules, found):
            rule(of_rule)
            for node in self.stepped:
                if node.rule is rule:
                    before[node] = node.param.value.copy()
            for p in rule.params:
                if p in old:
                    p.value[...] = old[p]
        if self.late:
            made = evaluate(list(self.late.values()), {**given, **before})
            values.update({p: made[value][0] for p, value in self.late.items()})
        self._put(values)
        return results

    def _gradients(self, rule, done, given):
        """The gradients for a rule, as arrays of their own, all finite."""
        if rule.gradients is None:
            if not np.isfinite(to_host(done[rule.loss][0])):
                raise NotFiniteError(blame(rule.loss, given)[1])
            found = gradients(rule.loss, done, self.standins, wrt=rule.params)
            self.complete(rule, found)
            found = [written_out(found[p]) for p in rule.params]
        else:
            found = [done[g][0] for g in rule.gradients]
        for param, g in zip(rule.params, found):
            if not bool(np.isfinite(as_array(g)).all()):
                raise NotFiniteError(
                    f"training: the gradient of '{param.name}' is not finite. Lower "
                    "the learning rate.")
        return found

    def _put(self, values):
        """New values in the place of the old ones, all or none."""
        for param, value in values.items():
            shape = np.shape(value)
            if isinstance(param, SharedValue):
                if len(shape) != param.ndim:
                    raise ShapeError(f"updates: expected {param.ndim} axes for "
                                     f"'{param.name}', got shape {shape}.")
            elif shape != param.shape:
                raise ShapeError(f"updates: expected shape {param.shape} for "
                                 f"'{param.name}', got {shape}.")
        for param, value in values.items():
            value = to_device(value, param.device).astype(param.dtype, copy=False)
            if value.shape == param.shape:
                param.value[...] = value
            else:
                param.value = value.copy()


def _later(nodes):
    """Those that depend on a parameter's value after a step."""
    late = set()
    for node in nodes:
        if isinstance(node, Stepped) or any(i in late for i in node.inputs):
            late.add(node)
    return late


def _copy(value):
    return value.copy() if hasattr(value, "copy") else value
