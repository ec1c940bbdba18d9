"""Update rules on a device: all parameters in one buffer, one launch a step.

A network has many parameters, and most are small: launching a kernel for each would
cost more than its work. On a device their values are therefore parts of one buffer,
and so are the gradients and each kind of state, and a rule's kernel moves everything
at once.

No step waits for the device. Whether gradients and loss were finite is noted there,
in ``fine``, and nothing moves any more once they were not, until somebody asks.

>>> buffer = Buffer([np.zeros((2, 2)), np.ones(3)], "emu")
>>> buffer.parts[1][...] = 7
>>> buffer.whole
EmuArray([0., 0., 0., 0., 7., 7., 7.])
"""

import numpy as np

from .backend import device_of, resolve, to_device, to_host
from .errors import SettingError
from .factored import FactoredGradient
from .kernels import update as kernels
from .param import device_of_params

__all__ = ["Buffer", "OnDevice", "has_kernel"]


class Buffer:
    """Arrays that lie one after the other in a device's memory.

    Parameters
    ----------
    arrays : list of arrays
        Of one dtype; their values are copied.
    device : {'cuda', 'emu'}

    Attributes
    ----------
    whole : array, shape (n,)
    parts : list of arrays
        Views of ``whole`` in the shapes of the arrays.
    """

    def __init__(self, arrays, device):
        self.whole = np.concatenate(
            [to_device(a, device).reshape(-1) for a in arrays])
        self.parts = self.split(self.whole, arrays)

    @staticmethod
    def split(whole, arrays):
        """Views of a flat array in the shapes of some arrays."""
        ends = np.cumsum([a.size for a in arrays]).tolist()
        return [whole[end - a.size:end].reshape(a.shape)
                for a, end in zip(arrays, ends)]

    def holds(self, arrays, device):
        """Whether these arrays are the parts, and on this device."""
        return device_of(self.whole) == device and all(
            a is part for a, part in zip(arrays, self.parts))


def has_kernel(name, constants):
    """Decorate a rule: that kernel of ``kernels/update.cu`` does the same.

    It belongs to this one function: a subclass that overrides the rule has no
    kernel, and runs in array syntax.

    Parameters
    ----------
    name : str
    constants : function of Update -> tuple of float
        The kernel's last arguments.
    """
    def decorate(rule):
        rule.kernel = name, constants
        return rule
    return decorate


class OnDevice:
    """The part of :class:`minifer.updates.Update` that knows of devices.

    Attributes
    ----------
    values, gradients : Buffer or None
        On a device; None on the CPU.
    buffers : dict of str -> Buffer
        The state's, by slot.
    fine : int32 array, shape (1,), on the device
        1, or 0 once a gradient or loss was not finite.
    skipped : int32 array, shape (1,), on the device
        Steps not taken since.
    """

    def _start_on_device(self):
        self.values, self.gradients, self.buffers = None, None, {}
        self.fine, self.skipped = np.ones(1, np.int32), np.zeros(1, np.int32)
        self._follow()

    @property
    def device(self):
        """Where the parameters are; the CPU if there are none."""
        return device_of_params(self.params)

    def _follow(self):
        """Go where the parameters have gone."""
        if self.values is not None or self.device != "cpu":
            self.to_device(self.device)

    def to_device(self, device):
        """Bring the parameters and the state to a device.

        There each ``param.value`` is a part of one buffer, and so is the state. Does
        nothing where that is so already.

        Parameters
        ----------
        device : {'cpu', 'cuda', 'emu', 'auto'}

        Raises
        ------
        SettingError
            If parameters differ in dtype, or one is there twice.
        """
        device = resolve(device) if self.params else "cpu"
        if device == "cpu":
            self._to_cpu()
        else:
            self._to_buffers(device)
        self.fine = to_device(self.fine, device)
        self.skipped = to_device(self.skipped, device)

    def _to_buffers(self, device):
        values = [p.value for p in self.params]
        if self.values is None or not self.values.holds(values, device):
            self._check_alike(device)
            self.values, self.gradients = Buffer(values, device), Buffer(values, device)
            for param, part in zip(self.params, self.values.parts):
                param.value = part
        for name in self.slots:
            buffer = self.buffers.get(name)
            if buffer is None or not buffer.holds(self.state[name], device):
                self.buffers[name] = Buffer(self.state[name], device)
                self.state[name] = list(self.buffers[name].parts)

    def _to_cpu(self):
        self.values, self.gradients, self.buffers = None, None, {}
        for param in self.params:
            param.to_device("cpu")
        for name in self.slots:
            self.state[name] = [to_host(a) for a in self.state[name]]

    def _check_alike(self, device):
        dtypes = sorted({str(p.dtype) for p in self.params})
        if len(dtypes) > 1:
            raise SettingError(
                f"updates: expected parameters of one dtype on '{device}', got "
                f"{' and '.join(dtypes)}. Cast them, or use device='cpu'.")
        if len(set(self.params)) < len(self.params):
            raise SettingError(
                f"updates: expected each parameter once on '{device}', got one twice. "
                "Use layers.get_all_params(network, trainable=True).")

    def _check_place(self, param, g):
        device = device_of(g.x if isinstance(g, FactoredGradient) else g)
        if device != self.device:
            raise SettingError(
                f"updates: expected the gradient of '{param.name}' on '{self.device}', "
                f"where the parameters are, got it on '{device}'. Move one with "
                "minifer.backend.to_device.")

    def all_fine(self):
        """Whether all gradients and losses were finite; waits for the device.

        On the CPU always true: there the caller looks before the step.
        """
        return bool(to_host(self.fine)[0])

    def forgive(self):
        """Let steps be taken again after one was not finite; waits for the device.

        Returns
        -------
        int
            How many steps were not taken; ``state["t"]`` forgets them.
        """
        skipped = int(to_host(self.skipped)[0])
        self.state["t"] -= skipped
        self.skipped[...] = 0
        self.fine[...] = 1
        return skipped

    def _step_there(self, gradients, loss):
        """One step, without waiting for it."""
        for part, g in zip(self.gradients.parts, gradients):
            part[...] = g.rows(0, len(part)) if isinstance(g, FactoredGradient) else g
        g = self.gradients.whole
        kernels.note_finite(g, loss, self.fine, self.skipped)
        if self.max_total_norm is not None:
            _limit_norm(g, self.max_total_norm)
        self.state["t"] += 1
        self._move_there(self.values.whole, g,
                         [self.buffers[name].whole for name in self.slots])

    def _move_there(self, p, g, slots):
        if hasattr(self.rule, "kernel"):
            name, constants = self.rule.kernel
            kernels.step(name, p, g, slots, self.fine, constants(self))
            return
        before = [a.copy() for a in (p, *slots)]
        self.rule(p, g, *slots)
        for a, old in zip((p, *slots), before):
            a[...] = np.where(self.fine, a, old)


def _limit_norm(g, max_norm, epsilon=1e-7):
    """Scale ``g`` in place to at most this norm, which the host never sees.

    As :func:`minifer.updates.total_norm_constraint`.
    """
    norm = np.sqrt((g * g).sum(dtype=np.float64))
    factor = np.minimum(norm, float(max_norm)) / (epsilon + norm)
    g[...] = g * factor.astype(g.dtype)
