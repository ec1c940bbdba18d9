"""Exercises: a student's file against the right answers, and what is wrong with it.

Each exercise is a module whose docstring is the text that the student reads. It says
what the functions must return, and knows the mistakes that people make:

>>> sorted(EXERCISES)[:3]
['adam', 'conv', 'dense']
>>> print(exercise("relu").template().splitlines()[-1])
    raise NotImplementedError("relu_backward is yours to write")

``minifer check NAME FILE`` runs a file in a process of its own, :func:`run_file`.
"""

import importlib

from ..errors import SettingError
from .base import Exercise, Finding
from .running import MEMORY_LIMIT, TIME_LIMIT, run_file

__all__ = ["EXERCISES", "Exercise", "Finding", "MEMORY_LIMIT", "TIME_LIMIT", "exercise",
           "run_file"]

#: Name -> what it is about, in the order of the course.
EXERCISES = {
    "dense": "a dense layer and its gradients",
    "relu": "the nonlinearity that cuts off below zero",
    "softmax": "softmax and cross-entropy in one",
    "conv": "a convolution layer and its gradients",
    "maxpool": "the largest of each window",
    "momentum": "gradient descent with momentum, and Nesterov's",
    "adam": "a step of Adam",
    "layer": "a layer of your own, for minifer's networks",
}


def exercise(name):
    """The exercise called ``name``.

    Raises
    ------
    SettingError
        If there is none.
    """
    if name not in EXERCISES:
        raise SettingError(f"check: expected an exercise, one of "
                           f"{', '.join(EXERCISES)}, got '{name}'.")
    return importlib.import_module(f"{__name__}.{name}").EXERCISE
