"""Momentum around another rule, on a device: the other's buffers, and one more.

What the parameters were before the other rule's step is kept there, since the momentum
is of how far that moves them.
"""

from ..cuda import update as kernels
from .on_device import Buffer, DeviceState

__all__ = ["AppliedMomentumState"]


class AppliedMomentumState(DeviceState):
    """The same for momentum around another rule, which has buffers of its own."""

    @property
    def inner(self):
        return self.update.inner.buffers

    def to_device(self, device):
        self.inner.to_device(device)
        if self.inner.values is not self.values:
            self.values, self.gradients = self.inner.values, self.inner.gradients
            self.before = self.values and Buffer(self.values.parts,
                                                 self.update.device)
        self.finite, self.skipped = self.inner.finite, self.inner.skipped
        super().to_device(device)

    @property
    def may_be_captured(self):
        return self.inner.may_be_captured and self._limits_norms

    @property
    def built_in(self):
        return super().built_in + self.inner.built_in

    def arrays(self):
        return super().arrays() + self.inner.arrays() + [self.before.whole]

    def advance(self):
        self.update.pass_on()
        self.inner.advance()
        super().advance()

    def undo_advance(self):
        self.inner.undo_advance()
        super().undo_advance()

    def clear_not_finite(self):
        skipped = self.inner.clear_not_finite()
        self.update.state["t"] -= skipped
        return skipped

    def launch(self, gradients, loss=None, part=None):
        update = self.update
        kernels.remember(self.values.whole, self.before.whole)
        self.inner.launch(gradients, loss, part)
        for param, old, v in zip(update.params, self.before.parts,
                                 update.state["velocity"]):
            if param in update.chosen:
                kernels.apply_momentum(param.value, old, v, self.finite,
                                       update.nesterov, self.numbers)
        self._constrain()
