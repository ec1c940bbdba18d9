"""Backpropagation: one walk back, whatever was walked forward.

Going back, each step receives the gradient of what it made and hands the things it
was made from theirs. Where paths meet, and where a parameter was used twice,
**gradients add**. This is all there is to it: a network run layer after layer, a plan
and an expression are walked back by the same function.
"""

import functools
from typing import Callable, NamedTuple

from .outer_product import add_gradients

__all__ = ["BackwardStep", "collect", "walk_back"]


class BackwardStep(NamedTuple):
    """One step of the way forward, as the way back sees it.

    Attributes
    ----------
    top : object
        What it made.
    bottoms : sequence of objects
        What it was made from.
    backward : function
        ``backward(dy)`` returns the gradients of the bottoms (None where none is
        wanted) and a dict of parameter -> gradient.
    """

    top: object
    bottoms: tuple
    backward: Callable


def walk_back(steps, arrived, keep=None):
    """Walk back, and add gradients where paths meet.

    Parameters
    ----------
    steps : list of BackwardStep
        In the order in which they went forward.
    arrived : dict of object -> gradient
        Where the way back begins. Taken from as it goes; at the end it holds the
        gradients of what no step made, such as a network's inputs.
    keep : function, optional
        ``keep(param, gradient)`` takes what a step found, in the order of the way back.
        Default: it is added up in the dict that is returned.

    Returns
    -------
    dict of parameter -> gradient

    Examples
    --------
    y = w · x and z = y + y, so dz/dw = 2x:

    >>> import numpy as np
    >>> w, x = 3.0, np.array([5.0])
    >>> steps = [BackwardStep("y", ("x",), lambda dy: ((dy * w,), {"w": dy * x})),
    ...          BackwardStep("z", ("y", "y"), lambda dz: ((dz, dz), {}))]
    >>> arrived = {"z": np.array([1.0])}
    >>> walk_back(steps, arrived)["w"], arrived["x"]
    (array([10.]), array([6.]))
    """
    of_params = {}
    keep = keep or functools.partial(collect, of_params)
    for step in reversed(steps):
        if step.top not in arrived:
            continue
        dbottoms, found = step.backward(arrived.pop(step.top))
        for param, gradient in found.items():
            if hasattr(param, "pull_back"):  # made of others, such as W.T
                for root, part in param.pull_back(gradient).items():
                    keep(root, part)
            else:
                keep(param, gradient)
        for bottom, gradient in zip(step.bottoms, dbottoms):
            if gradient is not None:
                collect(arrived, bottom, gradient)
    return of_params


def collect(gradients, key, gradient):
    """Add to what has arrived at a key, never in place: it may be a step's buffer."""
    gradients[key] = (add_gradients(gradients[key], gradient) if key in gradients
                      else gradient)
