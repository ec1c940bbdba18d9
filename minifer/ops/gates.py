"""The nonlinearities of gates, on arrays (N, G·H) that hold G gates side by side.

:class:`UsualGates` are sigmoids and hyperbolic tangents, all in one go and in place.
:class:`AnyGates` takes any pairs of ``forward`` and ``backward``.
"""

import numpy as np

from ..device.arrays import contiguous

__all__ = ["UsualGates", "AnyGates"]


class UsualGates:
    r"""Sigmoid, or tanh, for each gate.

    Both are one function, since :math:`\sigma(z) = (1 + \tanh(z/2)) / 2`: with s = 1/2
    for a sigmoid and 1 for tanh it is :math:`a = s \tanh(s z) + 1 - s`. The slope is
    :math:`(1 - a)(a + 2s - 1)`.

    Parameters
    ----------
    kinds : str
        A letter a gate: ``"s"`` or ``"t"``.
    shape : (int, int)
        N sequences, H units.
    dtype : dtype
    """

    def __init__(self, kinds, shape, dtype):
        N, self.H = shape
        # In full, (N, G·H): rows that are spread out would take twice the time.
        s = np.tile(np.repeat([0.5 if kind == "s" else 1.0 for kind in kinds], self.H),
                    (N, 1))
        self.scale, self.shift, self.low = (a.astype(dtype)
                                            for a in (s, 1 - s, 2 * s - 1))

    def forward(self, t, z, start, stop):
        """Gates ``start`` to ``stop`` of z become what their functions give."""
        part = slice(start * self.H, stop * self.H)
        a, scale = z[:, part], self.scale[:, part]
        a *= scale
        np.tanh(a, out=a)
        a *= scale
        a += self.shift[:, part]

    def backward(self, t, a, da, start, stop):
        """The gradients da of gates' outputs a become those of their inputs."""
        part = slice(start * self.H, stop * self.H)
        a, da = a[:, part], da[:, part]
        slope = a + self.low[:, part]
        slope *= 1 - a
        da *= slope


class AnyGates:
    """A nonlinearity of one's own for each gate, which keeps a cache a step.

    Parameters
    ----------
    functions : list of objects with ``forward`` and ``backward``
    H : int
    """

    def __init__(self, functions, H):
        self.functions, self.H, self.caches = functions, H, {}

    def forward(self, t, z, start, stop):
        """As :meth:`UsualGates.forward`."""
        for k in range(start, stop):
            part = z[:, k * self.H:(k + 1) * self.H]
            # A copy: the function may keep its input, and this place gets the output.
            part[...], self.caches[t, k] = self.functions[k].forward(part.copy())

    def backward(self, t, a, da, start, stop):
        """As :meth:`UsualGates.backward`."""
        for k in range(start, stop):
            part = da[:, k * self.H:(k + 1) * self.H]
            part[...] = self.functions[k].backward(contiguous(part),
                                                   self.caches[t, k])
