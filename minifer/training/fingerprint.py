"""What a run was made with, as plain data that a checkpoint can keep and compare.

>>> def schedule(initial, iteration, epoch, epochs):
...     return initial
>>> describe_function(schedule).split(", ")[0]
'schedule'
>>> from minifer.training import schedules
>>> describe_function(schedules.cosine)
'cosine'
"""

import re
import types

import numpy as np

from .. import layers
from ..device.arrays import as_array, to_host
from ..expressions import Constant
from ..files import digest
from ..weights import architecture
from .code_digest import Digests, is_library, name_of

__all__ = ["describe_function", "describe_update", "describe_constraints",
           "describe_penalty", "describe_terms", "describe_data", "describe_trainer",
           "same"]

_TWO_PARTS = re.compile(r"(?P<name>.*), code \w+ \((?P<python>.*)\), values (?P<v>\w+)",
                        re.DOTALL)


def describe_function(function, without=()):
    """What a function or an object that can be called is, and works with.

    Parameters
    ----------
    function : callable or None
    without : sequence of objects
        Things whose contents do not count: the parameters that are being trained.

    Returns
    -------
    str or None
        The name of a function of minifer or another library; the ``repr`` of an object
        of minifer, such as that of a dataclass. For all others the name, a digest of
        the code, which holds for one version of Python, and a digest of the values
        that it works with: defaults, what a closure closes over, global variables that
        it reads, arguments of a ``functools.partial``, attributes of an object. An
        object of your own class that has ``to_dict()`` says itself what counts. The
        text is the same in every process and on every machine.
    """
    if function is None:
        return None
    if is_library(function):
        if isinstance(function, (type, types.FunctionType, types.BuiltinFunctionType)):
            return function.__qualname__
        if isinstance(function, np.ufunc):
            return function.__name__
        if type(function).__module__.startswith("minifer."):
            told = type(function).__repr__ is not object.__repr__
            return repr(function) if told else type(function).__qualname__
    found = Digests(function, without)
    return (f"{name_of(function)}, code {found.code} ({found.python}), values "
            f"{found.values}")


def same(was, now, noted=True):
    """Whether two descriptions may be of one thing.

    Parameters
    ----------
    was, now : JSON-ready
    noted : bool, default True
        False if ``was`` was written when only names were noted: names are compared.

    Returns
    -------
    bool
        The code of functions cannot be compared where different versions of Python
        described them: then names and values count.
    """
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        return all(same(*pair, noted) for pair in zip(was, now))
    if was == now or not isinstance(was, str) or not isinstance(now, str):
        return was == now
    one, other = _TWO_PARTS.fullmatch(was), _TWO_PARTS.fullmatch(now)
    if other and not one and not noted:
        return was.split("(")[0] == other["name"]
    return bool(one and other and one["python"] != other["python"]
                and (one["name"], one["v"]) == (other["name"], other["v"]))


def describe_update(update):
    """The name and numbers of an update rule, but for the learning rate.

    That the schedule moves.
    """
    numbers = {name: value for name, value in vars(update).items()
               if isinstance(value, (int, float)) and name != "learning_rate"}
    inner = getattr(update, "inner", None)
    return [describe_function(type(update)), numbers,
            inner and describe_update(inner)]


def describe_constraints(update):
    """Which parameters are held to what, by their places; JSON-ready."""
    places = {param: place for place, param in enumerate(update.params)}
    return [[places.get(param), describe_function(one, update.params)]
            for param, one in update.constraints.items()]


def describe_penalty(expression):
    """The ops and constants of an expression, JSON-ready."""
    name, constants, inputs = _plainly(expression)
    return [name, [describe_function(one) if callable(one) else
                   np.asarray(one).tolist() for one in constants],
            [describe_penalty(one) for one in inputs]]


def describe_terms(expression):
    """Names, shapes and weights of the parameters that each penalty holds small."""
    found = [[param.name, *param.shape] for param in getattr(expression, "params", [])]
    weights = getattr(expression, "coefficients", None)
    return [found, None if weights is None else np.asarray(weights, float).tolist(),
            [describe_terms(one) for one in _plainly(expression)[2]]]


def _plainly(expression):
    """The op of an expression, its constants and its inputs.

    Times a number is one op, by the name that checkpoints have had from the beginning;
    so is a sum, and a difference is a sum.
    """
    if isinstance(expression, Constant):
        return "Constant", [expression.value], []
    op = getattr(expression, "op", getattr(expression, "penalty", None))
    name = type(expression).__name__ if op is None else describe_function(op)
    inputs, constants = list(expression.inputs), getattr(expression, "constants", [])
    numbers = [one.value for one in inputs
               if isinstance(one, Constant) and isinstance(one.value, (int, float))]
    rest = [one for one in inputs if not isinstance(one, Constant)]
    match name, numbers:
        case "multiply_forward", [number] if len(rest) == 1:
            return "_scale", [float(number)], rest
        case "divide_forward", [number] if rest == inputs[:1]:
            return "_scale", [1 / number], rest
        case "unary_forward", [] if list(constants) == [np.negative]:
            return "_scale", [-1.0], inputs
        case "add_forward", []:
            return "_add", [], inputs
        case "subtract_forward", []:
            return "_add", [], [inputs[0], -inputs[1]]
    return name, list(constants), inputs


def describe_data(images, labels, valid=None):
    """The data of a training: contents, types and shapes, JSON-ready.

    Parameters
    ----------
    images, labels : array
    valid : (images, labels), optional
    """
    arrays = [np.ascontiguousarray(to_host(one))
              for one in map(as_array, (images, labels, *(valid or ())))]
    return {"samples": len(images), "data": digest(*arrays[:2]),
            "validation": digest(*arrays[2:]) if valid else None,
            # The same bytes may be other numbers.
            "arrays": [[one.dtype.str, *one.shape] for one in arrays]}


def describe_trainer(trainer, class_weights, penalty):
    """What a :class:`minifer.training.Trainer` was given, JSON-ready."""
    changing = layers.get_all_params(trainer.network)
    return {
        "flip": trainer.flip is not None,
        "augment": describe_function(trainer.augment, changing),
        "prepare": describe_function(trainer.prepare, changing),
        "batch_size": trainer.batch_size, "seed": trainer.seed,
        "learning_rate": trainer.learning_rate,
        "update": describe_update(trainer.update),
        "constraints": describe_constraints(trainer.update),
        "penalty": None if penalty is None else describe_penalty(penalty),
        "penalised": None if penalty is None else describe_terms(penalty),
        "schedule": describe_function(trainer.schedule),
        "class_weights": None if class_weights is None
        else np.asarray(class_weights, float).tolist(),
        "label_smoothing": trainer.label_smoothing or None,
        "mix": describe_function(trainer.mix, changing),
        "average": trainer.average.setting,
        "network": digest(repr(architecture.to_dict(trainer.network)).encode())}
