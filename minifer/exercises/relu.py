"""ReLU: what is below zero becomes zero.

    y = max(0, x),   dx = dy where x > 0, else 0

for arrays of any shape. At exactly 0 the slope is taken to be 0. `cache` is whatever
your backward needs. Leave x and dy as they are: other layers may still need them.
"""

import numpy as np

from ..ops.activation import rectify_backward, rectify_forward
from .pairs import Case, Pair

__all__ = ["EXERCISE"]


def _inputs(*shape):
    return (np.random.default_rng(len(shape)).normal(size=shape),)


MISTAKES = {
    "y": {
        "x unchanged: nothing is cut off": lambda x: x,
        "min(0, x): the wrong half is cut off": lambda x: np.minimum(x, 0),
        "|x|: below zero comes 0, not -x": lambda x: np.abs(x),
        "1 where x > 0: that is its slope": lambda x: (x > 0) * 1.0,
        "min(1, max(0, x)): nothing is to be cut off above":
            lambda x: np.clip(x, 0, 1),
        "leaky: below zero comes 0, not 0.01 x": lambda x: np.where(x > 0, x, 0.01 * x),
    },
    "dx": {
        "dy everywhere: the slope is 0 where x < 0. (y >= 0 is always true: ask x > 0)":
            lambda dy, x: dy,
        "dy where x < 0: the wrong half": lambda dy, x: dy * (x < 0),
        "the slope alone: multiply it by dy": lambda dy, x: (x > 0) * 1.0,
        "dy y: multiply dy by the slope, 0 or 1, not by the value":
            lambda dy, x: dy * np.maximum(x, 0),
        "dy x: multiply dy by the slope, 0 or 1, not by the value":
            lambda dy, x: dy * x,
        "that of slope 1 at exactly 0: take 0, ask x > 0": lambda dy, x: dy * (x >= 0),
        "that of slope 1/2 at exactly 0: take 0":
            lambda dy, x: dy * np.heaviside(x, 0.5),
        "max(0, dy): the slope depends on x, not on dy":
            lambda dy, x: np.maximum(dy, 0),
        "that of a negative slope: where x < 0 it is 0, not -1":
            lambda dy, x: dy * np.sign(x),
        "that of a leaky slope: where x < 0 it is 0, not 0.01":
            lambda dy, x: np.where(x > 0, dy, 0.01 * dy),
    },
}

EXERCISE = Pair(
    __name__, __doc__, "x", "dx", (rectify_forward, rectify_backward),
    [Case("a matrix", _inputs(3, 4)), Case("images", _inputs(2, 3, 5, 4)),
     Case("exact zeros", (np.array([[-1.0, 0.0, 2.0], [0.0, 3.0, -2.0]]),),
          smooth=False)],
    _inputs(64, 32, 24, 24), MISTAKES)
