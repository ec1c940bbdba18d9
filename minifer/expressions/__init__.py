"""Expressions: a loss written down before there are data.

Lasagne scripts describe what is to be computed and leave the computing to
Theano. So that they run as they are, ``get_output(network)`` without data
gives an expression, objectives accept it, ``.mean()`` and arithmetic build
on it, and :func:`minifer.function` makes it callable. Each expression is one
step forward and one back, like everything here:

>>> import numpy as np
>>> import minifer
>>> x = minifer.tensor.matrix("x")
>>> loss = (minifer.objectives.squared_error(x, 1.0)).mean()
>>> minifer.function([x], loss)(np.array([[1.0, 3.0]]))
2.0

``base.py`` holds what an expression is, ``functions.py`` what can be done with them,
``named.py`` such functions by name, ``shared.py`` values that stay from call to call,
``derived.py`` parameters that are made of others,
``evaluation.py`` the way forward and the way back.
"""

from . import functions
from .base import (Apply, Constant, Expression, Variable, all_below, as_expression)
from .derived import DerivedParam
from .evaluation import (GradientsOf, Part, evaluate, gradients, leads_to, mean_of,
                         pull_back)
from .functions import function_of_arrays
from .shared import Param, shared

__all__ = ["Expression", "Variable", "Constant", "Apply", "Param", "DerivedParam",
           "shared",
           "as_expression", "all_below", "evaluate", "gradients", "pull_back",
           "GradientsOf",
           "Part", "leads_to", "mean_of", "functions",
           "function_of_arrays"]
