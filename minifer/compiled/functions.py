"""Functions from expressions: what ``theano.function`` was."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._types import Array
from ..device.arrays import explained, to_device, to_host
from ..device.threads import default_threads
from ..errors import SettingError, ShapeError
from ..expressions import Expression, Variable
from ..layers import get_all_params, move_to
from ..layers.param import device_of_params
from ..ranks import Part
from ..updates import Update
from .drivers import CpuDriver, DeviceDriver
from .standins import network_passes

__all__ = ["Function", "function"]


class Function:
    """Make a callable from variables, expressions and an update rule.

    Parameters
    ----------
    inputs : list of Variable
        In the order in which the callable takes their values.
    outputs : Expression or list of Expression
        What it returns.
    updates : Update, optional
        Made from a loss: ``updates.nesterov_momentum(loss, params, ...)``.
        Each call then takes one step.
    mode : {'compiled', 'eager'}
        'compiled' looks at the network once and makes a plan; 'eager' runs layer
        after layer, as they can be read. float64 always runs eagerly.
    algorithm : {'auto', 'im2col', 'row', 'winograd'}
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

    def __init__(self, inputs: Sequence[Variable],
                 outputs: Expression | Sequence[Expression],
                 updates: Update | None = None, mode: str = "compiled",
                 algorithm: str = "auto", threads: int | None = None,
                 batch: int | None = None, device: str | None = None,
                 precision: str = "fp32", graph: bool = True,
                 part: Part | None = None):
        self.inputs, self.updates = list(inputs), updates
        self._lock, self._inside = threading.RLock(), False
        _functions.add(self)
        self.single = isinstance(outputs, Expression)
        outputs = [outputs] if self.single else list(outputs)  # type: ignore
        for variable in self.inputs:
            if not isinstance(variable, Variable):
                raise SettingError(
                    f"function: expected variables as inputs, got {variable!r}. "
                    "Make them with minifer.tensor.")
        if updates is not None and updates.loss is None:
            raise SettingError(
                "function: expected updates made from a loss, such as "
                "updates.sgd(loss, params, learning_rate=0.1).")
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
        self.device = _move(outputs, updates, device)
        if self.device == "cpu":
            self.driver: Any = CpuDriver(outputs, updates, part)
            options = (algorithm, threads or default_threads())
        else:
            self.driver = DeviceDriver(outputs, updates, self.device, part)
            options = (precision, graph)
        if mode == "compiled":
            self.driver.plan(batch, *options)

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
        results = [_plain(r) for r in self._run(values, wait=True)]
        return results[0] if self.single else results

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
        results = self._run(values, wait=False)
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
        given = {}
        for variable, value in zip(self.inputs, values):
            value = to_device(value, self.device)
            if variable.ndim is not None and value.ndim not in (variable.ndim, 2):
                raise SettingError(
                    f"function: expected {variable.ndim} axes for "
                    f"{variable.name!r}, got shape {value.shape}.")
            if value.shape[:1] == (0,) and self.updates is not None:
                raise ShapeError(
                    f"function: expected a batch of one image or more to learn from "
                    f"for {variable.name!r}, got shape {value.shape}.")
            given[variable] = value
        return given


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


def _move(outputs, updates, device):
    """Bring all parameters to ``device``; return where they are."""
    wanted = outputs + ([updates.loss] if updates else [])
    ends = [o for one in network_passes(wanted) for o in one.outputs]
    device = move_to(ends, device or device_of_params(get_all_params(ends)))
    if updates is not None:
        updates.to_device(device)
    return device


def _plain(value):
    value = to_host(value)
    return float(value) if value.ndim == 0 else value
