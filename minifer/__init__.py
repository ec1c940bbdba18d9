"""minifer: a from-scratch deep-learning library to read, run and trust.

>>> import minifer
>>> network = minifer.models.ck96()
>>> minifer.layers.count_params(network)
3641191

``minifer.ops`` holds the mathematics, ``minifer.layers`` the layers, and
``minifer.training`` the loop; README.md has a map of the rooms.
"""

from . import (config, data, errors, evaluation, faces, files, finetuning,
               gradcheck, init, layers, models, nonlinearities, objectives, ops,
               plots, predict, preprocessing, progress, random, regularization,
               report, schedules, search, stopping, tensor, training, updates,
               weights)
from ._version import __version__
from .compiled import function

__all__ = ["config", "data", "errors", "evaluation", "faces", "files",
           "finetuning", "gradcheck", "init", "layers", "models",
           "nonlinearities", "objectives", "ops", "plots", "predict",
           "preprocessing", "progress", "random", "regularization", "report",
           "schedules", "search", "stopping", "tensor", "training", "updates",
           "weights", "function", "__version__"]
