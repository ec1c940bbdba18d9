"""Update rules on a device: all parameters in one buffer, one launch a step.

A network has many parameters, and most are small: launching a kernel for each would
cost more than its work. On a device their values are therefore parts of one buffer,
and so are the gradients and each kind of state, and a rule's kernel moves everything
at once.

No step waits for the device. Whether gradients and loss were finite is noted there,
in ``finite``. After a non-finite step no parameter changes until
:meth:`DeviceState.clear_not_finite` is called.

A step has two parts. :meth:`DeviceState.advance` is the host's: it counts the step
and sends the numbers that change. :meth:`DeviceState.launch` only launches kernels,
the same at every step, so it may be recorded in a CUDA graph once and replayed.

>>> buffer = Buffer([np.zeros((2, 2)), np.ones(3)], "emu")
>>> buffer.parts[1][...] = 7
>>> buffer.whole
EmuArray([0., 0., 0., 0., 7., 7., 7., 0.])
"""

import functools
from numbers import Real

import numpy as np

from ..cuda import update as kernels
from ..cuda.scalars import send
from ..device.arrays import device_of, resolve, to_device, to_host
from ..errors import SettingError
from ..ops.outer_product import OuterProduct, OuterProductOnDevice
from .norms import norm_constraint

__all__ = ["Buffer", "DeviceState"]


class Buffer:
    """Arrays that lie one after the other in a device's memory.

    Each begins at a multiple of 16 bytes, which is what a GPU reads in one piece.

    Parameters
    ----------
    arrays : list of arrays
        They have one dtype; their values are copied.
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


class DeviceState:
    """An update rule's parameters and state, where they live on a device.

    Parameters
    ----------
    update : minifer.updates.Update

    Attributes
    ----------
    values, gradients : Buffer or None
        On a device; None on the CPU.
    slots : dict of str -> Buffer
        The state's, by name.
    numbers : float64 array, shape (8,), on the device, or None
        What the rule's kernel reads: the rate, and all else that elements share.
    finite : int32 array, shape (2,), on the device
        1, or 0 once a gradient or loss was not finite: up to the last step's look at
        them, and noted since.
    skipped : int32 array, shape (1,), on the device
        Number of steps not taken since.
    """

    def __init__(self, update):
        self.update = update
        self.values, self.gradients, self.slots = None, None, {}
        self.numbers = self.squares = None
        self.finite, self.skipped = np.ones(2, np.int32), np.zeros(1, np.int32)
        self.follow()

    def follow(self):
        """Go where the parameters have gone."""
        if self.values is not None or self.update.device != "cpu":
            self.to_device(self.update.device)

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
        device = resolve(device) if self.update.params else "cpu"
        if device == "cpu":
            self._to_cpu()
        else:
            self._to_buffers(device)
        self.finite = to_device(self.finite, device)
        self.skipped = to_device(self.skipped, device)

    def _to_buffers(self, device):
        params, state = self.update.params, self.update.state
        values = [p.value for p in params]
        if self.values is None or not self.values.holds(values, device):
            self._check_alike(device)
            self.values, self.gradients = Buffer(values, device), Buffer(values, device)
            for param, part in zip(params, self.values.parts):
                param.value = part
        if self.numbers is None or device_of(self.numbers) != device:
            self.numbers = to_device(np.zeros(kernels.NUMBERS), device)
            self.squares = to_device(np.zeros(kernels.PIECES), device)
        for name in self.update.slots:
            buffer = self.slots.get(name)
            if buffer is None or not buffer.holds(state[name], device):
                self.slots[name] = Buffer(state[name], device)
                state[name] = list(self.slots[name].parts)

    def _to_cpu(self):
        self.values, self.gradients, self.slots = None, None, {}
        self.numbers = self.squares = None
        for param in self.update.params:
            param.to_device("cpu")
        for name in self.update.slots:
            self.update.state[name] = [to_host(a) for a in self.update.state[name]]

    def _check_alike(self, device):
        params = self.update.params
        dtypes = sorted({str(p.dtype) for p in params})
        if len(dtypes) > 1:
            raise SettingError(
                f"updates: expected parameters of one dtype on '{device}', got "
                f"{' and '.join(dtypes)}. Cast them, or use device='cpu'.")
        if len(set(params)) < len(params):
            raise SettingError(
                f"updates: expected each parameter once on '{device}', got one twice. "
                "Use layers.get_all_params(network, trainable=True).")

    def check_place(self, param, g):
        """Refuse a gradient that is elsewhere than its parameter."""
        device = device_of(g.x if isinstance(g, OuterProduct) else g)
        if device != self.update.device:
            raise SettingError(
                f"updates: expected the gradient of '{param.name}' on "
                f"'{self.update.device}', where the parameters are, got it on "
                f"'{device}'. Move one with minifer.device.to_device.")

    def all_finite(self):
        """Whether all gradients and losses were finite; waits for the device.

        On the CPU always true: there the caller looks before the step.
        """
        return bool(to_host(self.finite).all())

    def clear_not_finite(self):
        """Let steps be taken again after one was not finite; waits for the device.

        Returns
        -------
        int
            How many steps were not taken; ``state["t"]`` forgets them.
        """
        skipped = int(to_host(self.skipped)[0])
        self.update.state["t"] -= skipped
        self.skipped[...] = 0
        self.finite[...] = 1
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
        return dict(zip(self.update.params, parts))

    def arrays(self):
        """All device arrays that a step works on, but for gradients."""
        buffers = [self.values, self.gradients, *self.slots.values()]
        return [self.numbers, self.finite, self.skipped, self.squares,
                *(buffer.whole for buffer in buffers)]

    @property
    def may_be_captured(self):
        """Whether :meth:`launch` only launches kernels, if gradients are targets."""
        return self.update.usable_kernel is not None and self._limits_norms

    @property
    def _limits_norms(self):
        """Whether the constraints are norms below numbers: a user's might wait."""
        return all(isinstance(one, functools.partial) and one.func is norm_constraint
                   and isinstance(one.keywords.get("max_norm"), Real)
                   for one in self.update.constraints.values())

    @property
    def built_in(self):
        """What :meth:`launch` depends on that is neither in arrays nor sent."""
        update = self.update
        return [update.usable_kernel, update.max_total_norm is None,
                *update.constraints.items()]

    def step(self, gradients, loss):
        """A whole step: what the host does, then what the device does."""
        self.advance()
        self.launch(gradients, loss)

    def advance(self):
        """The host's part of a step on a device: count it, send the rule's numbers."""
        update = self.update
        update.state["t"] += 1
        numbers = list(update.constants())
        if update.max_total_norm is not None:
            gap = kernels.NUMBERS - 1 - len(numbers)
            numbers += [0.0] * gap + [update.max_total_norm]
        send(self.numbers, 0, numbers)

    def undo_advance(self):
        """Undo :meth:`advance`, for a step that could not be launched."""
        self.update.state["t"] -= 1

    def launch(self, gradients, loss=None, part=None):
        """The device's part of a step: look for what is not finite, clip, move.

        A gradient that is its own one of ``targets`` is used where it is; one of
        factors is computed while the parameter moves, where the rule allows it.

        Parameters
        ----------
        gradients, loss
            As for a step.
        part : minifer.ranks.Part, optional
            If ranks share the batch: their gradients are summed first.
        """
        update = self.update
        gradients = update.in_order(gradients)
        fused = [part is None and self._can_fuse(g) for g in gradients]
        for place, g, is_fused in zip(self.gradients.parts, gradients, fused):
            if not is_fused:
                _put(g, place)
        if part is not None:
            part.sum(self.gradients.whole)
        runs = self._runs(fused)
        for run, _ in runs:
            kernels.note_finite(self.gradients.whole[run], self.finite)
        for g, is_fused in zip(gradients, fused):
            if is_fused:
                kernels.note_finite(g.dz, self.finite)
        kernels.note_step(loss, self.finite, self.skipped)
        if update.max_total_norm is not None:
            kernels.limit_norm(self.gradients.whole, self.squares, self.finite,
                               self.numbers)
        for run, param in runs:
            self._move(param, self.values.whole[run], self.gradients.whole[run],
                       [self.slots[name].whole[run] for name in update.slots])
        for i, (g, is_fused) in enumerate(zip(gradients, fused)):
            if is_fused:
                g.update(update.params[i].value,
                         [update.state[name][i] for name in update.slots],
                         self.finite, self.numbers,
                         update.kernel_of(update.params[i]))
        self._constrain()

    def _can_fuse(self, g):
        """Whether a gradient need never be stored; a norm must know all of it first."""
        return (isinstance(g, OuterProductOnDevice)
                and self.update.usable_kernel is not None
                and self.update.max_total_norm is None)

    def _runs(self, left_out):
        """Slices of the buffers that hold all parts but those left out.

        Each with its first parameter; the others in it move by the same rule.
        """
        rules = [None if out else self.update.rule_of(param)
                 for param, out in zip(self.update.params, left_out)]
        runs, end = [], 0
        for (rule, param), before in zip(zip(rules, self.update.params),
                                         [None, *rules]):
            start, end = end, end + _room(param.value)
            if rule is not None and rule == before:
                run, first = runs.pop()
                runs.append((slice(run.start, end), first))
            elif rule is not None:
                runs.append((slice(start, end), param))
        return runs

    def _move(self, param, p, g, slots):
        kernel = self.update.kernel_of(param)
        if kernel is not None:
            kernels.step(kernel, p, g, slots, self.finite, self.numbers)
            return
        before = [a.copy() for a in (p, *slots)]
        self.update.rule_of(param)(p, g, *slots)
        for a, old in zip((p, *slots), before):
            a[...] = np.where(self.finite[:1], a, old)

    def _constrain(self):
        for param, constraint in self.update.constraints.items():
            param.value[...] = np.where(self.finite[:1], constraint(param.value),
                                        param.value)


def _put(g, part):
    """Have a gradient in its part of the buffer."""
    if isinstance(g, OuterProductOnDevice):
        g.write(part)
    elif isinstance(g, OuterProduct):
        part[...] = g.rows(0, len(part))
    elif g is not part:
        part[...] = g
