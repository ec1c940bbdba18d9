"""Expressions computed, and walked back."""

from __future__ import annotations

import functools

import numpy as np

from ..device.arrays import as_array
from ..errors import SettingError
from ..ops import elementwise, reduction
from ..ops.backpropagation import BackwardStep, walk_back
from ..ops.outer_product import OuterProduct, OuterProductOnDevice, add_gradients
from .base import Apply, Expression, Variable, all_below

__all__ = ["evaluate", "gradients", "pull_back", "GradientsOf", "Part", "leads_to",
           "mean_of"]

#: The cache of what was given, and is not walked back.
_GIVEN = ("given",)


def evaluate(outputs, values, standins={}):
    """Compute expressions.

    Parameters
    ----------
    outputs : list of Expression
    values : dict of Expression -> array
        Those of all variables, and of expressions that are known already.
    standins : dict of Expression -> object, optional
        Their ``forward`` and ``backward`` are called in place of the expression's
        own: a compiled network's.

    Returns
    -------
    dict of Expression -> (value, cache)
        Every expression that was needed, in an order in which each stands
        after its inputs.
    """
    done: dict = {}
    stack = list(outputs)[::-1]
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
        elif node in values:
            done[node] = values[node], _GIVEN
        elif isinstance(node, Variable):
            raise SettingError(
                f"function: expected a value for the variable {node.name!r}. "
                "List it among the function's inputs.")
        else:
            missing = [i for i in node.inputs if i not in done]
            if missing:
                stack.extend(reversed(missing))
            elif isinstance(node, GradientsOf):
                done[node] = node.values(done, standins), ()
            else:
                standin = standins.get(node, node)
                done[node] = standin.forward(*(done[i][0] for i in node.inputs))
    return done


def gradients(loss, done, standins={}, scale=1, keep=None, wrt=None):
    """Gradients of a scalar expression with respect to all parameters.

    Parameters
    ----------
    loss : Expression
    done : dict
        What :func:`evaluate` returned.
    standins : dict of Expression -> object, optional
        The same as were given there.
    scale : number, default 1
        Gradients are multiplied by it.
    keep : function, optional
        See :func:`minifer.ops.backpropagation.walk_back`.
    wrt : list of Expression, optional
        Only with respect to these: parameters, or any expressions.

    Returns
    -------
    dict of Param or Expression -> array
    """
    value = as_array(done[loss][0])
    if value.size != 1:
        raise SettingError(
            f"updates: expected a scalar loss, got shape {value.shape}. "
            "Take its .mean().")
    if value.dtype.kind != "f":
        value = value.astype(np.float64)
    return pull_back({loss: np.full_like(value, scale)}, done, standins, keep, wrt)


def pull_back(arrived, done, standins={}, keep=None, wrt=None):
    """Gradients, from those of any expressions on.

    Parameters
    ----------
    arrived : dict of Expression -> array
        The gradients of what the way back begins with.
    done, standins, keep, wrt
        As for :func:`gradients`.

    Returns
    -------
    dict of Param or Expression -> array
    """
    leads = leads_to(done, wrt)
    others = {one: [] for one in wrt or () if not one.params}

    def backward(node, cache, dvalue):
        if node in others:
            others[node].append(dvalue)
        if not any(i in leads for i in node.inputs) and not node.params:
            return (), {}
        one = standins.get(node, node)
        if not node.can_skip_dx:
            return one.backward(dvalue, cache)
        return one.backward(dvalue, cache,
                            need_dx=any(i in leads for i in node.inputs))

    steps = [BackwardStep(node, node.inputs, functools.partial(backward, node, cache))
             for node, (_, cache) in done.items() if node in leads]
    found = walk_back(steps, dict(arrived), keep)
    for node, came in others.items():
        if came:
            found[node] = functools.reduce(add_gradients, came)
    return found


def leads_to(nodes, wrt=None):
    """Expressions whose gradient is needed for that of others.

    Parameters
    ----------
    nodes : iterable of Expression
        Each after its inputs. A dict as :func:`evaluate` returns it leaves out what was
        given and is not walked back, unless it is asked for.
    wrt : list of Expression, optional
        What they are needed for. Default: all parameters.

    Returns
    -------
    set of Expression
    """
    wanted, leads = None if wrt is None else set(wrt), set()
    for node in nodes:
        given = isinstance(nodes, dict) and nodes[node][1] is _GIVEN
        own = (bool(node.params) if wanted is None else
               node in wanted or any(p in wanted for p in node.params))
        if own and not (given and wanted is None) or not given and any(
                i in leads for i in node.inputs):
            leads.add(node)
    return leads


class GradientsOf(Expression):
    """Gradients of a scalar expression; its value is the list of them.

    Parameters
    ----------
    loss : Expression
    wrt : list of Expression
    ignore : bool
        Whether what the loss does not depend on has a gradient of zeros.
    """

    def __init__(self, loss, wrt, ignore=False):
        self.loss, self.wrt, self.ignore = loss, list(wrt), ignore
        self.inputs = (loss, *self.wrt) if ignore else (loss,)

    def values(self, done, standins):
        """The gradients, as arrays that stay valid."""
        below = set(all_below([self.loss]))
        mine = {node: value for node, value in done.items() if node in below}
        found = gradients(self.loss, mine, standins, wrt=self.wrt)
        return [self._value(one, found, done) for one in self.wrt]

    def _value(self, one, found, done):
        if one not in found:
            if self.ignore:
                return np.zeros_like(done[one][0])
            raise SettingError(
                f"grad: the loss does not depend on {one.name or one!r}. Leave it out, "
                "or pass disconnected_inputs='ignore' for zeros.")
        return written_out(found[one])

    def backward(self, dvalue, cache):
        raise SettingError(
            "grad: expected a loss without gradients in it, got one whose own gradient "
            "is wanted. Gradients are written by hand here, once: write the second "
            "as an expression of its own.")


class Part(Expression):
    """One of the values of an expression whose value is a list."""

    def __init__(self, of, index, ndim=None):
        self.inputs, self.index, self.ndim = (of,), index, ndim

    def forward(self, values):
        return values[self.index], ()

    def backward(self, dvalue, cache):
        return ({self.index: dvalue},), {}


def written_out(gradient):
    """A copy of a gradient, as an array where it is kept as factors."""
    if isinstance(gradient, OuterProductOnDevice):
        place = np.empty_like(gradient.dz, shape=gradient.shape)
        gradient.write(place)
        return place
    if isinstance(gradient, OuterProduct):
        return gradient.rows(0, gradient.shape[0])
    return as_array(gradient).copy()


def mean_of(expression):
    """What an expression is the mean of, or a sum with the mean of.

    Returns
    -------
    list of Expression
        All whose gradient is 1 over the number of their elements.
    """
    if not isinstance(expression, Apply):
        return []
    if expression.op is reduction.mean_forward and not any(expression.constants):
        return list(expression.inputs)
    if expression.op is elementwise.add_forward:
        return [found for one in expression.inputs if one.ndim in (0, None)
                for found in mean_of(one)]
    return []
