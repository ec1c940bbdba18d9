"""What an expression is: a variable, a constant, or an op applied to others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..device.arrays import device_of, on_gpu, to_device
from ..errors import SettingError

__all__ = ["Expression", "Variable", "Constant", "Apply", "as_expression", "all_below"]


class Expression:
    """Something that can be computed once its variables are known.

    A subclass has ``inputs``, a tuple of expressions, and the pair
    ``forward(*values) -> (value, cache)`` and ``backward(dvalue, cache) ->
    (gradients of the inputs, {Param: gradient})``.

    Attributes
    ----------
    name : str or None
    ndim : int or None
        Number of axes; None where that is not known before the data are.
    dtype : str or dtype
        The type of the value; 'floatX' where that is floats of any precision.
    """

    inputs: tuple[Any, ...] = ()
    name: str | None = None
    ndim: Any = None
    dtype: Any = "floatX"
    #: Parameters of which :meth:`backward` finds gradients besides those of inputs.
    params: Any = ()
    #: Whether its value is another at each evaluation, though its inputs are the same.
    draws = False
    #: Whether ``backward`` has ``need_dx``, which spares gradients of its inputs.
    can_skip_dx = False
    #: So that an array leaves ``array * expression`` to the expression.
    __array_ufunc__ = None

    def __iter__(self):
        raise TypeError("an expression cannot be looped over: its length is not known "
                        "before its data are. Take parts by index.")

    def eval(self, inputs_to_values: dict[Variable, Any] | None = None) -> Any:
        """Compute it now.

        Parameters
        ----------
        inputs_to_values : dict of Variable -> array, optional
        """
        from .evaluation import evaluate

        value = evaluate([self], inputs_to_values or {})[self][0]
        return value.copy() if isinstance(value, np.ndarray) else value

    def __float__(self) -> float:
        return float(self.eval())

    # --- arithmetic ---

    def __add__(self, other: Any) -> Expression:
        return functions.elementwise_op("add", self, other)

    def __radd__(self, other: Any) -> Expression:
        return functions.elementwise_op("add", other, self)

    def __sub__(self, other: Any) -> Expression:
        return functions.elementwise_op("subtract", self, other)

    def __rsub__(self, other: Any) -> Expression:
        return functions.elementwise_op("subtract", other, self)

    def __mul__(self, other: Any) -> Expression:
        return functions.elementwise_op("multiply", self, other)

    def __rmul__(self, other: Any) -> Expression:
        return functions.elementwise_op("multiply", other, self)

    def __truediv__(self, other: Any) -> Expression:
        return functions.elementwise_op("divide", self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return functions.elementwise_op("divide", other, self)

    def __pow__(self, other: Any) -> Expression:
        return functions.elementwise_op("power", self, other)

    def __rpow__(self, other: Any) -> Expression:
        return functions.elementwise_op("power", other, self)

    def __floordiv__(self, other: Any) -> Expression:
        return functions.plain(np.floor_divide, self, other)

    def __rfloordiv__(self, other: Any) -> Expression:
        return functions.plain(np.floor_divide, other, self)

    def __mod__(self, other: Any) -> Expression:
        return functions.modulo(np.mod, self, other)

    def __rmod__(self, other: Any) -> Expression:
        return functions.modulo(np.mod, other, self)

    def __lt__(self, other: Any) -> Expression:
        return functions.compare(np.less, self, other)

    def __le__(self, other: Any) -> Expression:
        return functions.compare(np.less_equal, self, other)

    def __gt__(self, other: Any) -> Expression:
        return functions.compare(np.greater, self, other)

    def __ge__(self, other: Any) -> Expression:
        return functions.compare(np.greater_equal, self, other)

    def __and__(self, other: Any) -> Expression:
        return functions.logic(np.bitwise_and, self, other)

    def __or__(self, other: Any) -> Expression:
        return functions.logic(np.bitwise_or, self, other)

    def __xor__(self, other: Any) -> Expression:
        return functions.logic(np.bitwise_xor, self, other)

    def __invert__(self) -> Expression:
        return functions.logic(np.invert, self)

    def __neg__(self) -> Expression:
        return functions.unary(np.negative, self)

    def __abs__(self) -> Expression:
        return functions.unary(np.abs, self)

    def __getitem__(self, key: Any) -> Expression:
        return functions.part_of(self, key)

    def mean(self, axis: Any = None, dtype: Any = None,
             keepdims: bool = False) -> Expression:
        """The mean over axes, or all elements; ``dtype`` casts first."""
        return functions.mean(self, axis, dtype, keepdims)

    def sum(self, axis: Any = None, dtype: Any = None,
            keepdims: bool = False) -> Expression:
        """The sum over axes, or all elements; ``dtype`` casts first."""
        return functions.sum_of(self, axis, dtype, keepdims)

    def prod(self, axis: Any = None, dtype: Any = None,
             keepdims: bool = False) -> Expression:
        """The product over axes, or all elements; ``dtype`` casts first."""
        return functions.product(self, axis, dtype, keepdims)

    def var(self, axis: Any = None, ddof: int = 0,
            keepdims: bool = False) -> Expression:
        """The variance over axes."""
        return functions.variance(self, axis, ddof, keepdims)

    def std(self, axis: Any = None, ddof: int = 0,
            keepdims: bool = False) -> Expression:
        """The root of the variance over axes."""
        return functions.unary(np.sqrt, self.var(axis, ddof, keepdims))

    def max(self, axis: Any = None, keepdims: bool = False) -> Expression:
        """The largest element; the gradient goes to the first of several."""
        return functions.reduce_with("max", self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Expression:
        """The smallest element; the gradient goes to the first of several."""
        return functions.reduce_with("min", self, axis, keepdims, backward="max")

    def argmax(self, axis: Any = None, keepdims: bool = False) -> Expression:
        """The place of the largest element, the first of several."""
        return functions.argument(np.argmax, self, axis, keepdims)

    def argmin(self, axis: Any = None, keepdims: bool = False) -> Expression:
        """The place of the smallest element, the first of several."""
        return functions.argument(np.argmin, self, axis, keepdims)

    def norm(self, L: Any = 2, axis: Any = None, keepdims: bool = False) -> Expression:
        """The L-norm over axes."""
        return functions.norm(self, L, axis, keepdims)

    def clip(self, a_min: Any, a_max: Any) -> Expression:
        """The values within ``[a_min, a_max]``."""
        return functions.clip(self, a_min, a_max)

    def astype(self, dtype: Any) -> Expression:
        """The values in another dtype."""
        return functions.cast(self, dtype)

    def dot(self, right: Any) -> Expression:
        """The product of matrices."""
        return functions.dot(self, right)

    def reshape(self, shape: Any, ndim: int | None = None) -> Expression:
        """The elements in another shape, whose lengths may be expressions."""
        return functions.reshape(self, shape, ndim)

    def flatten(self, ndim: int = 1) -> Expression:
        """The first ``ndim - 1`` axes as they are, and one for all others."""
        return functions.flatten(self, ndim)

    def dimshuffle(self, *pattern: Any) -> Expression:
        """The axes in another order, with ``'x'`` for new ones of length 1."""
        return functions.dimshuffle(self, *pattern)

    def transpose(self, *axes: Any) -> Expression:
        """The axes in another order; by default in the reverse one."""
        return functions.transpose(self, *axes)

    @property
    def T(self) -> Expression:
        """The axes in the reverse order."""
        return functions.transpose(self)

    @property
    def shape(self) -> Any:
        """The shape, an expression of whole numbers."""
        return functions.shape_of(self)


class Variable(Expression):
    """A place for data, filled when the function is called.

    Parameters
    ----------
    name : str or None
    ndim : int
        Number of axes.
    dtype : str, optional
        The type that its data have. 'floatX' is any floating-point type; None takes
        data as they are.
    """

    def __init__(self, name: str | None = None, ndim: int | None = None,
                 dtype: str | None = None):
        self.name, self.ndim, self.dtype = name, ndim, dtype

    def __repr__(self):
        return f"Variable({self.name!r}, ndim={self.ndim})"


class Constant(Expression):
    """A fixed value."""

    def __init__(self, value: Any):
        if isinstance(value, np.generic) or isinstance(value, np.ndarray) and (
                value.ndim == 0):
            value = value.item()  # a plain number takes the type of what it meets
        elif isinstance(value, (list, tuple)):
            value = np.asarray(value)
        self.value, self.ndim = value, np.ndim(value) if not on_gpu(value) else (
            value.ndim)

    def forward(self):
        return self.value, ()

    def backward(self, dvalue, cache):
        return (), {}

    def __repr__(self):
        return f"Constant({self.value!r})"


class Apply(Expression):
    """An op, a pair of functions, applied to expressions.

    Parameters
    ----------
    op, op_backward : functions
        ``op(*values, *constants) -> (value, cache)``; ``op_backward(dvalue,
        cache)`` returns the gradient of the first value, or a tuple of one
        for each. None: the op has no gradient (an argmax, say).
    *inputs : Expression
    constants : tuple
    ndim : int, optional
        Number of axes of the result, where it is known.
    """

    def __init__(self, op, op_backward, *inputs, constants=(), ndim=None):
        self.op, self.op_backward = op, op_backward
        self.inputs, self.constants, self.ndim = inputs, constants, ndim
        self.moved = {}  # (device, place) -> constant, each moved there once

    def forward(self, *values):
        device = next((device_of(v) for v in values if on_gpu(v)), "cpu")
        if device == "cpu":
            return self.op(*values, *self.constants)
        values = [self._there(v, device, i if isinstance(one, Constant) else None)
                  for i, (v, one) in enumerate(zip(values, self.inputs))]
        constants = [self._there(c, device, -1 - i)
                     for i, c in enumerate(self.constants)]
        return self.op(*values, *constants)

    def _there(self, value, device, place):
        """An array brought to a device; all else as it is."""
        if not isinstance(value, np.ndarray):
            return value
        if value.ndim == 0:
            return value[()]
        if place is None:
            return to_device(value, device)
        if (device, place) not in self.moved:
            self.moved[device, place] = to_device(value, device)
        return self.moved[device, place]

    def backward(self, dvalue, cache):
        if self.op_backward is None:
            return (), {}
        gradients_ = self.op_backward(dvalue, cache)
        return gradients_ if isinstance(gradients_, tuple) else (gradients_,), {}

    def __repr__(self):
        name = self.op.__name__.removesuffix("_forward")
        return f"{name}({', '.join(map(repr, self.inputs))})"


def as_expression(value: Any) -> Expression:
    """``value`` itself if it is an expression, else a constant.

    A list with expressions in it becomes the stack of them.

    Raises
    ------
    SettingError
        If it is no number or array of numbers.
    """
    if isinstance(value, Expression):
        return value
    if isinstance(value, (list, tuple)) and any(
            isinstance(one, Expression) for one in value):
        return functions.stack(value)
    found = Constant(value)
    kind = getattr(getattr(found.value, "dtype", None), "kind", None)
    if kind not in (None, "b", "i", "u", "f") or kind is None and not isinstance(
            found.value, (bool, int, float)):
        raise SettingError("expressions: expected an expression, a number or an array "
                           f"of numbers, got {value!r}.")
    return found


def all_below(expressions: Iterable[Expression]) -> list[Expression]:
    """Expressions and all that they are made of, each once and after its inputs."""
    found: dict[Expression, bool] = {}
    stack = list(expressions)[::-1]
    while stack:
        missing = [i for i in stack[-1].inputs if i not in found]
        if missing:
            stack.extend(reversed(missing))
        else:
            found[stack.pop()] = True
    return list(found)


from . import functions  # noqa: E402  (last: they are made of what stands above)
