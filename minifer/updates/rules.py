"""Update rules at work: what each does to a parameter and its state.

The functions of :mod:`minifer.updates` make these objects, and their docstrings
hold the formulas.
"""

import functools

import numpy as np

from ..cuda import update as kernels
from ..device.arrays import as_array
from ..errors import SettingError, ShapeError
from ..layers.param import Param
from ..ops.outer_product import OuterProduct
from .norms import norm_constraint, total_norm_constraint
from .on_device import Buffer, OnDevice, has_kernel

__all__ = ["Update", "norm_constraint", "total_norm_constraint", "run_alone",
           "PIECE"]

#: Elements that are updated at a time.
PIECE = 1 << 17


def run_alone(task, total, least=1):
    """Call ``task(worker, start, stop)`` for the whole range, in this thread."""
    task(0, 0, total)


class Update(OnDevice):
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
    max_total_norm : float or None
        If set, gradients are scaled down together to this norm first.
    """

    slots = ()

    def __init__(self, params, learning_rate):
        self.params = list(params)
        for param in self.params:
            if not isinstance(param, Param):
                raise SettingError(
                    f"updates: expected a list of Param, got {param!r}. Use "
                    "layers.get_all_params(network, trainable=True).")
        self.learning_rate = learning_rate
        self.loss, self.max_total_norm = None, None
        self.constraints = {}
        self.state = {"t": 0}
        for name in self.slots:
            self.state[name] = [np.zeros_like(p.value) for p in self.params]
        self._start_on_device()

    def __call__(self, gradients, run=None, loss=None):
        """Take one step.

        Parameters
        ----------
        gradients : list of arrays, or dict of Param -> array
            One for each parameter, in their order; or factors of one,
            :class:`minifer.ops.outer_product.OuterProduct`.
        run : function, optional
            ``run(task, total)`` calls ``task(worker, start, stop)`` on shares of a
            range, perhaps in several threads. The result does not depend on it.
            Of use on the CPU only.
        loss : array of one element, optional
            On a device: no step is taken if it, or a gradient, is not finite, until
            :meth:`forgive`. :meth:`all_fine` tells; the step itself does not wait.
        """
        self._follow()
        gradients = self._as_list(gradients)
        if self.values is not None:
            self.advance()
            self.launch(gradients, loss)
        else:
            self._step(gradients, run)

    def _step(self, gradients, run):
        if self.max_total_norm is not None:
            gradients = total_norm_constraint(gradients, self.max_total_norm)
        self.state["t"] += 1
        for i, (param, g) in enumerate(zip(self.params, gradients)):
            arrays = [param.value] + [self.state[name][i] for name in self.slots]
            if isinstance(g, OuterProduct):
                self._move_rows(run or run_alone, g, *arrays)
            else:
                self._move(run or run_alone, g.astype(param.dtype, copy=False), *arrays)
        self._constrain()

    def _constrain(self):
        for param, constraint in self.constraints.items():
            value = constraint(param.value)
            if self.values is not None:
                value = np.where(self.fine[:1], value, param.value)
            param.value[...] = value

    def rule(self, p, g, *slots):
        """Change the array p, and the slots, by gradient g, element by element."""
        raise NotImplementedError

    def _move(self, run, g, *arrays):
        """Apply the rule piece by piece, so that its temporaries stay in the cache."""
        if g.size <= PIECE or not all(a.flags.c_contiguous for a in (g, *arrays)):
            self.rule(arrays[0], g, *arrays[1:])
            return
        g, (p, *slots) = g.reshape(-1), [a.reshape(-1) for a in arrays]

        def task(worker, start, stop):
            for i in range(start, stop, PIECE):
                part = slice(i, min(i + PIECE, stop))
                self.rule(p[part], g[part], *(a[part] for a in slots))

        run(task, g.size)

    def _move_rows(self, run, gradient, p, *slots):
        """The same, each piece of the gradient worked out when its turn comes."""
        size = max(1, PIECE // gradient.shape[1])

        def task(worker, start, stop):
            g = np.empty((size, gradient.shape[1]), gradient.dtype)
            for i in range(start, stop, size):
                part = slice(i, min(i + size, stop))
                rows = gradient.rows(i, part.stop, out=g[:part.stop - i])
                self.rule(p[part], rows, *(a[part] for a in slots))

        run(task, len(p), size)

    def constrain(self, param, max_norm, norm_axes=None):
        """Apply :func:`norm_constraint` to ``param`` after each step."""
        self.constraints[param] = functools.partial(
            norm_constraint, max_norm=max_norm, norm_axes=norm_axes)
        return self

    def _as_list(self, gradients):
        if isinstance(gradients, dict):
            missing = [p.name for p in self.params if p not in gradients]
            if missing:
                raise ShapeError(
                    f"updates: expected a gradient for '{missing[0]}', got none.")
            gradients = [gradients[p] for p in self.params]
        gradients = [g if isinstance(g, OuterProduct) else as_array(g)
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
            self._check_place(param, g)
        return gradients


class SGD(Update):
    @has_kernel("sgd", lambda u: (u.learning_rate,))
    def rule(self, p, g):
        p -= self.learning_rate * g


class Momentum(Update):
    slots = ("velocity",)

    def __init__(self, params, learning_rate, momentum):
        super().__init__(params, learning_rate)
        self.momentum = momentum

    @has_kernel("momentum", lambda u: (u.learning_rate, u.momentum))
    def rule(self, p, g, v):
        v *= self.momentum
        v -= self.learning_rate * g
        p += v


class NesterovMomentum(Momentum):
    @has_kernel("nesterov_momentum", lambda u: (u.learning_rate, u.momentum))
    def rule(self, p, g, v):
        step = self.learning_rate * g
        v *= self.momentum
        v -= step
        p += self.momentum * v
        p -= step


class AdaGrad(Update):
    slots = ("squares",)

    def __init__(self, params, learning_rate, epsilon):
        super().__init__(params, learning_rate)
        self.epsilon = epsilon

    @has_kernel("adagrad", lambda u: (u.learning_rate, u.epsilon))
    def rule(self, p, g, a):
        a += g * g
        p -= self.learning_rate * g / np.sqrt(a + self.epsilon)


class RMSProp(AdaGrad):
    def __init__(self, params, learning_rate, rho, epsilon):
        super().__init__(params, learning_rate, epsilon)
        self.rho = rho

    def rhos(self):
        return self.rho, 1 - self.rho

    @has_kernel("rmsprop", lambda u: (u.learning_rate, *u.rhos(), u.epsilon))
    def rule(self, p, g, a):
        a *= self.rho
        a += (1 - self.rho) * g * g
        p -= self.learning_rate * g / np.sqrt(a + self.epsilon)


class AdaDelta(RMSProp):
    slots = ("squares", "deltas")

    @has_kernel("adadelta", lambda u: (u.learning_rate, *u.rhos(), u.epsilon))
    def rule(self, p, g, a, d):
        a *= self.rho
        a += (1 - self.rho) * g * g
        u = g * np.sqrt(d + self.epsilon) / np.sqrt(a + self.epsilon)
        p -= self.learning_rate * u
        d *= self.rho
        d += (1 - self.rho) * u * u


class Adam(Update):
    slots = ("mean", "squares")

    def __init__(self, params, learning_rate, beta1, beta2, epsilon):
        super().__init__(params, learning_rate)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def moments(self, g, m, v):
        m *= self.beta1
        m += (1 - self.beta1) * g
        v *= self.beta2
        v += (1 - self.beta2) * g * g

    def betas(self):
        return self.beta1, 1 - self.beta1, self.beta2, 1 - self.beta2

    def corrected_rate(self):
        t = self.state["t"]
        return self.learning_rate * (1 - self.beta2 ** t) ** 0.5 / (1 - self.beta1 ** t)

    @has_kernel("adam", lambda u: (u.corrected_rate(), *u.betas(), u.epsilon))
    def rule(self, p, g, m, v):
        self.moments(g, m, v)
        p -= self.corrected_rate() * m / (np.sqrt(v) + self.epsilon)


class AMSGrad(Adam):
    slots = ("mean", "squares", "largest_squares")

    @has_kernel("amsgrad", lambda u: (u.corrected_rate(), *u.betas(), u.epsilon))
    def rule(self, p, g, m, v, v_hat):
        self.moments(g, m, v)
        np.maximum(v_hat, v, out=v_hat)
        p -= self.corrected_rate() * m / (np.sqrt(v_hat) + self.epsilon)


class AdaMax(Adam):
    slots = ("mean", "largest")

    def corrected_rate(self):
        return self.learning_rate / (1 - self.beta1 ** self.state["t"])

    @has_kernel("adamax", lambda u: (u.corrected_rate(), *u.betas()[:3], u.epsilon))
    def rule(self, p, g, m, u):
        m *= self.beta1
        m += (1 - self.beta1) * g
        np.maximum(self.beta2 * u, np.abs(g), out=u)
        p -= self.corrected_rate() * m / (u + self.epsilon)


class AdamW(Adam):
    def __init__(self, params, learning_rate, beta1, beta2, epsilon, weight_decay):
        super().__init__(params, learning_rate, beta1, beta2, epsilon)
        self.weight_decay = weight_decay

    def shrinking(self):
        return 1 - self.learning_rate * self.weight_decay

    @has_kernel("adamw", lambda u: (u.corrected_rate(), *u.betas(), u.epsilon,
                                    u.shrinking()))
    def rule(self, p, g, m, v):
        p *= self.shrinking()
        super().rule(p, g, m, v)


class AppliedMomentum(Update):
    """Momentum around another rule, which moves the parameters by d."""

    slots = ("velocity",)

    def __init__(self, inner, params, momentum, nesterov):
        self.inner, self.momentum, self.nesterov = inner, momentum, nesterov
        super().__init__(inner.params, inner.learning_rate)
        self.chosen = set(self.params if params is None else params)
        self.loss = inner.loss
        self.state["inner"] = inner.state

    def _step(self, gradients, run):
        self._pass_on()
        before = [p.value.copy() for p in self.params]
        self.inner(gradients, run)
        self.state["t"] += 1
        for param, old, v in zip(self.params, before, self.state["velocity"]):
            if param in self.chosen:
                p, d = param.value, param.value - old
                v *= self.momentum
                v += d
                p[...] = old + (self.momentum * v + d if self.nesterov else v)
        self._constrain()

    def _pass_on(self):
        self.inner.learning_rate = self.learning_rate
        self.inner.max_total_norm = self.max_total_norm

    @property
    def may_be_captured(self):
        return self.inner.may_be_captured and not self.constraints

    def arrays(self):
        return super().arrays() + self.inner.arrays() + [self.before.whole]

    def advance(self):
        self._pass_on()
        self.inner.advance()
        super().advance()

    def retreat(self):
        self.inner.retreat()
        super().retreat()

    def _constants(self):
        return (self.momentum,)

    def launch(self, gradients, loss=None):
        kernels.remember(self.values.whole, self.before.whole)
        self.inner.launch(gradients, loss)
        for param, old, v in zip(self.params, self.before.parts,
                                 self.state["velocity"]):
            if param in self.chosen:
                kernels.apply_momentum(param.value, old, v, self.fine, self.nesterov,
                                       self.numbers)
        self._constrain()

    def to_device(self, device):
        self.inner.to_device(device)
        if self.inner.values is not self.values:
            self.values, self.gradients = self.inner.values, self.inner.gradients
            self.before = self.values and Buffer(self.values.parts, self.device)
        self.fine, self.skipped = self.inner.fine, self.inner.skipped
        super().to_device(device)

    def forgive(self):
        skipped = self.inner.forgive()
        self.state["t"] -= skipped
        return skipped
