"""Two arrays of one shape, element by element."""

import numpy as np

__all__ = ["add_forward", "add_backward", "subtract_forward", "subtract_backward",
           "multiply_forward", "multiply_backward", "divide_forward",
           "divide_backward", "maximum_forward", "maximum_backward",
           "minimum_forward", "minimum_backward"]


def add_forward(a, b):
    """``y = a + b``; returns ``y, cache``."""
    return a + b, ()


def add_backward(dy, cache):
    """``da = db = dy``."""
    return dy, dy


def subtract_forward(a, b):
    """``y = a - b``."""
    return a - b, ()


def subtract_backward(dy, cache):
    """``da = dy, db = -dy``."""
    return dy, -dy


def multiply_forward(a, b):
    """``y = a * b``."""
    return a * b, (a, b)


def multiply_backward(dy, cache):
    """``da = dy * b, db = dy * a``."""
    a, b = cache
    return dy * b, dy * a


def divide_forward(a, b):
    """``y = a / b``."""
    y = a / b
    return y, (y, b)


def divide_backward(dy, cache):
    """``da = dy / b, db = -dy * a / b²``."""
    y, b = cache
    da = dy / b
    return da, -da * y


def maximum_forward(a, b):
    """``y = max(a, b)``."""
    return np.maximum(a, b), (a >= b,)


def maximum_backward(dy, cache):
    """The larger learns; where both are equal that is a."""
    (first,) = cache
    return dy * first, dy * ~first


def minimum_forward(a, b):
    """``y = min(a, b)``."""
    return np.minimum(a, b), (a <= b,)


def minimum_backward(dy, cache):
    """The smaller learns; where both are equal that is a."""
    (first,) = cache
    return dy * first, dy * ~first
