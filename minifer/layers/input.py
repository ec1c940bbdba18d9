"""The input of a network."""

from __future__ import annotations

from typing import Any

from .. import config
from .._types import Shape
from ..device.arrays import as_array
from ..expressions import Expression, Variable, as_expression, evaluate
from .base import Layer

__all__ = ["InputLayer", "ValueLayer", "takes_data", "values_of_expressions"]


class InputLayer(Layer):
    """Where data come in.

    Parameters
    ----------
    shape : tuple
        Shape of a batch, None where it may vary: ``(None, 1, 96, 96)``.
    input_var : minifer.expressions.Expression, optional
        The variable that :func:`minifer.function` binds to this input, or an expression
        of others. By default a variable is made, with the layer's name.
    name : str, optional

    Raises
    ------
    ShapeError
        If ``input_var`` has another number of axes.

    Examples
    --------
    >>> InputLayer((None, 3), name="pixels").input_var
    Variable('pixels.input', ndim=2)
    """

    def __init__(self, shape: Shape, input_var: Expression | None = None,
                 name: str | None = None):
        super().__init__(shape, name)
        self.shape = self.input_shape
        if input_var is None:
            input_var = Variable(f"{name}.input" if name else "input",
                                 len(self.shape), "floatX")
        self.input_var: Any = as_expression(input_var)
        if self.input_var.ndim not in (None, len(self.shape)):
            self.fail(f"an input_var of {len(self.shape)} axes, for a shape of "
                      f"{self.shape}", f"one of {self.input_var.ndim}")

    @property
    def output_shape(self):
        return self.shape

    def forward(self, x):
        """Check the shape; whole numbers (pixels) become ``config.floatX``."""
        x = as_array(x)
        fits = x.ndim == len(self.shape) and all(
            want in (None, have) for want, have in zip(self.shape, x.shape))
        if not fits:
            self.fail(f"an array of shape {self.shape}", str(x.shape),
                      "None stands for any length.")
        if x.dtype.kind != "f":
            x = x.astype(config.floatX)
        return x, ()

    def backward(self, dy, cache):
        return dy, {}


class ValueLayer(InputLayer):
    """What an expression gives, in the place of data: a length, or a first state.

    Layers that are given an expression as an option read it below themselves. It is no
    input of the network: its data are computed from those of the others.

    Parameters
    ----------
    shape : tuple
    expression : Expression
    """

    def forward(self, x):
        return x, ()

    def backward(self, dy, cache):
        return dy, {}


def takes_data(layer):
    """Whether a layer is where data come in."""
    return isinstance(layer, InputLayer) and not isinstance(layer, ValueLayer)


def values_of_expressions(order, given):
    """The values of all :class:`ValueLayer` in a network, by the data of its inputs."""
    wanted = [one for one in order if isinstance(one, ValueLayer) and one not in given]
    if not wanted:
        return {}
    done = evaluate([one.input_var for one in wanted], {
        one.input_var: x for one, x in given.items() if isinstance(one, InputLayer)})
    return {one: as_array(done[one.input_var][0]) for one in wanted}
