"""Functions from expressions: what ``theano.function`` was."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from .. import config
from .._types import Array
from ..device.arrays import explained, resolve, to_device, to_host
from ..device.threads import default_threads
from ..errors import SettingError, ShapeError
from ..expressions import (Expression, Param, Variable, all_below, as_expression,
                           evaluate)
from ..layers import get_all_params
from ..layers.param import device_of_params
from ..layers.symbolic import NetworkPass
from ..ranks import Part
from ..updates.mapping import collect
from .assigning import AssigningDriver
from .drivers import CpuDriver, DeviceDriver
from .standins import network_passes

__all__ = ["Function", "function"]


class Function:
    """Make a callable from variables, expressions and an update rule.

    Parameters
    ----------
    inputs : list of Variable
        In the order in which the callable takes their values.
    outputs : Expression, list or dict of Expression, or None
        What it returns; None: an empty list.
    updates : Update, dict of Param -> new value, or list of such pairs, optional
        Made from a loss: ``updates.nesterov_momentum(loss, params, ...)``. Each call
        then takes one step. Several rules, and any other new values of what is shared,
        come as one dict, or as a list of rules, dicts and pairs: see
        :mod:`minifer.updates`.
    mode : {'compiled', 'eager'}
        'compiled' looks at the network once and makes a plan; 'eager' runs layer
        after layer, as they can be read. float64 always runs eagerly. Theano's
        'FAST_RUN' and 'FAST_COMPILE' mean these.
    algorithm : {'auto', 'elements', 'im2col', 'row', 'winograd'}
        How the plan's convolutions are computed.
    threads : int, optional
        Default: as many as there are cores, or ``MINIFER_NUM_THREADS``.
    batch : int, optional
        Batch size to plan for; default: that of the first call. Smaller batches
        use the same plan, a larger one makes a new plan.
    device : {'cpu', 'cuda', 'emu', 'auto'}, optional
        Where to work: the parameters are moved there, and so is what the function
        is called with. Default: where the parameters are.
    precision : {'fp32', 'tf32'}
        Precision of a GPU's fused products: 'fp32' is as accurate as float32, 'tf32'
        rounds their inputs to 10 bits of fraction and is faster.
    graph : bool, default True
        On a GPU, whether a step is captured once and launched whole from then on.
    part : minifer.ranks.Part, optional
        Ranks that share each batch: a step is that of the whole batch, on all.
    givens : dict of Expression -> value, or list of such pairs, optional
        What takes the place of variables or other expressions: an expression (a part
        of shared data, say) or an array.
    name : str, optional
        Shown in errors.
    allow_input_downcast : bool, optional
        True casts values to their variables' types, where that loses precision too.
        Otherwise a float array keeps its precision, and one that would lose some is
        refused where a type was asked for.
    on_unused_input : {'ignore', 'warn', 'raise'}, optional
        What to do about an input on which nothing depends. Default: 'ignore'.

    Notes
    -----
    Plans work in buffers of their own: threads that call one function take turns.
    Results are copies and stay valid. A function cannot be copied or pickled.

    Examples
    --------
    >>> import numpy as np
    >>> import minifer
    >>> from minifer import layers, objectives, tensor, updates
    >>> x, y = tensor.matrix("x"), tensor.ivector("y")
    >>> net = layers.DenseLayer(layers.InputLayer((None, 2), x), 2,
    ...                         nonlinearity=minifer.nonlinearities.softmax)
    >>> loss = objectives.categorical_crossentropy(layers.get_output(net), y).mean()
    >>> params = layers.get_all_params(net, trainable=True)
    >>> train = function([x, y], loss, updates.sgd(loss, params, learning_rate=1.))
    >>> losses = [train(np.eye(2, dtype="float32"), np.array([0, 1])) for _ in range(9)]
    >>> losses[-1] < losses[0]
    True
    """

    def __init__(self, inputs: Sequence[Variable], outputs: Any = None,
                 updates: Any = None, mode: str | None = "compiled",
                 algorithm: str = "auto", threads: int | None = None,
                 batch: int | None = None, device: str | None = None,
                 precision: str = "fp32", graph: bool = True,
                 part: Part | None = None, givens: Any = None,
                 name: str | None = None, allow_input_downcast: bool | None = None,
                 on_unused_input: str | None = None):
        self.inputs, self.updates, self.name = list(inputs), updates, name
        self.downcast = bool(allow_input_downcast)
        self.keys = list(outputs) if isinstance(outputs, dict) else None
        self._lock, self._inside = threading.RLock(), False
        _functions.add(self)
        self.single = isinstance(outputs, Expression)
        outputs = [outputs] if self.single else (
            list(outputs.values()) if self.keys else list(outputs or []))
        outputs = [as_expression(one) for one in outputs]
        for variable in self.inputs:
            if not isinstance(variable, Variable):
                raise SettingError(
                    f"function: expected variables as inputs, got {variable!r}. "
                    "Make them with minifer.tensor.")
        mode = {"FAST_RUN": "compiled", "FAST_COMPILE": "eager"}.get(
            str(mode), mode or "compiled")
        if mode not in ("compiled", "eager"):
            raise SettingError(
                f"function: expected mode 'compiled' or 'eager', got {mode!r}.")
        if precision not in ("fp32", "tf32"):
            raise SettingError(
                f"function: expected precision 'fp32' or 'tf32', got {precision!r}.")
        for name, number in (("batch", batch), ("threads", threads)):
            if number is not None and (type(number) is bool or not isinstance(
                    number, (int, np.integer)) or number < 1):
                raise SettingError(f"function: expected {name} as a whole number >= 1, "
                                   f"got {number!r}.")
        rules, assigned = ([], {}) if updates is None else collect(updates)
        self.givens = {as_expression(key): as_expression(value)
                       for key, value in dict(givens or {}).items()}
        wanted = [*outputs, *assigned.values(), *(
            one for rule in rules for one in rule.gradients or [rule.loss]
            if one is not None)]
        self._look_at_inputs(wanted, rules, on_unused_input)
        self.device = _move([*wanted, *self.givens.values()], rules, assigned, device)
        rule = rules[0] if rules else None
        if assigned or len(rules) > 1 or any(rule.loss is None for rule in rules):
            if part is not None:
                raise SettingError("function: expected one rule with one loss where "
                                   "ranks share a batch, got updates of more.")
            self.driver: Any = AssigningDriver(outputs, rules, assigned, self.device)
        elif self.device == "cpu":
            self.driver = CpuDriver(outputs, rule, part)
        else:
            self.driver = DeviceDriver(outputs, rule, self.device, part)
        if mode == "compiled":
            self.driver.plan(batch, *(
                (algorithm, threads or default_threads()) if self.device == "cpu" else
                (precision, graph)))

    def _look_at_inputs(self, wanted, rules, on_unused_input):
        """Note which inputs are read as arrays; see to those that nothing reads."""
        every = all_below([*wanted, *self.givens.values(), *(
            one for rule in rules for one in rule.symbols.values())])
        self.read = {i for one in every if not isinstance(one, NetworkPass)
                     for i in one.inputs}
        unused = [one.name for one in self.inputs if one not in every]
        if not unused or on_unused_input in (None, "ignore"):
            return
        text = (f"function: expected outputs or updates that depend on each input, got "
                f"none that depend on {unused[0]!r}.")
        if on_unused_input != "warn":
            raise SettingError(f"{text} Leave it out, or pass "
                               "on_unused_input='ignore'.")
        warnings.warn(text, stacklevel=3)

    def __call__(self, *values: Array) -> Any:
        """Evaluate the outputs, and take a step if there are updates.

        Parameters
        ----------
        *values : arrays
            One for each input variable.

        Returns
        -------
        float or array, or a list of them
            Scalars come as Python floats.

        Raises
        ------
        NotFiniteError
            If the loss is not finite. No parameter has been changed then.
        """
        return self._together([_plain(r) for r in self._run(values, wait=True)])

    def queue(self, *values: Array) -> Any:
        """Like a call, but on a device without waiting for it.

        Parameters
        ----------
        *values : arrays
            Best on the device already.

        Returns
        -------
        array or list of arrays
            On the function's device; reading one waits for it. After a step that was
            not finite no parameter moves any more, until :meth:`check` has said so.
        """
        return self._together(self._run(values, wait=False))

    def _together(self, results):
        if self.keys:
            return dict(zip(self.keys, results))
        return results[0] if self.single else results

    def check(self, parameters: bool = False) -> None:
        """Wait for the device, and raise what went wrong since the last check.

        Parameters
        ----------
        parameters : bool, default False
            Whether to look at every parameter of the networks, too, and not only at
            what the steps have noted: before they are saved, say.

        Raises
        ------
        NotFiniteError
            If a loss, gradient or parameter is not finite.
        """
        self.driver.check()
        if parameters:
            self.driver.check_parameters()

    @property
    def plan(self):
        """The plan, a printable table; None before the first call, or if eager."""
        return next((p.plan for p in self.driver.planned_passes() if p.plan), None)

    @property
    def exchange(self) -> Any:
        """What sums gradients over ranks on the CPU; None for one rank alone.

        Its ``seconds`` are those for which all steps so far have waited for it.
        """
        return getattr(self.driver, "exchange", None)

    def sharing_memory(self, unless: str = "") -> AbstractContextManager[None]:
        """For a block, let ranks on one machine hold the parameters in common.

        Each then moves its share of them. Whoever changes a parameter in place within
        the block changes it for all ranks.

        Parameters
        ----------
        unless : str
            Why they must not, if so: the plan says it.
        """
        return self.driver.sharing_memory(unless)

    @property
    def captured(self) -> bool:
        """Whether a step has been captured as a graph; see :mod:`.gpu.replay`."""
        return self.launches is not None

    @property
    def launches(self) -> int | None:
        """Number of launches in the graph that was captured last, or None."""
        replay = getattr(self.driver, "replay", None)
        return replay and replay.launches()

    def profile(self, *values: Array, repeat: int = 5) -> str:
        """Run a few times and say where the time goes.

        Parameters
        ----------
        *values : arrays
            As for a call. With updates, each repetition takes a step.
        repeat : int, default 5

        Returns
        -------
        str
            The plan's table with milliseconds an image and GFLOP/s.
        """
        self(*values)
        if self.plan is None:
            raise SettingError("profile: expected a compiled function of float32 "
                               "arrays, got an eager one.")
        self.plan.clear_time()
        with self.driver.profiling(self.plan):
            for _ in range(repeat):
                self(*values)
        return self.plan.describe(images=repeat * len(values[0]))

    def __reduce_ex__(self, protocol):
        raise SettingError(
            "function: expected to be used where it was made, got copied or pickled. "
            "Copy or save the network's parameters, and make another with "
            "minifer.function.")

    def _run(self, values, wait):
        given = self._bind(values)
        # What overflows is found by looking at the loss, and said once.
        with self._lock, explained(), np.errstate(over="ignore", invalid="ignore",
                                                  divide="ignore"):
            if self._inside and self.driver.standins:
                raise SettingError(
                    "function: expected a call after the last one had ended, got one "
                    "from within it: a layer calls it. Make another function for that.")
            before, self._inside = self._inside, True
            try:
                return self.driver.run(given, wait)
            finally:
                self._inside = before

    def _bind(self, values):
        if len(values) != len(self.inputs):
            raise SettingError(
                f"function: expected {len(self.inputs)} values, got {len(values)}.")
        given = {variable: self._value(variable, value)
                 for variable, value in zip(self.inputs, values)}
        if self.givens:
            done = evaluate(list(self.givens.values()), given)
            given.update({key: to_device(done[value][0], self.device)
                          for key, value in self.givens.items()})
        return given

    def _value(self, variable, value):
        """An input's value where it is worked on, in its variable's type."""
        value = to_device(value, self.device)
        axes = variable.ndim
        if axes is not None and value.ndim != axes and (axes, value.ndim) != (1, 2):
            raise SettingError(
                f"function: expected {axes} axes for {variable.name!r}, got shape "
                f"{value.shape}.")
        if value.shape[:1] == (0,) and self.updates is not None:
            raise ShapeError(
                f"function: expected a batch of one image or more to learn from for "
                f"{variable.name!r}, got shape {value.shape}.")
        wanted = getattr(variable, "dtype", None)
        if wanted is None:
            return value
        floats = value.dtype.kind == "f"
        if wanted == "floatX":
            # What only a network reads it takes as it is: bytes of pixels, say.
            as_is = variable not in self.read if not floats else not self.downcast
            return value if as_is else value.astype(config.floatX, copy=False)
        fits = np.can_cast(value.dtype, wanted, "same_kind" if not floats else "safe")
        if not (fits or self.downcast or value.ndim == 0):
            raise SettingError(
                f"function: expected {wanted} for {variable.name!r}, got "
                f"{value.dtype}. Cast it, or pass allow_input_downcast=True.")
        if not floats and np.dtype(wanted).kind in "iu" and not self.downcast:
            return value  # whole numbers of any size
        return value.astype(wanted, copy=False)


#: Lasagne's name: ``theano.function(inputs, outputs, updates=...)``.
function = Function


#: All that are alive: in the child of a fork their locks are new, since a thread that
#: is not there may have held them.
_functions: weakref.WeakSet = weakref.WeakSet()


def _renew_locks():
    for one in _functions:
        one._lock, one._inside = threading.RLock(), False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def _move(wanted, rules, assigned, device):
    """Bring all parameters to ``device``; return where they are."""
    ends = [o for one in network_passes(wanted) for o in one.outputs]
    params = get_all_params(ends) + [p for rule in rules for p in rule.params] + [
        one for one in all_below(wanted) if isinstance(one, Param)] + list(assigned)
    device = resolve(device or device_of_params(params))
    for param in params:
        param.to_device(device)
    for rule in rules:
        rule.to_device(device)
    return device


def _plain(value):
    value = to_host(value)
    return float(value) if value.ndim == 0 else value
