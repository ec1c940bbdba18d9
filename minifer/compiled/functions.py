"""Functions from expressions: what ``theano.function`` was."""

import contextlib
import functools

import numpy as np

from ..device.arrays import explained, to_device, to_host
from ..device.threads import default_threads
from ..errors import NotFiniteError, SettingError
from ..expressions import Expression, Variable, evaluate, gradients
from ..layers import get_all_layers, get_all_params, move_to
from ..layers.param import device_of_params
from ..ops.outer_product import OuterProduct
from ..updates.rules import PIECE, run_alone
from .cpu.plan import CpuPlan
from .gpu.plan import GpuPlan
from .gpu.replay import Replay
from .standins import FusedHead, PlannedPass, fused_heads, network_passes

__all__ = ["Function", "function"]


def function(inputs, outputs, updates=None, mode="compiled", algorithm="auto",
             threads=None, batch=None, device=None, precision="fp32", graph=True):
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
        is called with. Default: where the parameters are.
    precision : {'fp32', 'tf32'}
        Of a GPU's fused products: 'fp32' is as accurate as float32, 'tf32' rounds
        their inputs to 10 bits of fraction and is faster.
    graph : bool, default True
        On a GPU, whether a step is captured once and launched whole from then on.

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
    return Function(inputs, outputs, updates, mode, algorithm, threads, batch, device,
                    precision, graph)


class Function:
    """See :func:`function`; calling it evaluates the outputs.

    Its plan works in buffers of its own: call one function from one Python
    thread at a time. Results are copies and stay valid.
    """

    def __init__(self, inputs, outputs, updates=None, mode="compiled",
                 algorithm="auto", threads=None, batch=None, device=None,
                 precision="fp32", graph=True):
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
        if precision not in ("fp32", "tf32"):
            raise SettingError(
                f"function: expected precision 'fp32' or 'tf32', got {precision!r}.")
        self.wanted = self.outputs + ([updates.loss] if updates else [])
        self.statistics = [] if updates is None else [
            p for run in network_passes(self.wanted)
            for p in get_all_params(run.outputs, batch_norm_stat=True)]
        self.device = self._move(device)
        self.learning = network_passes([updates.loss]) if updates else []
        self.heads = {}
        self.runners, self.replay = {}, None
        if mode == "compiled":
            make = self._cpu_plans(algorithm, threads or default_threads())
            if self.device != "cpu":
                self.replay = Replay(self) if graph else None
                make = self._gpu_plans(precision)
            for run in network_passes(self.wanted):
                self.runners[run] = PlannedPass(run, batch or 1, functools.partial(
                    make, run, run in self.learning))
            for run, losses in self.heads.items():
                self.runners[losses] = FusedHead(losses, self.runners[run])

    def _cpu_plans(self, algorithm, threads):
        """What makes a plan on the CPU, for a pass and a number of images."""
        def make(run, learns, images):
            return CpuPlan(run.outputs, run.options, run.logits, images, learns,
                           threads, algorithm)
        return make

    def _gpu_plans(self, precision):
        """The same on a GPU."""
        targets = self.updates.targets if self.updates else {}
        if self.updates:
            self.heads = fused_heads(self.updates.loss, self.wanted)

        def make(run, learns, images):
            like = get_all_params(run.outputs)[0].value
            return GpuPlan(run.outputs, run.options, run.logits, images, learns, like,
                           precision, targets, head=run in self.heads)
        return make

    @property
    def plan(self):
        """The plan, a printable table; None before the first call, or if eager."""
        return next((r.plan for r in self.planned_passes() if r.plan), None)

    @property
    def captured(self):
        """Whether a step has been captured as a graph; see :mod:`.gpu.replay`."""
        return self.launches is not None

    @property
    def launches(self):
        """Launches in the graph that was captured last, or None."""
        return self.replay and self.replay.launches()

    def planned_passes(self):
        """What stands in for passes through networks, in order."""
        return [r for r in self.runners.values() if isinstance(r, PlannedPass)]

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
        # On a device only a call that waits finds what is not finite.
        kept = self.statistics if wait or self.device == "cpu" else []
        before = [p.value.copy() for p in kept]
        try:
            # What overflows is found by looking at the loss, and said once.
            with explained(), np.errstate(over="ignore", invalid="ignore",
                                          divide="ignore"):
                results = (self._on_cpu(given) if self.device == "cpu"
                           else self._on_device(given))
                if wait:
                    self.check(given)
        except NotFiniteError:
            for param, value in zip(kept, before):
                param.value[...] = value
            raise
        return results

    def _on_cpu(self, given):
        done = evaluate(self.wanted, given, self.runners)
        if self.updates is not None:
            self._step(done, given)
        return [done[o][0] for o in self.outputs]

    def _on_device(self, given):
        """The host's part of a call, then the device's: once more, or as captured."""
        planned = [all(v in given for v in runner.network_pass.inputs)
                   and runner.begin([given[v] for v in runner.network_pass.inputs])
                   for runner in self.planned_passes()]
        if self.updates is not None:
            self.updates.advance()
        try:
            results = self.replay(given) if self.replay and all(planned) else None
            if results is None:
                return self.launch(given)
        except Exception:  # a batch that does not fit, say: no step was taken
            if self.updates is not None:
                self.updates.retreat()
            raise
        return [result.copy() for result in results]

    def launch(self, given):
        """The device's part of a call: kernels alone, for values that are there.

        Parameters
        ----------
        given : dict of Variable -> device array

        Returns
        -------
        list of device arrays
        """
        done = evaluate(self.wanted, given, self.runners)
        if self.updates is not None:
            loss = self.updates.loss
            self.updates.launch(self._gradients(done), done[loss][0])
        return [done[o][0] for o in self.outputs]

    def _gradients(self, done):
        """The gradients of all parameters that are updated."""
        found = gradients(self.updates.loss, done, self.runners)
        missing = [p for p in self.updates.params if p not in found]
        if missing:
            raise SettingError(
                f"updates: the loss does not depend on '{missing[0].name}'. Leave "
                "it out of the params, or check the loss.")
        return found

    def _move(self, device):
        """Bring the parameters to ``device``; return where they are."""
        outputs = [o for run in network_passes(self.wanted) for o in run.outputs]
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
        replay, self.replay, self.plan.profiling = self.replay, None, True
        try:
            for _ in range(repeat):
                self(*values)
        finally:
            self.replay, self.plan.profiling = replay, False
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
        """A step on the CPU, where what is not finite is found before it does harm."""
        loss = self.updates.loss
        if not np.isfinite(done[loss][0]):
            raise NotFiniteError(_blame(loss, given))
        found = self._gradients(done)
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


def all_finite(array, run=run_alone):
    """Whether every element is finite; ``run`` as for :class:`minifer.updates.Update`.

    A sum is not finite if an element is not, and reads the array only once. Of a
    gradient kept as factors, they are looked at first.
    """
    if isinstance(array, OuterProduct) and array.surely_finite():
        return True
    flat, sums = np.asarray(array).reshape(-1), []

    def task(worker, start, stop):
        sums.extend(float(np.add.reduce(flat[i:min(i + PIECE, stop)]))
                    for i in range(start, stop, PIECE))

    run(task, len(flat), PIECE)
    return bool(np.isfinite(sums).all())


def _blame(loss, given):
    """Say where the first value that is not finite stands.

    The pass is run again layer by layer, with the same dropout masks.
    """
    runs = network_passes([loss])
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
