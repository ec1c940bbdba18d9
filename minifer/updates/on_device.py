"""Update rules on a device: all parameters in one buffer, one launch a step.

A network has many parameters, and most are small: launching a kernel for each would
cost more than its work. On a device their values are therefore parts of one buffer,
and so are the gradients and each kind of state, and a rule's kernel moves everything
at once.

No step waits for the device. Whether gradients and loss were finite is noted there,
in ``fine``, and nothing moves any more once they were not, until somebody asks.

A step has two parts. :meth:`OnDevice.advance` is the host's: it counts the step and
sends the numbers that change. :meth:`OnDevice.launch` only launches kernels, the same
at every step, so it may be recorded in a CUDA graph once and replayed.

>>> buffer = Buffer([np.zeros((2, 2)), np.ones(3)], "emu")
>>> buffer.parts[1][...] = 7
>>> buffer.whole
EmuArray([0., 0., 0., 0., 7., 7., 7., 0.])
"""

import numpy as np

from ..cuda import update as kernels
from ..cuda.scalars import send
from ..device.arrays import device_of, resolve, to_device, to_host
from ..errors import SettingError
from ..layers.param import device_of_params
from ..ops.outer_product import OuterProduct, OuterProductOnDevice

__all__ = ["Buffer", "OnDevice", "has_kernel"]


class Buffer:
    """Arrays that lie one after the other in a device's memory.

    Each begins at a multiple of 16 bytes, which is what a GPU reads in one piece.

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
        arrays = [to_device(a, device) for a in arrays]
        self.whole = np.zeros_like(arrays[0], shape=(sum(map(_room, arrays)),))
        self.parts = self.split(self.whole, arrays)
        for part, a in zip(self.parts, arrays):
            part[...] = a

    @staticmethod
    def split(whole, arrays):
        """Views of a flat array in the shapes of some arrays."""
        ends = np.cumsum([_room(a) for a in arrays]).tolist()
        return [whole[end - _room(a):][:a.size].reshape(a.shape)
                for a, end in zip(arrays, ends)]

    def holds(self, arrays, device):
        """Whether these arrays are the parts, and on this device."""
        return device_of(self.whole) == device and all(
            a is part for a, part in zip(arrays, self.parts))


def _room(array):
    """The elements that a part takes, with the gap behind it."""
    step = 16 // array.dtype.itemsize
    return -(-array.size // step) * step


def has_kernel(name, constants):
    """Decorate a rule: that kernel of ``kernels/update.cu`` does the same.

    It belongs to this one function: a subclass that overrides the rule has no
    kernel, and runs in array syntax.

    Parameters
    ----------
    name : str
    constants : function of Update -> tuple of float
        The numbers it reads, see ``kernels/rules.cuh``; worked out at every step.
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
    numbers : float64 array, shape (8,), on the device, or None
        What the rule's kernel reads: the rate, and all else that elements share.
    fine : int32 array, shape (2,), on the device
        1, or 0 once a gradient or loss was not finite: up to the last step's look at
        them, and noted since.
    skipped : int32 array, shape (1,), on the device
        Steps not taken since.
    """

    def _start_on_device(self):
        self.values, self.gradients, self.buffers = None, None, {}
        self.numbers = self.squares = None
        self.fine, self.skipped = np.ones(2, np.int32), np.zeros(1, np.int32)
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
        if self.numbers is None or device_of(self.numbers) != device:
            self.numbers = to_device(np.zeros(kernels.NUMBERS), device)
            self.squares = to_device(np.zeros(kernels.PIECES), device)
        for name in self.slots:
            buffer = self.buffers.get(name)
            if buffer is None or not buffer.holds(self.state[name], device):
                self.buffers[name] = Buffer(self.state[name], device)
                self.state[name] = list(self.buffers[name].parts)

    def _to_cpu(self):
        self.values, self.gradients, self.buffers = None, None, {}
        self.numbers = self.squares = None
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
        device = device_of(g.x if isinstance(g, OuterProduct) else g)
        if device != self.device:
            raise SettingError(
                f"updates: expected the gradient of '{param.name}' on '{self.device}', "
                f"where the parameters are, got it on '{device}'. Move one with "
                "minifer.device.arrays.to_device.")

    def all_fine(self):
        """Whether all gradients and losses were finite; waits for the device.

        On the CPU always true: there the caller looks before the step.
        """
        return bool(to_host(self.fine).all())

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

    # --- a step ---------------------------------------------------------------

    @property
    def targets(self):
        """Where gradients may be written, so that a step need not copy them.

        Returns
        -------
        dict of Param -> array of its shape
            Parts of ``gradients``; none on the CPU.
        """
        parts = self.gradients.parts if self.gradients else []
        return dict(zip(self.params, parts))

    def arrays(self):
        """All device arrays that a step works on, but for gradients."""
        buffers = [self.values, self.gradients, *self.buffers.values()]
        return [self.numbers, self.fine, self.skipped, self.squares,
                *(buffer.whole for buffer in buffers)]

    @property
    def may_be_captured(self):
        """Whether :meth:`launch` only launches kernels, if gradients are targets."""
        return hasattr(self.rule, "kernel") and not self.constraints

    def advance(self):
        """The host's part of a step on a device: count it, send the rule's numbers."""
        self.state["t"] += 1
        numbers = list(self._constants())
        if self.max_total_norm is not None:
            gap = kernels.NUMBERS - 1 - len(numbers)
            numbers += [0.0] * gap + [self.max_total_norm]
        send(self.numbers, 0, numbers)

    def retreat(self):
        """Undo :meth:`advance`, for a step that could not be launched."""
        self.state["t"] -= 1

    def _constants(self):
        return self.rule.kernel[1](self) if hasattr(self.rule, "kernel") else ()

    def launch(self, gradients, loss=None):
        """The device's part of a step: look for what is not finite, clip, move.

        A gradient that is its own one of ``targets`` is used where it is; one of
        factors is worked out while the parameter moves, where the rule allows it.

        Parameters
        ----------
        gradients, loss
            As for a step.
        """
        gradients = self._as_list(gradients)
        fused = [self._can_fuse(g) for g in gradients]
        for part, g, is_fused in zip(self.gradients.parts, gradients, fused):
            if not is_fused:
                _put(g, part)
        runs = self._runs(fused)
        for run in runs:
            kernels.note_finite(self.gradients.whole[run], self.fine)
        for g, is_fused in zip(gradients, fused):
            if is_fused:
                kernels.note_finite(g.dz, self.fine)
        kernels.note_step(loss, self.fine, self.skipped)
        if self.max_total_norm is not None:
            kernels.limit_norm(self.gradients.whole, self.squares, self.fine,
                               self.numbers)
        for run in runs:
            self._move_there(self.values.whole[run], self.gradients.whole[run],
                             [self.buffers[name].whole[run] for name in self.slots])
        for i, (g, is_fused) in enumerate(zip(gradients, fused)):
            if is_fused:
                g.update(self.params[i].value, [self.state[s][i] for s in self.slots],
                         self.fine, self.numbers, self.rule.kernel[0])
        self._constrain()

    def _can_fuse(self, g):
        """Whether a gradient need never be stored; a norm must know all of it first."""
        return (isinstance(g, OuterProductOnDevice) and hasattr(self.rule, "kernel")
                and self.max_total_norm is None)

    def _runs(self, left_out):
        """Slices of the buffers that hold all parts but those left out."""
        runs, start, end = [], 0, 0
        for param, out in zip(self.params, left_out):
            if out:
                runs.append(slice(start, end))
                start = end + _room(param.value)
            end += _room(param.value)
        return [run for run in (*runs, slice(start, end)) if run.stop > run.start]

    def _move_there(self, p, g, slots):
        if hasattr(self.rule, "kernel"):
            kernels.step(self.rule.kernel[0], p, g, slots, self.fine, self.numbers)
            return
        before = [a.copy() for a in (p, *slots)]
        self.rule(p, g, *slots)
        for a, old in zip((p, *slots), before):
            a[...] = np.where(self.fine[:1], a, old)


def _put(g, part):
    """Have a gradient in its part of the buffer."""
    if isinstance(g, OuterProductOnDevice):
        g.write(part)
    elif isinstance(g, OuterProduct):
        part[...] = g.rows(0, len(part))
    elif g is not part:
        part[...] = g
