"""Parameters that are made of others: weights that are tied, ``W=encoder.W.T``."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._types import Array
from ..device.arrays import contiguous, device_of, to_host
from ..errors import SettingError
from .base import Expression, Variable, all_below
from .evaluation import evaluate, pull_back, written_out
from .shared import Param

__all__ = ["DerivedParam"]


class DerivedParam(Param):
    """A parameter that is an expression of others, and has no value of its own.

    Training changes the others: their gradients come through the expression.

    Parameters
    ----------
    expression : Expression
        Made of parameters and numbers; one of variables is refused.
    name : str, optional

    Attributes
    ----------
    roots : list of Param
        The parameters that it is made of.

    Raises
    ------
    SettingError
        If the expression has variables, which have no value before a call.

    Examples
    --------
    >>> W = Param(np.array([[1., 2., 3.]]), "W")
    >>> tied = DerivedParam(2 * W.T)
    >>> tied.value.tolist(), tied.pull_back(np.ones((3, 1)))[W].tolist()
    ([[2.0], [4.0], [6.0]], [[2.0, 2.0, 2.0]])
    """

    def __init__(self, expression: Expression, name: str | None = None):
        below = all_below([expression])
        variable = next((one for one in below if isinstance(one, Variable)), None)
        if variable is not None:
            raise SettingError(
                f"parameter '{name}': expected an expression of parameters and "
                f"numbers, got one of the variable {variable.name!r}. Make a layer of "
                "what depends on data.")
        self.inputs, self.name = (expression,), name
        self.roots = [one for one in below if type(one) is not DerivedParam
                      and isinstance(one, Param)]
        self._shape, self._dtype = self.value.shape, self.value.dtype

    @property  # type: ignore[misc]
    def value(self) -> Any:
        """What the expression gives now."""
        return contiguous(evaluate(self.inputs, {})[self.inputs[0]][0])

    def peek(self) -> Any:
        return self.value

    def mark(self) -> object | None:
        return None

    def forward(self, value):  # type: ignore[override]
        return value, ()

    def backward(self, dvalue, cache):
        return (dvalue,), {}

    def pull_back(self, gradient: Any) -> dict[Param, Any]:
        """Gradients of the roots, from that of the value."""
        return pull_back({self.inputs[0]: written_out(gradient)},
                         evaluate(self.inputs, {}))

    @property
    def params(self):
        return ()

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def ndim(self) -> int:  # type: ignore[override]
        return len(self._shape)

    @property
    def dtype(self) -> np.dtype:
        return self._dtype

    @property
    def size(self) -> int:
        return int(np.prod(self._shape))

    @property
    def device(self) -> str:
        return device_of(self.roots[0].value) if self.roots else "cpu"

    def to_device(self, device: str) -> None:
        for root in self.roots:
            root.to_device(device)

    def get_value(self, borrow: bool = False,
                  return_internal_type: bool = False) -> Any:
        value = self.value
        return value if return_internal_type else to_host(value)

    def set_value(self, new_value: Array, borrow: bool = False) -> None:
        raise SettingError(
            f"parameter '{self.name}': expected a value for what it is made of, got "
            f"one for the expression {self.inputs[0]!r}. Set "
            f"{', '.join(repr(root.name) for root in self.roots)}.")
