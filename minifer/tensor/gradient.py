"""Gradients of expressions, written by hand step by step and put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import SettingError
from ..expressions import Apply, Expression, GradientsOf, Part, as_expression

__all__ = ["grad", "jacobian", "disconnected_grad"]


def grad(cost: Any, wrt: Any, consider_constant: Sequence[Expression] | None = None,
         disconnected_inputs: str = "raise") -> Any:
    """The gradient of a scalar expression.

    Parameters
    ----------
    cost : Expression
        A scalar.
    wrt : Expression or list of Expression
        Parameters, variables such as a network's input, or any expressions of which
        the cost is made.
    consider_constant : list of Expression, optional
        Refused: use :func:`disconnected_grad` where they are used.
    disconnected_inputs : {'raise', 'ignore', 'warn'}
        'ignore' and 'warn' give zeros for what the cost does not depend on.

    Returns
    -------
    Expression, or a list of them

    Examples
    --------
    >>> import numpy as np
    >>> from minifer import tensor
    >>> x = tensor.vector("x")
    >>> grad((x ** 3).sum(), x).eval({x: np.array([1.0, 2.0])})
    array([ 3., 12.])
    """
    if consider_constant:
        raise SettingError("grad: expected no consider_constant, got some. Use "
                           "minifer.tensor.disconnected_grad where they stand.")
    several = isinstance(wrt, (list, tuple))
    wanted = list(wrt) if several else [wrt]
    for one in wanted:
        if not isinstance(one, Expression):
            raise SettingError("grad: expected expressions or parameters, got "
                               f"{one!r}.")
    found = GradientsOf(as_expression(cost), wanted, disconnected_inputs != "raise")
    parts = [Part(found, i, one.ndim) for i, one in enumerate(wanted)]
    return parts if several else parts[0]


def jacobian(expression: Any, wrt: Any,
             *args: Any,
             **kwargs: Any) -> Any:
    """Refused: it would take a loop over the elements of an expression.

    Raises
    ------
    SettingError
    """
    raise SettingError("jacobian: expected a scalar for grad, got a whole expression. "
                       "Take grad(expression[i], wrt) for each i of a number known.")


def disconnected_grad(x: Any) -> Expression:
    """The expression, through which no gradient passes."""
    x = as_expression(x)
    return Apply(_as_it_is, None, x, ndim=x.ndim)


def _as_it_is(x):
    return x, ()
