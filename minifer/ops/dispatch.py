"""Which of two functions of one name: NumPy's here, or the kernels' launcher."""

import functools

from ..device.arrays import on_gpu

__all__ = ["on_device"]


def on_device(launchers):
    """Decorate an op: for an array on a device, the launcher of its name is called.

    Parameters
    ----------
    launchers : module
        A file of :mod:`minifer.cuda` with a function of the op's name, of the same
        arguments and results.

    Examples
    --------
    >>> import numpy as np
    >>> from minifer.cuda import activation
    >>> @on_device(activation)
    ... def rectify_forward(x):
    ...     return np.maximum(x, 0), ()
    >>> rectify_forward(np.array([-1., 2.]))[0]
    array([0., 2.])
    """
    def decorate(op):
        launcher = getattr(launchers, op.__name__)

        @functools.wraps(op)
        def dispatched(array, *args, **options):
            return (launcher if on_gpu(array) else op)(array, *args, **options)

        return dispatched

    return decorate
