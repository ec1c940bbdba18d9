r"""Updates: how parameters move against the gradient.

Each function makes an update rule for a list of parameters:

>>> import numpy as np
>>> from minifer.layers.param import Param
>>> w = Param(np.array([1.0, 2.0]), "w")
>>> step = nesterov_momentum([w], learning_rate=0.1, momentum=0.9)
>>> step([np.array([1.0, 1.0])])
>>> w.value
array([0.81, 1.81])
>>> step.learning_rate = 0.01

The learning rate can be changed at any time, and ``step.state`` is a plain
dict of numbers and lists of arrays that a checkpoint can hold. As in Lasagne,
a loss may come first, ``nesterov_momentum(loss, params, ...)``, for
:func:`minifer.function`.

The updates are then also the dict of parameter -> new value that they were there:
``updates[w] = norm_constraint(updates[w], 3.0)``, ``updates.update(others)``.

``rules.py`` holds each rule whole, ``update.py`` what they share, ``mapping.py`` what
they have in common with a dict, ``on_device.py`` where parameters and state live on a
device.
"""

from .as_function import function_of
from .norms import get_or_compute_grads, norm_constraint, total_norm_constraint
from .rules import (adadelta, adagrad, adam, adamax, adamw, amsgrad, apply_momentum,
                    apply_nesterov_momentum, momentum, nesterov_momentum, rmsprop, sgd)
from .update import Update

__all__ = ["Update", "sgd", "momentum", "nesterov_momentum", "apply_momentum",
           "apply_nesterov_momentum", "adagrad", "rmsprop", "adadelta", "adam",
           "adamax", "amsgrad", "adamw", "get_or_compute_grads", "norm_constraint",
           "total_norm_constraint", "function_of"]
