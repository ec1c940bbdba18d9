"""A gradient kept as its two factors.

The gradient of a dense layer's weights is xᵀ·dz: large, although its factors are
small. Written out, a step would write it to memory and read it back twice. Kept
as factors, its rows are computed where the update rule wants them, a piece at
a time, and are still in the cache when they are used.

>>> g = OuterProduct(np.array([[1., 2., 3.]]), np.array([[1., 10.]]))
>>> g.shape, g.rows(1, 3)
((3, 2), array([[ 2., 20.],
       [ 3., 30.]]))
"""

import numpy as np

from ..cuda import gemm
from ..cuda.order import alike
from ..device.arrays import on_gpu

__all__ = ["OuterProduct", "OuterProductOnDevice", "add_gradients"]


def add_gradients(a, b):
    """The sum of two gradients: arrays, factors, or dicts of them by output."""
    if isinstance(a, dict):
        return {i: add_gradients(a[i], b[i]) if i in a and i in b
                else a.get(i, b.get(i)) for i in {**a, **b}}
    if isinstance(b, OuterProduct):
        return b + a
    if isinstance(a, OuterProduct) or not on_gpu(a):
        return a + b
    (a, b), shaped = alike(a, b)  # images may lie with channels last
    return shaped(a + b)


class OuterProduct:
    """xᵀ·dz; NumPy's functions and ``+`` see the array it stands for.

    Parameters
    ----------
    x : array, shape (N, D)
        The layer's input. Neither factor may change while this is in use.
    dz : array, shape (N, U)
        The gradient of what the layer puts out.
    """

    def __init__(self, x, dz):
        self.x, self.dz = x, dz
        self.shape, self.dtype = (x.shape[1], dz.shape[1]), dz.dtype

    def rows(self, start, stop, out=None):
        """Rows ``start`` to ``stop``, shape (stop - start, U).

        Parameters
        ----------
        out : array, optional
            Where to write them.
        """
        return np.matmul(self.x[:, start:stop].T, self.dz, out=out)

    def surely_finite(self):
        """Whether no element can overflow: N·max|x|·max|dz| is within the range.

        False says nothing: the elements must be looked at then.
        """
        largest = [max(float(a.max(initial=0)), -float(a.min(initial=0)))
                   for a in (self.x, self.dz)]
        # Not-a-number makes the comparison false.
        limit = float(np.finfo(self.dtype).max)
        return len(self.x) * largest[0] * largest[1] < limit

    def __array__(self, dtype=None, copy=None):
        return self.rows(0, self.shape[0]).astype(dtype or self.dtype, copy=False)

    def __add__(self, other):
        return np.asarray(self) + np.asarray(other)

    __radd__ = __add__


class OuterProductOnDevice(OuterProduct):
    """The same on a device, where one kernel multiplies and updates.

    Parameters
    ----------
    x : device array, shape (N, D)
        The layer's input; images with channels last, flattened.
    dz : device array, shape (N, U)
    channels : int
        So many lie side by side in x; see :mod:`minifer.cuda.gemm`.
    precision : {'fp32', 'tf32'}
    """

    def __init__(self, x, dz, channels=1, precision="fp32"):
        super().__init__(x, dz)
        self.options = dict(channels=channels, precision=precision)

    def write(self, target):
        """Work the gradient out, into an array (D, U)."""
        gemm.weight_gradient(self.x, self.dz, target, **self.options)
        return target

    def update(self, W, slots, fine, numbers, rule):
        """Take a step with it that never stores it; see ``weight_gradient_update``."""
        gemm.weight_gradient_update(self.x, self.dz, W, slots, fine, numbers, rule,
                                    **self.options)

    def rows(self, start, stop, out=None):
        return self.write(np.empty_like(self.dz, shape=self.shape))[start:stop]

    def __add__(self, other):
        if isinstance(other, OuterProductOnDevice):
            other = other.rows(0, other.shape[0])
        return self.rows(0, self.shape[0]) + other

    __radd__ = __add__
