"""How a compiled function takes a step: a driver for the CPU, one for a GPU.

Both evaluate the expressions with plans standing in for passes through networks, and
both own the question whether all was finite. On the CPU that is known before a
parameter moves. A GPU notes it, and is asked by :meth:`DeviceDriver.check`.
"""

import contextlib
import functools
from collections import Counter

import numpy as np

from ..device.arrays import to_device
from ..device.recording import as_captured
from ..errors import NotFiniteError, SettingError
from ..expressions import Apply, Param, all_below, evaluate, gradients
from ..layers import DenseLayer, get_all_layers, get_all_params
from ..ranks.base import on_all
from ..updates.update import run_alone
from .blame import blame, too_sure
from .cpu.plan import CpuPlan
from .exchange import Exchange
from .finite import all_finite, put_back
from .gpu.plan import GpuPlan
from .gpu.replay import Replay
from .shares import in_common
from .standins import (FusedHead, PlannedPass, fused_heads, gradients_in,
                       network_passes, passes_that_learn)

__all__ = ["Driver", "CpuDriver", "DeviceDriver"]


class Driver:
    """What all share.

    Parameters
    ----------
    outputs : list of Expression
    more : list of Expression
        What is evaluated besides.

    Attributes
    ----------
    standins : dict of Expression -> object
        See :func:`minifer.expressions.evaluate`.
    """

    #: The part of a batch that is computed here, if ranks share it.
    part = None

    def __init__(self, outputs, more):
        self.outputs, self.wanted = outputs, outputs + more
        self.passes = network_passes(self.wanted)
        self.ends = [output for one in self.passes for output in one.outputs]
        self.standins = {}

    def plan_with(self, make, batch, types, begun=False):
        """Let plans, of one of some float types, stand in for networks.

        ``make(pass, images, dtype, training, sources=..., **ways_back)`` makes one.
        """
        learning = passes_that_learn(self.losses())
        for one in self.passes:
            made = functools.partial(
                make, one, training=one in learning, sources=one.sources,
                **learning.get(one, {}))
            self.standins[one] = PlannedPass(one, batch or 1, made, types, begun)

    def losses(self):
        """What is walked back: pairs of a loss and what gradients are wanted of."""
        return [(one.loss, one.wrt) for one in gradients_in(self.wanted)]

    def results(self, done):
        """The outputs' values, none of which changes when a parameter moves."""
        values = [done[o][0] for o in self.outputs]
        return [value.copy() if isinstance(o, (Apply, Param)) and hasattr(value, "copy")
                else value for o, value in zip(self.outputs, values)]

    def planned_passes(self):
        """What stands in for passes through networks, in order."""
        return [s for s in self.standins.values() if isinstance(s, PlannedPass)]

    def sharing_memory(self, unless=""):
        """For a block, let ranks on one machine hold the parameters in common.

        Parameters
        ----------
        unless : str
            Why they must not, if so.
        """
        return contextlib.nullcontext()

    def check(self):
        """Raise what went wrong since the last check; on the CPU that has been done."""

    def check_parameters(self):
        """Raise NotFiniteError if a parameter is not finite: it must not be saved."""
        for layer in get_all_layers(self.ends):
            for param in layer.params:
                if not np.isfinite(param.value).all():
                    raise NotFiniteError(
                        f"training: parameter '{param.name}' of layer {layer!r} is "
                        "not finite. Lower the learning rate.")

    @contextlib.contextmanager
    def profiling(self, plan):
        """For a block, time the steps of a plan."""
        plan.profiling = True
        try:
            yield
        finally:
            plan.profiling = False

    @staticmethod
    def complete(update, found):
        """Gradients, if they are those of all parameters that are updated."""
        missing = [p for p in update.params if p not in found]
        if missing:
            raise SettingError(
                f"updates: the loss does not depend on '{missing[0].name}'. Leave "
                "it out of the params, or check the loss.")
        return found


class _OneRule(Driver):
    """Steps of one rule with one loss, or none.

    Parameters
    ----------
    outputs : list of Expression
    updates : Update or None
    """

    def __init__(self, outputs, updates):
        self.updates = updates
        super().__init__(outputs, [updates.loss] if updates else [])
        self.params = get_all_params(self.ends) + [
            one for one in all_below(self.wanted) if isinstance(one, Param)]
        self.statistics = [] if updates is None else get_all_params(
            self.ends, batch_norm_stat=True)

    def losses(self):
        return super().losses() + ([(self.updates.loss, None)] if self.updates else [])

    def gradients(self, done):
        """The gradients of all parameters that are updated, of this part's share."""
        scale = 1 if self.part is None else self.part.weight
        return self.complete(self.updates, gradients(
            self.updates.loss, done, self.standins, scale))


class CpuDriver(_OneRule):
    """Steps on the CPU.

    Parameters
    ----------
    outputs, updates
    part : minifer.ranks.Part, optional
        The part of the batch that is computed here, if ranks share it.
    """

    def __init__(self, outputs, updates, part=None):
        super().__init__(outputs, updates)
        self.part, self.exchange = part, None
        if part is not None and updates is not None:
            self.exchange = Exchange(part, updates.params)

    def plan(self, batch, algorithm, threads):
        """Run networks by plans."""
        def make(one, images, dtype, training, **given):
            plan = CpuPlan(one.outputs, one.options, one.logits, images, training,
                           threads, algorithm, **given)
            if self.exchange is not None and training:
                plan.note = self.exchange.describe(
                    [layer.W for layer in plan.order if isinstance(layer, DenseLayer)],
                    images * self.part.ranks.size)
            return plan

        self.plan_with(make, batch, CpuPlan.types)

    @contextlib.contextmanager
    def sharing_memory(self, unless=""):
        before = self.exchange
        try:
            with in_common(before, self.updates, unless) as self.exchange:
                yield
        finally:
            self.exchange = before

    def run(self, given, wait=True):
        """Evaluate, and take a step if there are updates.

        Parameters
        ----------
        given : dict of Variable -> array
        wait : bool
            No effect here, where a step is done when it returns.

        Returns
        -------
        list of arrays
        """
        with put_back(self.statistics):
            done = evaluate(self.wanted, given, self.standins)
            if self.updates is None:
                return self.results(done)
            results = self.results(done)
            self.updates.follow(given)
            changed = self._step(done, given)
        return [changed if o is self.updates.loss else one
                for o, one in zip(self.outputs, results)]

    def _step(self, done, given):
        plan = next((p.plan for p in self.planned_passes() if p.plan), None)
        run = plan.workers.run if plan else run_alone
        if self.exchange is None:
            self._check_loss(done, given)
            found = self.gradients(done)
        else:
            found = self._exchanged(done, run)
            self._check_loss(done, given)
        with plan.workers.blas_alone() if plan else contextlib.nullcontext():
            bad = self._first_not_finite(found, run)
            if bad is not None:
                raise on_all(NotFiniteError(
                    f"training: the gradient of '{bad.name}' is not finite. "
                    + (self._too_sure(done) or "Lower the learning rate.")))
            self.updates(found, run)
        if self.exchange is not None:
            self.exchange.end()
        return done[self.updates.loss][0]

    def _first_not_finite(self, found, run):
        """The first parameter whose gradient is not finite, or None."""
        if self.exchange is not None and self.exchange.is_finite:
            return None
        params = self.updates.params
        bad = next((i for i, param in enumerate(params)
                    if not all_finite(found[param], run)), None)
        if self.exchange is not None:
            bad = self.exchange.agree(bad)
        return None if bad is None else params[bad]

    def _too_sure(self, done):
        found = too_sure(done)
        if self.part is not None:
            found = next(filter(None, self.part.ranks.gather(found)), None)
        return found

    def _check_loss(self, done, given):
        if np.isfinite(done[self.updates.loss][0]):
            return
        depth, text = blame(self.updates.loss, given)
        if self.exchange is not None:
            text = self.exchange.first(depth, text)
        raise on_all(NotFiniteError(text))

    def _exchanged(self, done, run):
        """The whole batch's gradients; its loss takes the place of the part's."""
        loss = self.updates.loss
        places = Counter(param for node in all_below([loss])
                         if node not in self.standins for param in node.params)
        for planned in self.planned_passes():
            planned.keep = self.exchange.add
            places.update(planned.places())
        self.exchange.begin(done[loss][0], places, run)
        gradients(loss, done, self.standins, self.part.weight, self.exchange.add)
        whole, found = self.exchange.finish()
        done[loss] = np.full_like(done[loss][0], whole), None
        return self.complete(self.updates, found)


class DeviceDriver(_OneRule):
    """Steps on a GPU or the emulator, launched one by one or replayed as a graph.

    Parameters
    ----------
    outputs, updates
    device : {'cuda', 'emu'}
    part : minifer.ranks.Part, optional
        As for :class:`CpuDriver`.

    Attributes
    ----------
    replay : Replay or None
    """

    def __init__(self, outputs, updates, device, part=None):
        super().__init__(outputs, updates)
        self.device, self.part, self.replay = device, part, None

    def plan(self, batch, precision, graph):
        """Run networks by plans, and whole steps by graphs."""
        buffers = self.updates and self.updates.buffers
        targets = buffers.targets if buffers else {}
        heads = {}
        if self.updates and self.part is None:  # a part's loss counts for less
            heads = fused_heads(self.updates.loss, self.wanted)

        def make(one, images, dtype, training, **given):
            like = to_device(np.zeros(1, dtype), self.device)
            return GpuPlan(one.outputs, one.options, one.logits, images, training, like,
                           precision, targets, head=one in heads, **given)

        types = GpuPlan.types[:2 if self.part is None else 1]
        self.plan_with(make, batch, types, begun=True)
        for one, losses in heads.items():
            self.standins[losses] = FusedHead(losses, self.standins[one])
        # Where ranks meet on the host, a graph knows nothing of it.
        may = self.part is None or self.part.ranks.may_be_captured
        self.replay = Replay(self) if graph and may else None

    def run(self, given, wait=True):
        """The host's part of a call, then the device's: once more, or as captured.

        Parameters
        ----------
        given : dict of Variable -> array
        wait : bool
            Whether to look at the end if all was finite.

        Returns
        -------
        list of device arrays
        """
        # Only a call that waits finds what is not finite.
        with put_back(self.statistics if wait else []):
            planned = [one.begin_with(given) for one in self.planned_passes()]
            if self.updates is not None:
                self.updates.follow(given)
                self.updates.buffers.advance()
                if self.part is not None:
                    self.part.flag = self.part.ranks.any(self.part.flag)
            try:
                replay = self.replay if self.replay and all(planned) else None
                with as_captured(replay is not None and replay.may_capture()):
                    results = replay(given) if replay else None
                    results = (self.launch(given) if results is None
                               else [result.copy() for result in results])
            except Exception:  # a batch that does not fit, say: no step was taken
                if self.updates is not None:
                    self.updates.buffers.undo_advance()
                raise
            if wait and self.updates is not None:
                self._look(given)
        return results

    def launch(self, given):
        """The device's part of a call: kernels alone, for values that are there.

        Parameters
        ----------
        given : dict of Variable -> device array

        Returns
        -------
        list of device arrays
        """
        done = evaluate(self.wanted, given, self.standins)
        if self.updates is not None:
            loss = self.updates.loss
            if self.part is not None:  # the whole batch's loss in the part's place
                value, cache = done[loss]
                done[loss] = self.part.sum(value * self.part.weight), cache
            found, results = self.gradients(done), self.results(done)
            self.updates.buffers.launch(found, done[loss][0], self.part)
            return results
        return self.results(done)

    def check(self):
        """Wait for the device, and raise what went wrong since the last check.

        Raises
        ------
        NotFiniteError
            If a loss or gradient was not finite.
        """
        if self.updates is not None:
            self._look()

    @contextlib.contextmanager
    def profiling(self, plan):
        """For a block, launch the steps of a plan one by one, and time them."""
        replay, self.replay = self.replay, None
        try:
            with super().profiling(plan):
                yield
        finally:
            self.replay = replay

    def _look(self, given=None):
        """Wait for the device; blame a layer where the step's inputs are known."""
        if self.updates.buffers.all_finite():
            return
        self.updates.buffers.clear_not_finite()
        raise on_all(NotFiniteError(
            "training: a loss or gradient was not finite. Check the images for NaN, or "
            "lower the learning rate." if given is None or self.part is not None else
            blame(self.updates.loss, given)[1]))
