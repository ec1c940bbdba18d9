"""What all update rules share: a step, piece by piece, for any list of parameters.

A rule of one's own says what it keeps for each parameter, and how one step changes an
array and what is kept:

>>> class SignDescent(Update):
...     def rule(self, p, g):
...         p -= self.learning_rate * np.sign(g)
>>> w = Param(np.array([1.0, -2.0]), "w")
>>> step = SignDescent([w], learning_rate=0.5)
>>> step([np.array([3.0, -0.1])])
>>> w.value
array([ 0.5, -1.5])
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._types import Array
from ..device.arrays import as_array, to_host
from ..errors import SettingError, ShapeError, check_number
from ..expressions import Expression, Variable, all_below, evaluate
from ..layers.param import Param, device_of_params
from ..ops.outer_product import OuterProduct
from .mapping import AsDict
from .norms import norm_constraint, total_norm_constraint
from .on_device import DeviceState

__all__ = ["Update", "Share", "run_alone", "PIECE"]

#: Elements that are updated at a time.
PIECE = 1 << 17


def run_alone(task, total, least=1):
    """Call ``task(worker, start, stop)`` for the whole range, in this thread."""
    task(0, 0, total)


class Share:
    """The gradient of some rows of a parameter: a step moves these, and no others.

    Parameters
    ----------
    start, stop : int
        The rows, along the first axis.
    gradient : array or OuterProduct, shape (stop - start, ...)
    shape : tuple of int
        The whole parameter's.
    """

    def __init__(self, start, stop, gradient, shape):
        self.start, self.stop = start, stop
        self.gradient, self.shape = gradient, tuple(shape)


class Update(AsDict):
    """An update rule at work on a list of parameters.

    A subclass has ``slots``, the names of the arrays it keeps for each
    parameter, and ``rule(p, g, *slots)``, which changes them in place.

    Parameters
    ----------
    params : list of Param
    learning_rate : float
        η; may be changed between steps.

    Attributes
    ----------
    state : dict
        ``"t"``, the number of steps taken, and a list of arrays for each slot.
    loss : Expression or None
        The loss it belongs to, when made the Lasagne way.
    gradients : list of Expression or None
        The gradients, where they were given in the place of a loss.
    symbols : dict of str -> Expression
        Settings that are expressions, a shared learning rate say, by their names; each
        is computed at every step.
    max_total_norm : float or None
        If set, gradients are scaled down together to this norm first.
    buffers : minifer.updates.on_device.DeviceState
        The parameters and the state where they live on a device.
    """

    slots: tuple[str, ...] = ()
    #: Name of a kernel in ``kernels/update.cu`` that does what ``rule`` does, if any.
    kernel: str | None = None

    _rule_of_kernel = None

    def __init_subclass__(cls):
        if "kernel" in vars(cls):
            cls._rule_of_kernel = cls.rule

    @property
    def usable_kernel(self):
        """The kernel's name; None if ``rule`` is no longer the one that it does."""
        same = getattr(self.rule, "__func__", None) is type(self)._rule_of_kernel
        return self.kernel if same else None

    def kernel_of(self, param):
        """The name of the kernel for one parameter, which does its ``rule_of``."""
        return self.usable_kernel

    def rule_of(self, param):
        """The rule by which one parameter moves: ``rule``, but for few."""
        return self.rule

    def __init__(self, params: Sequence[Param], learning_rate: float):
        self.symbols: dict[str, Expression] = {}
        self.assigned, self._stepped = {}, {}
        if isinstance(params, Param):
            params = [params]
        self.params = list(params)
        for param in self.params:
            if not isinstance(param, Param):
                raise SettingError(
                    f"updates: expected a list of Param, got {param!r}. Use "
                    "layers.get_all_params(network, trainable=True).")
        self.learning_rate = self.setting("learning rate", learning_rate)
        self.loss: Any = None
        self.gradients: Any = None
        self.max_total_norm: float | None = None
        self.constraints: dict[Param, Callable[..., Any]] = {}
        self.state: dict[str, Any] = {"t": 0}
        for name in self.slots:
            self.state[name] = [np.zeros_like(p.value) for p in self.params]
        self.buffers = self._make_buffers()

    @staticmethod
    def setting(name: str, value: Any, below: float = float("inf")) -> Any:
        """A number of 0 or more, or an expression of one, else a SettingError."""
        return value if isinstance(value, Expression) else check_number(
            name, value, below=below)

    def __setattr__(self, name: str, value: Any) -> None:
        """Attributes as they are; of a number's expression, its value now."""
        own = name in ("loss", "symbols") or "symbols" not in self.__dict__
        if not own:
            self.symbols.pop(name, None)
            if isinstance(value, Expression):
                self.symbols[name] = value
                constant = not any(isinstance(one, Variable)
                                   for one in all_below([value]))
                value = float(value) if constant else float("nan")
        super().__setattr__(name, value)

    def follow(self, values: dict[Any, Any]) -> None:
        """Compute the settings that are expressions, where variables have values."""
        if self.symbols:
            done = evaluate(list(self.symbols.values()), values)
            for name, symbol in self.symbols.items():
                super().__setattr__(name, float(to_host(done[symbol][0])))

    def __call__(self, gradients: Sequence[Array] | dict[Param, Array],
                 run: Callable[..., Any] | None = None,
                 loss: Array | None = None) -> None:
        """Take one step.

        Parameters
        ----------
        gradients : list of arrays, or dict of Param -> array
            One for each parameter, in their order; or the two factors of one,
            a :class:`minifer.ops.outer_product.OuterProduct`; or a :class:`Share`.
        run : function, optional
            ``run(task, total)`` calls ``task(worker, start, stop)`` on shares of a
            range, perhaps in several threads. The result does not depend on it.
            It is used on the CPU only.
        loss : array of one element, optional
            On a device no step is taken if it, or a gradient, is not finite, until
            ``buffers.clear_not_finite()``. The step itself does not wait to see it.
        """
        if self.symbols and not any(isinstance(one, Variable)
                                    for one in all_below(self.symbols.values())):
            self.follow({})
        self.buffers.follow()
        gradients = self.in_order(gradients)
        if self.device == "cpu":
            self._step(gradients, run or run_alone)
        else:
            self.buffers.step(gradients, loss)

    @property
    def device(self) -> str:
        """Where the parameters are; the CPU if there are none."""
        return device_of_params(self.params)

    def to_device(self, device: str) -> None:
        """Bring the parameters and the state to a device; see :class:`DeviceState`."""
        self.buffers.to_device(device)

    @property
    def takes_shares(self) -> bool:
        """Whether a step may be taken share by share: nothing looks at whole arrays."""
        return (type(self)._step is Update._step and self.max_total_norm is None
                and not self.constraints)

    def rule(self, p, g, *slots):
        """Change the array p, and the slots, by gradient g, element by element."""
        raise NotImplementedError

    def constants(self) -> tuple[float, ...]:
        """The numbers that the rule's kernel reads, as ``kernels/rules.cuh`` says."""
        return ()

    def constrain(self, param: Param, max_norm: float,
                  norm_axes: Sequence[int] | None = None) -> Update:
        """Apply :func:`norm_constraint` to ``param`` after each step."""
        self.constraints[param] = functools.partial(
            norm_constraint, max_norm=max_norm, norm_axes=norm_axes)
        return self

    def in_order(self, gradients: Sequence[Array] | dict[Param, Array]) -> list[Any]:
        """Gradients as a list that fits the parameters.

        Raises
        ------
        ShapeError
            If one is missing, or has another shape than its parameter.
        """
        if isinstance(gradients, dict):
            missing = [p.name for p in self.params if p not in gradients]
            if missing:
                raise ShapeError(
                    f"updates: expected a gradient for '{missing[0]}', got none.")
            gradients = [gradients[p] for p in self.params]
        gradients = [g if isinstance(g, (OuterProduct, Share)) else as_array(g)
                     for g in gradients]
        if len(gradients) != len(self.params):
            raise ShapeError(
                f"updates: expected {len(self.params)} gradients, one for each "
                f"parameter, got {len(gradients)}.")
        for param, g in zip(self.params, gradients):
            if g.shape != param.shape:
                raise ShapeError(
                    f"updates: expected a gradient of shape {param.shape} for "
                    f"'{param.name}', got {g.shape}.")
            self.buffers.check_place(
                param, g.gradient if isinstance(g, Share) else g)
        return gradients

    def _make_buffers(self):
        return DeviceState(self)

    def _step(self, gradients, run):
        if self.max_total_norm is not None:
            gradients = total_norm_constraint(gradients, self.max_total_norm)
        self.state["t"] += 1
        for i, (param, g) in enumerate(zip(self.params, gradients)):
            arrays = [param.value] + [self.state[name][i] for name in self.slots]
            rule = self.rule_of(param)
            if isinstance(g, Share):
                arrays = [np.atleast_1d(a)[g.start:g.stop] for a in arrays]
                g = g.gradient
            if isinstance(g, OuterProduct):
                self._move_rows(run, rule, g, *arrays)
            else:
                self._move(run, rule, g.astype(param.dtype, copy=False), *arrays)
        self._constrain()

    def _constrain(self):
        for param, constraint in self.constraints.items():
            param.value[...] = constraint(param.value)

    def _move(self, run, rule, g, *arrays):
        """Apply the rule piece by piece, so that its temporaries stay in the cache."""
        if g.size <= PIECE or not all(a.flags.c_contiguous for a in (g, *arrays)):
            rule(arrays[0], g, *arrays[1:])
            return
        g, (p, *slots) = g.reshape(-1), [a.reshape(-1) for a in arrays]

        def task(worker, start, stop):
            for i in range(start, stop, PIECE):
                part = slice(i, min(i + PIECE, stop))
                rule(p[part], g[part], *(a[part] for a in slots))

        run(task, g.size)

    def _move_rows(self, run, rule, gradient, p, *slots):
        """The same, each piece of the gradient computed when its turn comes."""
        size = max(1, PIECE // gradient.shape[1])

        def task(worker, start, stop):
            g = np.empty((size, gradient.shape[1]), gradient.dtype)  # (rows, U)
            for i in range(start, stop, size):
                part = slice(i, min(i + size, stop))
                rows = gradient.rows(i, part.stop, out=g[:part.stop - i])
                rule(p[part], rows, *(a[part] for a in slots))

        run(task, len(p), size)
