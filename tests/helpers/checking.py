"""One helper checks an operation from all sides, so that a case is one line.

``check_op`` holds an op against its slow reference and its gradient against
finite differences; ``distinct`` and ``off_zero`` make inputs that keep away
from the kinks of max and of rectify, where no derivative exists.
"""

import os

import numpy as np
from hypothesis import settings

from helpers.tolerances import assert_close

#: Half the distance of the two points of a central difference.
STEP = 1e-5
#: Inputs with fewer elements are checked one element at a time.
FEW = 200


def configurations(few):
    """How many random configurations to try: a few, or as many as the environment's
    ``MINIFER_CONFIGURATIONS`` says."""
    return int(os.environ.get("MINIFER_CONFIGURATIONS", few))


#: Settings of the tests with random shapes: the same cases in every run.
RANDOM_SHAPES = settings(derandomize=True, deadline=None,
                         max_examples=configurations(25), database=None)


def check_op(forward, backward, inputs, reference, seed=0, **options):
    """Assert that an op and its gradient are right, in float64 and float32.

    Parameters
    ----------
    forward : callable
        ``forward(*inputs, **options)`` gives ``(y, cache)``.
    backward : callable or None
        ``backward(dy, cache)`` gives the gradient of every input in order, or
        the only gradient itself. ``None`` checks the forward pass alone.
    inputs : list of arrays or None
        What is differentiated. An input that is ``None`` has gradient ``None``.
    reference : callable
        ``reference(*inputs, **options)`` gives the right ``y``.
    seed : int
        Of the upstream gradient ``dy``, which is random and not constant: a
        constant one would hide gradients that are mixed up between places.
    **options
        Whatever else the op takes; not differentiated, not cast.

    Notes
    -----
    In order: shape, values and dtype of the output, inputs left as they were,
    the same output from inputs scattered in memory; then for each gradient
    shape, dtype and values. Shape comes first because values can only be
    compared once shapes agree.
    """
    rng = np.random.default_rng(seed)
    for dtype in ("float64", "float32"):
        arrays = [None if x is None else _cast(x, dtype) for x in inputs]
        expected = reference(*arrays, **options)
        check_output(forward, arrays, expected, options)
        if backward is not None:
            dy = rng.normal(size=expected.shape).astype(dtype)
            check_gradients(forward, backward, arrays, dy, options)


def check_output(forward, inputs, expected, options):
    """Assert value, shape and dtype of an op's output, and inputs unchanged."""
    dtype = inputs[0].dtype
    given = _arrays_in(inputs, options)
    before = [array.copy() for array in given]
    y, _ = forward(*inputs, **options)
    assert y.shape == expected.shape, (
        f"output: shape {y.shape}, expected {expected.shape}")
    assert_close(y, expected, "reference", dtype, "output")
    assert y.dtype == dtype, f"output: dtype {y.dtype}, expected {dtype}"
    _assert_unchanged(given, before, "forward")
    y, _ = forward(*[scattered(x) for x in inputs], **options)
    assert_close(y, expected, "reference", dtype, "output from scattered inputs")


def check_gradients(forward, backward, inputs, dy, options):
    """Assert shape, dtype and values of an op's gradients."""
    _, cache = forward(*inputs, **options)
    given = _arrays_in([*inputs, dy], options)
    before = [array.copy() for array in given]
    expected = expected_gradients(forward, backward, inputs, dy, options)
    # The cache must not change when the op is used again, on other numbers.
    forward(*[None if x is None else np.flip(x) for x in inputs], **options)
    gradients = _as_list(backward(dy, cache))
    _assert_unchanged(given, before, "backward")
    assert len(gradients) == len(inputs), (
        f"backward: {len(gradients)} gradients for {len(inputs)} inputs")
    _, cache = forward(*[scattered(x) for x in inputs], **options)
    again = _as_list(backward(scattered(dy), cache))
    for index, (x, target) in enumerate(zip(inputs, expected)):
        what = f"gradient of input {index}"
        check_gradient(gradients[index], x, target, what)
        check_gradient(again[index], x, target, what + ", all scattered")


def expected_gradients(forward, backward, inputs, dy, options):
    """What a float64 or float32 gradient is held against, for each input.

    In float64 the numerical gradient, in float32 the float64 gradient at the
    same point. Pairs as :func:`numerical_gradient` returns them, or None.
    """
    if dy.dtype == np.float64:
        return [None if x is None else
                numerical_gradient(forward, inputs, index, dy, options)
                for index, x in enumerate(inputs)]
    wide = [None if x is None else _cast(x, "float64") for x in inputs]
    _, cache = forward(*wide, **options)
    return [(None, gradient)
            for gradient in _as_list(backward(_cast(dy, "float64"), cache))]


def check_gradient(dx, x, target, what):
    """Assert that ``dx`` has the shape and dtype of ``x`` and the right values."""
    if x is None:
        assert dx is None, f"{what}: an array, expected None"
        return
    assert dx.shape == x.shape, f"{what}: shape {dx.shape}, expected {x.shape}"
    assert dx.dtype == x.dtype, f"{what}: dtype {dx.dtype}, expected {x.dtype}"
    direction, expected = target
    if direction is not None:
        dx = np.sum(dx * direction)
    kind = "numerical gradient" if x.dtype == np.float64 else "gradient"
    assert_close(dx, expected, kind, x.dtype, what)


def numerical_gradient(forward, inputs, index, dy, options):
    """Differentiate sum(dy * y) by input ``index`` with central differences.

    Returns ``(None, gradient)``; for inputs of ``FEW`` elements or more
    ``(direction, slope)``, the derivative along one random unit direction,
    which costs two calls of forward instead of two for each element.
    """
    x = inputs[index]

    def slope(direction):
        def output(moved):
            return forward(*inputs[:index], moved, *inputs[index + 1:], **options)[0]
        # Differences first: what does not change cancels without rounding.
        change = output(x + STEP * direction) - output(x - STEP * direction)
        return np.sum(dy * change) / (2 * STEP)

    if x.size >= FEW:
        direction = np.random.default_rng(x.size).normal(size=x.shape)
        direction /= np.linalg.norm(direction)
        return direction, slope(direction)
    gradient = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        direction = np.zeros(x.shape)
        direction[place] = 1
        gradient[place] = slope(direction)
    return None, gradient


# --- inputs -----------------------------------------------------------------

def distinct(shape, seed=0):
    """All different, 1/8 apart, mixed signs: a max has one clear winner."""
    size = int(np.prod(shape))
    order = np.random.default_rng(seed).permutation(size)
    return (order - size // 2).reshape(shape) / 8


def off_zero(shape, seed=0):
    """Random numbers of both signs, at least 0.1 and at most 2 in size."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.1, 2.0, shape) * rng.choice([-1.0, 1.0], shape)


def normal(shape, seed=0):
    """Standard normal numbers."""
    return np.random.default_rng(seed).normal(size=shape)


def scattered(x):
    """A copy of ``x`` with gaps between the elements and the axes reversed."""
    if x is None:
        return None
    room = np.zeros([2 * n for n in reversed(x.shape)], x.dtype)
    copy = room.T[(slice(None, None, 2),) * x.ndim + (...,)]
    copy[...] = x
    return copy


# --- small things -----------------------------------------------------------

def _cast(x, dtype):
    """``x`` itself if it has the dtype already, so that views stay views."""
    return x.astype(dtype, copy=False)


def _as_list(gradients):
    return list(gradients) if isinstance(gradients, tuple) else [gradients]


def _arrays_in(inputs, options):
    return [value for value in [*inputs, *options.values()]
            if isinstance(value, np.ndarray)]


def _assert_unchanged(arrays, before, what):
    for array, old in zip(arrays, before):
        assert np.array_equal(array, old), f"{what}: modified an array it was given"
