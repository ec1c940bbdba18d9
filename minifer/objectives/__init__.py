"""Objectives: what training makes small.

Functions of predictions and targets, as in Lasagne. Given arrays they return
an array; given an expression (``get_output(network)`` without data) they
return an expression for :func:`minifer.function`. They give one loss for each
sample: take the ``.mean()``. Predictions (N, 1) of a network with a single output may
have targets (N,), which then count as (N, 1).

>>> import numpy as np
>>> from minifer.objectives import categorical_crossentropy
>>> p = np.array([[0.5, 0.5], [0.25, 0.75]])
>>> categorical_crossentropy(p, np.array([0, 1])).round(4)
array([0.6931, 0.2877])
"""

from .aggregation import aggregate
from .labels import label_crossentropy
from .losses import (binary_accuracy, binary_crossentropy, binary_hinge_loss,
                     categorical_accuracy, categorical_crossentropy, huber_loss,
                     multiclass_hinge_loss, sigmoid_crossentropy, softmax_crossentropy,
                     squared_error)

__all__ = ["categorical_crossentropy", "softmax_crossentropy", "binary_crossentropy",
           "sigmoid_crossentropy", "squared_error", "aggregate", "binary_hinge_loss",
           "multiclass_hinge_loss", "huber_loss", "binary_accuracy",
           "categorical_accuracy", "label_crossentropy"]
