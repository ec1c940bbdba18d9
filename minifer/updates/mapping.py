"""Updates as the dict of parameter -> new value that they were in Lasagne.

>>> import numpy as np
>>> from minifer.layers.param import Param
>>> from minifer.updates import sgd
>>> w = Param(np.array([1.0, -2.0]), "w")
>>> updates = sgd((w * w).sum(), [w], learning_rate=0.1)
>>> list(updates), updates[w]
([Param('w', shape=(2,), float64)], Stepped('w'))
>>> updates[w] = updates[w].clip(0, 1)
>>> import minifer
>>> step = minifer.function([], [], updates)
>>> step(), w.value
([], array([0.8, 0. ]))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import SettingError
from ..expressions import Expression, Param, all_below, as_expression

__all__ = ["Stepped", "AsDict", "collect", "pairs_of"]


class Stepped(Expression):
    """A parameter's value after the step of an update rule.

    Parameters
    ----------
    rule : minifer.updates.Update
    param : Param
    """

    def __init__(self, rule: Any, param: Param):
        self.rule, self.param = rule, param
        self.name, self.ndim = param.name, param.ndim

    def forward(self):
        raise SettingError(
            f"updates: expected to be given to minifer.function, which takes the step; "
            f"the value of '{self.name}' after it is not known before.")

    def __repr__(self):
        return f"Stepped({self.name!r})"


class AsDict:
    """What an update rule and a dict have in common.

    Attributes
    ----------
    assigned : dict of Param -> Expression
        New values that were put in the place of the rule's, or beside them.
    """

    params: list[Param]
    assigned: dict[Param, Expression]
    _stepped: dict[Param, Stepped]

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[Param]:
        return iter(self.keys())

    def __contains__(self, param: object) -> bool:
        return param in self.keys()

    def keys(self) -> list[Param]:
        """The parameters that are updated."""
        return list(dict.fromkeys([*self.params, *self.assigned]))

    def __getitem__(self, param: Param) -> Expression:
        """The parameter's new value, an expression."""
        if param in self.assigned:
            return self.assigned[param]
        if param not in self.params:
            raise KeyError(param)
        return self._stepped.setdefault(param, Stepped(self, param))

    def __setitem__(self, param: Param, value: Any) -> None:
        """Give a parameter another new value, an expression or an array."""
        if param in self.params and value is self._stepped.get(param):
            self.assigned.pop(param, None)
        else:
            self.assigned[param] = as_expression(value)

    def copy(self) -> dict[Param, Expression]:
        """The parameters with their new values, as a dict of its own."""
        return dict(self.items())

    def get(self, param: Param, default: Any = None) -> Any:
        """The parameter's new value, or a default where it has none."""
        return self[param] if param in self else default

    def values(self) -> list[Expression]:
        """The new values."""
        return [self[param] for param in self]

    def items(self) -> list[tuple[Param, Expression]]:
        """The parameters with their new values."""
        return [(param, self[param]) for param in self]

    def update(self, other: Any) -> None:
        """Take over the new values of other updates, a dict or a list of pairs."""
        for param, value in pairs_of(other):
            self[param] = value


def pairs_of(updates: Any) -> list[tuple[Param, Any]]:
    """Updates of any kind, or a list of them, as a list of (parameter, new value).

    Raises
    ------
    SettingError
        If they are no updates.
    """
    if isinstance(updates, (Mapping, AsDict)):
        updates = updates.items()
    pairs: list[Any] = []
    try:
        for one in updates:
            if isinstance(one, (Mapping, AsDict)):  # each of two is not a pair
                pairs += one.items()
            else:
                param, value = one
                pairs.append((param, value))
    except (TypeError, ValueError):
        pairs = [(None, None)]
    for param, _ in pairs:
        if not isinstance(param, Param):
            raise SettingError(
                "updates: expected updates such as updates.sgd(loss, params, 0.1), a "
                "dict of parameter or shared -> new value, or a list of these or of "
                f"such pairs, got {updates!r}.")
    return pairs


def collect(updates: Any) -> tuple[list[Any], dict[Param, Expression]]:
    """The rules that updates are made of, and what else is assigned.

    Returns
    -------
    rules : list of Update
        In the order in which they appear.
    assigned : dict of Param -> Expression
        The new value of each parameter that is not simply a rule's.
    """
    pairs = {param: as_expression(value) for param, value in pairs_of(updates)}
    first = [updates] if isinstance(updates, AsDict) and updates.params else []
    rules = list(dict.fromkeys(first + [
        node.rule for node in all_below(pairs.values()) if isinstance(node, Stepped)]))
    movers = Counter(param for rule in rules for param in rule.params)
    assigned = {param: value for param, value in pairs.items() if not (
        isinstance(value, Stepped) and value.param is param and movers[param] == 1)}
    for rule in rules:  # what a rule moves, but was left out of the dict, stays
        assigned.update({p: p for p in rule.params if p not in pairs})
    return rules, assigned
