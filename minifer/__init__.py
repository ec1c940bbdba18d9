"""minifer: a from-scratch deep-learning library to read, run and trust.

>>> import minifer
>>> network = minifer.models.ck96()
>>> minifer.layers.count_params(network)
3641191

``minifer.ops`` holds the mathematics, ``minifer.layers`` the layers, and
``minifer.training`` the loop; README.md has a map of the rooms.
"""

from . import _moved
from ._lazy import door
from ._version import __version__

_HOMES = dict.fromkeys([
    "config", "data", "errors", "evaluation", "faces", "foreign", "gradcheck", "init",
    "layers", "models", "nonlinearities", "objectives", "ops", "random",
    "regularization", "tensor", "training", "updates", "utils", "weights"])
_INSIDE = dict.fromkeys([
    "commands", "compiled", "cuda", "device", "estimator", "exercises", "expressions",
    "files",
    "gui", "notebook", "predict", "progress", "ranks", "report", "runs", "search"])

#: What ``theano`` itself had.
_THEANO = {"function": "compiled", "shared": "expressions", "grad": "tensor"}

__all__ = [*_HOMES, *_THEANO, "__version__"]
_find, _ = door(__name__, _HOMES | _INSIDE | _THEANO)


def __getattr__(name):
    return _find(name)


def __dir__():
    return sorted(__all__)


_moved.install()
