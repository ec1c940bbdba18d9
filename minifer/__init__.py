"""minifer: a from-scratch deep-learning library to read, run and trust.

>>> import minifer
>>> network = minifer.models.ck96()
>>> minifer.layers.count_params(network)
3641191
"""

from . import (config, errors, init, layers, models, nonlinearities, objectives,
               random, regularization, tensor, updates)
from ._version import __version__
from .compiled import function

__all__ = ["config", "errors", "init", "layers", "models", "nonlinearities",
           "objectives", "random", "regularization", "tensor", "updates",
           "function", "__version__"]
