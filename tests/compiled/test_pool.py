"""Max-pooling of any windows in a plan, against slow loops."""

import numpy as np
import pytest

from helpers import reference
from helpers.checking import normal
from minifer.compiled.cpu import CpuPlan
from minifer.compiled.cpu.pool import PoolStep
from minifer.layers import InputLayer, MaxPool2DLayer
from minifer.layers.padding import sides_of

SIZES = [(1, 2), (2, 2), (2, 3), (3, 3), (4, 1)]
STRIDES = [(1, 1), (2, 2), (2, 3), (3, 1), (5, 4)]


def through(plan, x):
    """Output of a plan of one step, a random gradient for it, and that of x."""
    step, = plan.steps
    assert isinstance(step, PoolStep)
    y, = plan.run({plan.outputs[0].input_layer: x})
    dy = normal(y.shape, 1)
    (dx,), _ = step.backward(dy)
    return y, dy, dx


def to_the_first(dy, x, size, stride, pad):
    """The gradient of x: each window's goes to its first largest, in reading order."""
    dx = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(dy.shape):
        met = [(row, column) for row, column in (
            (i * stride[0] + u - pad[0], j * stride[1] + v - pad[1])
            for u, v in np.ndindex(size)) if row in range(x.shape[2])
            and column in range(x.shape[3])]
        dx[(n, c) + max(met, key=lambda place: x[(n, c) + place])] += dy[n, c, i, j]
    return dx


@pytest.mark.parametrize("pad", [(0, 0), (1, 0), (0, 2), (1, 2)])
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("size", SIZES)
def test_the_first_of_the_largest_has_a_window(size, stride, pad):
    """Whole numbers from -2 to 2: most windows are ties."""
    if any(p >= k for p, k in zip(pad, size)):
        pad = (0, 0)
    x = np.random.default_rng(0).integers(-2, 3, (5, 2, 9, 8)).astype(np.float32)
    for ignore_border in {True, any(pad)}:
        layer = MaxPool2DLayer(InputLayer((None, *x.shape[1:])), size, stride, pad,
                               ignore_border)
        plan = CpuPlan([layer], {}, (), len(x), True, 2, feeds_back=True)
        for _ in range(2):  # the second time as the first
            y, dy, dx = through(plan, x)
            np.testing.assert_array_equal(
                y, reference.pool2d(x, size, stride, pad, ignore_border))
            np.testing.assert_allclose(dx, to_the_first(dy, x, size, stride, pad),
                                       rtol=0, atol=1e-6)


@pytest.mark.parametrize("pad", ["same_upper", "same_lower", ((1, 0), (0, 1))])
def test_padding_may_differ_from_side_to_side(pad):
    x = normal((3, 2, 7, 8)).astype(np.float32)
    layer = MaxPool2DLayer(InputLayer((None, *x.shape[1:])), 3, 2, pad)
    plan = CpuPlan([layer], {}, (), len(x), True, 2, feeds_back=True)
    y, dy, dx = through(plan, x)
    before = [one for one, _ in sides_of(layer.pad, (7, 8), (3, 3), (2, 2))]
    assert y.shape == (3, *layer.output_shape[1:])
    expected = to_the_first(dy, x, (3, 3), (2, 2), before)
    np.testing.assert_allclose(dx, expected, rtol=0, atol=1e-6)
    for n, c, i, j in np.ndindex(y.shape):
        rows, columns = (slice(max(0, 2 * at - p), 2 * at - p + 3)
                         for at, p in zip((i, j), before))
        assert y[n, c, i, j] == x[n, c, rows, columns].max()


@pytest.mark.parametrize("wants_dx", [True, False])
def test_all_buffers_are_counted(wants_dx):
    layer = MaxPool2DLayer(InputLayer((None, 3, 7, 8)), 3, 2)
    step, = CpuPlan([layer], {}, (), 4, True, 2, feeds_back=wants_dx).steps
    arrays = [one for one in vars(step).values() if isinstance(one, np.ndarray)]
    owners = {id(one): one for one in (
        array if array.base is None else array.base for array in arrays)}
    assert step.nbytes == sum(one.nbytes for one in owners.values())
    assert (step.dwide is not None) == wants_dx
