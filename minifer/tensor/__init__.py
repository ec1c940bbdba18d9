"""The names of ``theano.tensor`` that Lasagne's scripts use.

With ``import minifer.tensor as T`` such a script runs as it is. Each function makes an
:class:`~minifer.expressions.Expression` of others, of arrays and of numbers:

>>> import numpy as np
>>> x = matrix("x")
>>> y = sqr(x).sum(axis=1) + 1
>>> y.eval({x: np.array([[1.0, 2.0], [3.0, 4.0]])})
array([ 6., 26.])

``variables.py`` makes variables, ``arithmetic.py`` works element by element,
``reductions.py`` over axes, ``shapes.py`` on shapes and parts, and ``nnet.py`` is
``theano.tensor.nnet``, and ``shared_randomstreams.py`` draws.
"""

from .. import _absent
from . import nnet, shared_randomstreams
from .arithmetic import (abs_, add, and_, arccos, arcsin, arctan, cast, ceil, clip, cos,
                         cosh, eq, exp, expm1, floor, ge, gt, inv, invert, isinf, isnan,
                         le, log, log1p, log2, log10, lt, maximum, minimum, mod, mul,
                         neg, neq, or_, pow, round, sgn, sigmoid, sin, sinh, sqr, sqrt,
                         square, sub, switch, tan, tanh, true_div, where, xor)
from .gradient import disconnected_grad, grad, jacobian
from .reductions import (all, any, argmax, argmin, argsort, cumsum, max, mean, min,
                         norm,
                         prod, std, sum, var)
from .shapes import (addbroadcast, arange, as_tensor_variable, batched_dot, concatenate,
                     constant, diag, dot, eye, fill, flatten, horizontal_stack,
                     identity_like, inc_subtensor, ones, ones_like, outer, repeat,
                     reshape, set_subtensor, shape, shape_padaxis, shape_padleft,
                     shape_padright, squeeze, stack, swapaxes, take, tensordot, tile,
                     transpose, unbroadcast, vertical_stack, zeros, zeros_like)
from .variables import *  # noqa: F403  (all kinds of variables: they are made of a table)
from .variables import __all__ as _variables

abs = abs_
__getattr__ = _absent.getter(__name__)

__all__ = [*_variables, "nnet", "shared_randomstreams", "abs", "abs_", "add",
           "and_", "arccos", "arcsin",
           "arctan", "cast", "ceil", "clip", "cos", "cosh", "eq", "exp", "expm1",
           "floor", "ge", "gt", "inv", "invert", "isinf", "isnan", "le", "log", "log1p",
           "log2", "log10", "lt", "maximum", "minimum", "mod", "mul", "neg", "neq",
           "or_", "pow", "round", "sgn", "sigmoid", "sin", "sinh", "sqr", "sqrt",
           "square", "sub", "switch", "tan", "tanh", "true_div", "where", "xor",
           "disconnected_grad", "grad",
           "jacobian", "all", "any", "argmax", "argmin", "argsort", "cumsum", "max",
           "mean", "min", "norm", "prod", "std", "sum", "var", "addbroadcast", "arange",
           "as_tensor_variable", "batched_dot", "concatenate", "constant", "diag",
           "dot", "eye", "fill", "flatten", "horizontal_stack", "identity_like",
           "inc_subtensor", "ones", "ones_like", "outer", "repeat", "reshape",
           "set_subtensor", "shape", "shape_padaxis", "shape_padleft", "shape_padright",
           "squeeze", "stack", "swapaxes", "take", "tensordot", "tile", "transpose",
           "unbroadcast", "vertical_stack", "zeros", "zeros_like"]
