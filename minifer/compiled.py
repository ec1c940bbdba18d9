"""Functions from expressions: what ``theano.function`` was."""

import contextlib

import numpy as np

from .backend import explained, to_device, to_host
from .errors import NotFiniteError, SettingError
from .expressions import Expression, NetworkRun, Variable, evaluate, gradients
from .factored import FactoredGradient
from .layers import get_all_layers, get_all_params, move_to
from .param import device_of_params
from .plan import Plan, default_threads, runs_planned
from .rules import PIECE, run_alone

__all__ = ["Function", "function"]


def function(inputs, outputs, updates=None, mode="compiled", algorithm="auto",
             threads=None, batch=None, device=None):
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
        How the plan's convolutions are worked out.
    threads : int, optional
        Default: as many as there are cores, or ``MINIFER_NUM_THREADS``.
    batch : int, optional
        Batch size to plan for; default: that of the first call. Smaller batches
        use the same plan, a larger one makes a new plan.
    device : {'cpu', 'cuda', 'emu', 'auto'}, optional
        Where to work: the parameters are moved there, and so is what the function
        is called with. Default: where the parameters are. On 'cuda' and 'emu' the
        network runs layer after layer, with the kernels of ``kernels/``.

    Returns
    -------
    Function

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
    return Function(inputs, outputs, updates, mode, algorithm, threads, batch, device)


class Function:
    """See :func:`function`; calling it evaluates the outputs.

    Its plan works in buffers of its own: call one function from one Python
    thread at a time. Results are copies and stay valid.
    """

    def __init__(self, inputs, outputs, updates=None, mode="compiled",
                 algorithm="auto", threads=None, batch=None, device=None):
        self.inputs, self.updates = list(inputs), updates
        self.single = isinstance(outputs, Expression)
        self.outputs = [outputs] if self.single else list(outputs)
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
        self.wanted = self.outputs + ([updates.loss] if updates else [])
        self.statistics = [] if updates is None else [
            p for run in _network_runs(self.wanted)
            for p in get_all_params(run.outputs, batch_norm_stat=True)]
        self.device = self._move(device)
        self.runners = {}
        if mode == "compiled" and self.device == "cpu":
            learning = _network_runs([updates.loss]) if updates else []
            self.runners = {run: _PlannedRun(run, run in learning, algorithm,
                                             threads or default_threads(), batch or 1)
                            for run in _network_runs(self.wanted)}

    @property
    def plan(self):
        """The plan, a printable table; None before the first call, or if eager."""
        return next((r.plan for r in self.runners.values() if r.plan), None)

    def __call__(self, *values):
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
        results = [self._plain(r) for r in self._results(values, wait=True)]
        return results[0] if self.single else results

    def queue(self, *values):
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
        results = self._results(values, wait=False)
        return results[0] if self.single else results

    def check(self, given=None):
        """Wait for the device, and raise what went wrong since the last check.

        Raises
        ------
        NotFiniteError
            If a loss or gradient was not finite.
        """
        if self.device == "cpu" or self.updates is None or self.updates.all_fine():
            return
        self.updates.forgive()
        raise NotFiniteError(
            "training: a loss or gradient was not finite. Check the images for NaN, or "
            "lower the learning rate." if given is None else
            _blame(self.updates.loss, given))

    def _results(self, values, wait):
        """The outputs' values, after a step if there are updates."""
        given = self._bind(values)
        before = [p.value.copy() for p in self.statistics]
        try:
            # What overflows is found by looking at the loss, and said once.
            with explained(), np.errstate(over="ignore", invalid="ignore",
                                          divide="ignore"):
                done = evaluate(self.wanted, given, self.runners)
                if self.updates is not None:
                    self._step(done, given)
                if wait:
                    self.check(given)
        except NotFiniteError:
            for param, value in zip(self.statistics, before):
                param.value[...] = value
            raise
        return [done[o][0] for o in self.outputs]

    def _move(self, device):
        """Bring the parameters to ``device``; return where they are."""
        outputs = [o for run in _network_runs(self.wanted) for o in run.outputs]
        device = move_to(outputs, device or device_of_params(get_all_params(outputs)))
        if self.updates is not None:
            self.updates.to_device(device)
        return device

    def profile(self, *values, repeat=5):
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
        for _ in range(repeat):
            self(*values)
        return self.plan.describe(images=repeat * len(values[0]))

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
            given[variable] = value
        return given

    def _step(self, done, given):
        loss = self.updates.loss
        if self.device == "cpu" and not np.isfinite(done[loss][0]):
            raise NotFiniteError(_blame(loss, given))
        found = gradients(loss, done, self.runners)
        missing = [p for p in self.updates.params if p not in found]
        if missing:
            raise SettingError(
                f"updates: the loss does not depend on '{missing[0].name}'. Leave "
                "it out of the params, or check the loss.")
        if self.device != "cpu":  # finiteness is noted there, and read by check()
            self.updates(found, loss=done[loss][0])
            return
        workers = self.plan.workers if self.plan else None
        run = workers.run if workers else run_alone
        with workers.blas_alone() if workers else contextlib.nullcontext():
            for param in self.updates.params:
                if not all_finite(found[param], run):
                    raise NotFiniteError(
                        f"training: the gradient of '{param.name}' is not finite. "
                        "Lower the learning rate.")
            self.updates(found, run)

    @staticmethod
    def _plain(value):
        value = to_host(value)
        return float(value) if value.ndim == 0 else value


class _PlannedRun:
    """Stands in for a NetworkRun: runs its plan, or itself where none applies."""

    def __init__(self, network_run, training, algorithm, threads, batch):
        self.network_run, self.training = network_run, training
        self.algorithm, self.threads, self.batch = algorithm, threads, batch
        self.params = get_all_params(network_run.outputs)
        self.plan = None

    def forward(self, *values):
        run = self.network_run
        if not runs_planned(values, self.params):
            return run.forward(*values)
        size = max([self.batch] + [len(v) for v in values])
        if self.plan is None or size > self.plan.batch:
            self.plan = Plan(run.outputs, run.options, run.logits, size,
                             self.training, self.threads, self.algorithm)
        return self.plan.run(dict(zip(run.sources, values))), self.plan

    def backward(self, dvalues, cache):
        if cache is not self.plan or self.plan is None:
            return self.network_run.backward(dvalues, cache)
        return (), self.plan.backward(dvalues)


def all_finite(array, run=run_alone):
    """Whether every element is finite; ``run`` as for :class:`minifer.updates.Update`.

    A sum is not finite if an element is not, and reads the array only once. Of a
    gradient kept as factors, they are looked at first.
    """
    if isinstance(array, FactoredGradient) and array.surely_finite():
        return True
    flat, sums = np.asarray(array).reshape(-1), []

    def task(worker, start, stop):
        sums.extend(float(np.add.reduce(flat[i:min(i + PIECE, stop)]))
                    for i in range(start, stop, PIECE))

    run(task, len(flat), PIECE)
    return bool(np.isfinite(sums).all())


def _network_runs(expressions):
    """All passes through networks that expressions contain, each once."""
    found, stack = {}, list(expressions)
    while stack:
        node = stack.pop()
        if isinstance(node, NetworkRun):
            found[node] = True
        stack.extend(node.inputs)
    return list(found)


def _blame(loss, given):
    """Say where the first value that is not finite stands.

    The pass is run again layer by layer, with the same dropout masks.
    """
    runs = _network_runs([loss])
    streams = {layer.stream for run in runs for layer in get_all_layers(run.outputs)
               if hasattr(layer, "stream")}
    for stream in streams:
        stream.step -= 1
    done = evaluate([loss], given)
    for run in runs:
        tape = done[run][1]
        for layer in tape.order:
            place = repr(layer)
            for param in layer.params:
                if not np.isfinite(param.value).all():
                    return (f"training: parameter '{param.name or 'W'}' of layer "
                            f"{place} is not finite. Lower the learning rate.")
            if not np.isfinite(tape.values[layer]).all():
                what = "input" if layer in tape.given else "output"
                return (f"training: the {what} of layer {place} is not finite. "
                        + ("Check the images for NaN." if what == "input" else
                           "Lower the learning rate or scale the input."))
    return ("training: the loss is not finite although every layer's output is. "
            "Check the targets and class weights.")
