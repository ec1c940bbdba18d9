r"""Gradient check: is the hand-written backward pass right?

The gradient of a function f along a direction d can be measured without any
backward pass, by stepping a little to both sides:

.. math:: f'(0) \approx \frac{8\,(f(h) - f(-h)) - (f(2h) - f(-2h))}{12\,h}

whose error falls with h⁴. If it agrees with the gradient that ``backward``
claims, the backward pass is right. In float64, agreement is to 9 digits or so.

>>> import minifer
>>> from minifer import layers, gradcheck
>>> net = layers.DenseLayer(layers.InputLayer((None, 3)), num_units=2, name="dense")
>>> report = gradcheck.check(net)
>>> report.ok
True
>>> print(report)                                       # doctest: +SKIP
parameter       shape     probes          largest error  verdict
dense.W         (3, 2)    6 elements            1.2e-12  ok
...

A small array is probed element by element. A large one is probed along directions of
random signs, in which all its n elements take part. One wrong element changes such a
slope by its deviation over √n: far more than rounding does, so that halving the array
again and again leads to it. What directions cannot see is a deviation below 10⁻⁹ √n of
a typical element, or one below the noise of kinks where thousands of rectifiers are
crossed. So the elements of the largest and of the smallest claimed gradient are
probed too, and some at random. No probe sees a mistake that shows only for other
inputs, parameters or batch sizes than those that were tried.
"""

from .network import check
from .probing import compare
from .report import Report, Row

__all__ = ["check", "compare", "Report", "Row"]
