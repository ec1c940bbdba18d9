"""What a run was made with, as plain data that a checkpoint can keep and compare.

>>> def schedule(initial, iteration, epoch, epochs):
...     return initial
>>> describe_function(schedule)
'schedule'
"""

import functools

__all__ = ["describe_function", "describe_update", "describe_penalty"]


def describe_function(function):
    """What a function is called, or what an object that can be called shows.

    Parameters
    ----------
    function : callable
        A function; a ``functools.partial``; or an object whose ``repr`` tells its
        settings, such as that of a dataclass.

    Returns
    -------
    str
        The same in every process: no address is part of it.
    """
    if isinstance(function, functools.partial):
        given = [repr(one) for one in function.args] + [
            f"{name}={value!r}" for name, value in function.keywords.items()]
        return f"{describe_function(function.func)}({', '.join(given)})"
    if type(function).__repr__ is object.__repr__:
        return type(function).__qualname__
    return getattr(function, "__qualname__", None) or repr(function)


def describe_update(update):
    """The name and numbers of an update rule, but for the learning rate.

    That the schedule moves.
    """
    numbers = {name: value for name, value in vars(update).items()
               if isinstance(value, (int, float)) and name != "learning_rate"}
    inner = getattr(update, "inner", None)
    return [type(update).__name__, numbers,
            inner and describe_update(inner)]


def describe_penalty(expression):
    """The ops and constants of an expression, JSON-ready."""
    op = getattr(expression, "op", getattr(expression, "penalty", None))
    return [getattr(op, "__qualname__", type(expression).__name__),
            list(getattr(expression, "constants", [])),
            [describe_penalty(one) for one in expression.inputs]]
