"""Lasagne's functions of the update rules, which take a loss before the parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..expressions import Expression
from ..layers.param import Param
from .norms import get_or_compute_grads
from .update import Update

__all__ = ["function_of"]


def function_of(rule: type[Update]) -> Callable[..., Update]:
    """Lasagne's function of a rule, ``adam(loss, params, ...)`` or ``adam(params)``.

    Parameters
    ----------
    rule : subclass of Update
        Its kernel's name is the function's, too; without one, the class's own.

    Returns
    -------
    function
        It takes what the class takes, and before that, if wanted, a loss expression or
        a list of gradients that are expressions.
    """
    def make(*args, **kwargs):
        loss = kwargs.pop("loss_or_grads", None)
        if loss is None and args and (
                isinstance(args[0], Expression) or "params" in kwargs
                or len(args) > 1 and isinstance(args[1], (list, tuple, Param))):
            loss, *args = args
        update = rule(*args, **kwargs)
        if isinstance(loss, (list, tuple)):
            update.gradients = get_or_compute_grads(loss, update.params)
        else:
            update.loss = loss
        return update

    make.__name__ = make.__qualname__ = rule.kernel or rule.__name__  # type: ignore[assignment]
    make.__module__, make.__doc__ = rule.__module__, rule.__doc__
    first = inspect.Parameter("loss_or_grads", inspect.Parameter.POSITIONAL_OR_KEYWORD,
                              annotation=Any)
    own = inspect.signature(rule)
    make.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[first, *own.parameters.values()])
    return make
