"""What every layer is.

A layer knows its incoming layer(s), its options and its parameters. Its
mathematics is two methods: ``forward`` computes the output and a cache, and
``backward`` turns the gradient of the loss with respect to the output into the
gradients with respect to the input and the parameters. Nothing is stored on
the layer in between, so one layer can stand at several places in a network.

A layer of your own is a subclass like this:

>>> import numpy as np
>>> from minifer.layers import Layer
>>> class DoubleLayer(Layer):
...     def forward(self, x):
...         return 2 * x, ()
...     def backward(self, dy, cache):
...         return 2 * dy, {}
>>> DoubleLayer((None, 3)).get_output_for(np.ones((1, 3)))
array([[2., 2., 2.]])
"""

from __future__ import annotations

import difflib
import inspect
import numbers
from collections.abc import Sequence
from typing import Any, NoReturn, Union

from .._types import Shape
from ..errors import ShapeError
from ..expressions import DerivedParam, Expression
from .pairs import ExpressionPair, NoExpression
from .param import Param, Spec, create_param

__all__ = ["Layer", "MergeLayer"]

HOOKS = ("forward", "backward", "get_output_shape_for", "get_output_for")


def _options(function):
    """Names of a method's parameters after self and its first argument."""
    return frozenset(name for name, one in
                     list(inspect.signature(function).parameters.items())[2:]
                     if one.kind is not one.VAR_KEYWORD)


def _takes_any(method):
    kinds = [one.kind for one in inspect.signature(method).parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds


class Layer:
    """A layer with one input.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer below, or the shape of its output (batch size None).
    name : str, optional
        Shown in errors and tables; parameters are called ``name.W``.
    """

    #: The class in which forward and backward were written by hand.
    written: type[Layer]
    forward_options: frozenset[str] = frozenset()
    can_skip_dx = False

    def __init__(self, incoming: Layer | Shape, name: str | None = None):
        self.name = name
        self.params: dict[Param, set[str]] = {}
        if isinstance(incoming, Layer):
            self.input_layer: Layer | None = incoming
            self.input_shape = incoming.output_shape
        else:
            self.input_layer = None
            self.input_shape = self.check_shape(incoming)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        own = cls.__dict__
        for name in own:  # Chainer once shipped check_type_forwrad: it never ran
            close = difflib.get_close_matches(name, HOOKS, 1, cutoff=0.85)
            if close and name not in HOOKS:
                raise TypeError(
                    f"{cls.__name__}.{name}: perhaps you meant '{close[0]}'?")
        if ("forward" in own) != ("backward" in own):
            raise TypeError(
                f"{cls.__name__}: expected forward and backward together, got "
                f"only one of them. A layer without a gradient cannot learn.")
        if cls.forward is not by_expressions:  # else those of the class above
            cls.forward_options = _options(cls.forward)
        if "get_output_for" in own and "forward" not in own:
            # As in Lasagne: it says what it computes, in expressions, which know their
            # gradients. What is behind its nonlinearity cannot be put off.
            cls.forward, cls.backward = by_expressions, _backward
            cls.forward_options = _options(cls.get_output_for) - {"logits"}
            if _takes_any(cls.get_output_for):
                cls.forward_options |= super(cls, cls).forward_options - {"logits"}
        cls.written = next(one for one in cls.__mro__ if one.__dict__.get(
            "forward", by_expressions) is not by_expressions)
        cls.can_skip_dx = "need_dx" in _options(cls.backward)

    @property
    def output_shape(self) -> tuple[Any, ...]:
        """Shape of the output, None for axes that are not known yet."""
        return self.get_output_shape_for(self.input_shape)

    @property
    def incomings(self) -> list[Layer]:
        """The layers below, as a list (empty below an input)."""
        return [] if self.input_layer is None else [self.input_layer]

    def add_param(self, spec: Spec, shape: Sequence[int], name: str,
                  trainable: bool = True, regularizable: bool = True,
                  **tags: bool) -> Param:
        """Create a parameter and register it with its tags.

        Parameters
        ----------
        spec : Param, array or callable
            See :func:`minifer.layers.param.create_param`.
        shape : tuple of int
        name : str
            Such as ``"W"``; the layer's name is put before it.
        trainable, regularizable, **tags : bool
            Tags that :meth:`get_params` selects by.

        Returns
        -------
        Param
        """
        full_name = f"{self.name}.{name}" if self.name else name
        param = create_param(spec, shape, full_name)
        tags.update(trainable=trainable, regularizable=regularizable)
        self.params[param] = {tag for tag, on in tags.items() if on}
        return param

    def get_params(self, unwrap_shared: bool = True, **tags: bool) -> list[Param]:
        """This layer's parameters that have the True tags and not the False ones.

        In the place of one that is an expression stand those that it is made of, unless
        ``unwrap_shared`` is False.
        """
        wanted = {tag for tag, on in tags.items() if on}
        unwanted = {tag for tag, on in tags.items() if not on}
        found = [param for param, has in self.params.items()
                 if wanted <= has and not (unwanted & has)]
        return [one for param in found for one in (
            param.roots if unwrap_shared and isinstance(param, DerivedParam)
            else [param])]

    def get_output_shape_for(self, input_shape):
        """The output's shape for an input of ``input_shape`` (default: the same)."""
        return input_shape

    def forward(self, x, **kwargs):
        """Compute the output.

        Parameters
        ----------
        x : array of ``input_shape``
            A list of arrays in a :class:`MergeLayer`.
        **kwargs
            The options this layer names in its signature, such as
            ``deterministic``.

        Returns
        -------
        y : array of ``output_shape``, dtype of x
        cache : tuple
            What :meth:`backward` needs.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward.")

    def backward(self, dy, cache):
        """Compute the gradients.

        Parameters
        ----------
        dy : array of ``output_shape``
        cache : tuple

        Returns
        -------
        dx : array of ``input_shape``
            A list of them in a :class:`MergeLayer`.
        gradients : dict of Param -> array
        """
        raise NotImplementedError(f"{type(self).__name__} has no backward.")

    def get_output_for(self, x: Any, **kwargs: Any) -> Any:
        """The output alone, as in Lasagne; of an expression, an expression."""
        several = isinstance(x, (list, tuple))
        if any(isinstance(one, Expression) for one in (x if several else [x])):
            return OfLayer(self, x if several else [x], several, kwargs)
        return self.written.forward(self, x, **kwargs)[0]

    def option(self, name: str) -> Any:
        """What the constructor was given under a name, as a model file keeps it."""
        return getattr(self, name)

    def check_shape(self, shape: Any) -> tuple[int | None, ...]:
        """``shape`` as a tuple of positive ints and None, or a ShapeError."""
        if not isinstance(shape, (tuple, list)) or any(
                n is not None and not (isinstance(n, numbers.Integral)
                                       and n > 0)  # type: ignore[operator]
                for n in shape):
            self.fail("an incoming layer or a shape of whole numbers > 0 (None "
                      "where unknown)", repr(shape))
        return tuple(shape)

    def fail(self, expected: str, got: str, remedy: str = "") -> NoReturn:
        """Raise a ShapeError that follows the one template of all layers."""
        name = f" '{self.name}'" if self.name else ""
        raise ShapeError(
            f"{type(self).__name__}{name}: expected {expected}, got {got}. "
            f"{remedy}".rstrip())

    def __repr__(self):
        name = f" '{self.name}'" if self.name else ""
        return f"<{type(self).__name__}{name} {self.output_shape}>"

    def _repr_html_(self):
        """What a notebook shows: the network that ends here."""
        from .summaries import summary  # it knows all layers
        return summary(self)._repr_html_()


Layer.written = Layer


class OfLayer(Expression):
    """A layer's own two halves, of expressions in the place of arrays."""

    def __init__(self, layer, inputs, several, options):
        self.layer, self.several, self.options = layer, several, options
        self.inputs = tuple(inputs)

    def forward(self, *values):
        return self.layer.written.forward(
            self.layer, list(values) if self.several else values[0], **self.options)

    def backward(self, dvalue, cache):
        dx, found = self.layer.written.backward(self.layer, dvalue, cache)
        return (tuple(dx) if self.several else (dx,)), found


def by_expressions(self, x, **kwargs):
    """The forward of a layer that has ``get_output_for`` alone."""
    several = isinstance(x, (list, tuple))

    def output(*variables):
        return self.get_output_for(list(variables) if several else variables[0],
                                   **kwargs)

    xs = x if several else [x]
    try:
        pair = ExpressionPair(output, [one.ndim for one in xs])
    except NoExpression as error:
        self.fail("forward and backward, or a get_output_for of minifer's expressions",
                  str(error),
                  "Write forward(self, x), which returns y and a cache, and "
                  "backward(self, dy, cache), which returns dx and {param: gradient}.")
    y, cache = pair.forward(*xs)
    return y, (pair, cache, several)


def _backward(self, dy, cache):
    """The backward of :func:`by_expressions`."""
    pair, cache, several = cache
    dxs, found = pair.backward(dy, cache)
    return (list(dxs) if several else dxs[0]), found


class MergeLayer(Layer):
    """A layer with several inputs.

    ``forward`` gets a list of arrays and ``backward`` returns a list of
    gradients; ``get_output_shape_for`` gets a list of shapes.

    Parameters
    ----------
    incomings : list of Layer or tuple
    name : str, optional
    """

    def __init__(self, incomings: Sequence[Layer | Shape], name: str | None = None):
        self.name = name
        self.params = {}
        if not isinstance(incomings, (list, tuple)) or not incomings:
            self.fail("a list of at least one incoming layer", repr(incomings))
        self.input_layers = [i if isinstance(i, Layer) else None for i in incomings]
        self.input_shapes = [i.output_shape if isinstance(i, Layer)
                             else self.check_shape(i) for i in incomings]

    @property
    def output_shape(self):
        return self.get_output_shape_for(self.input_shapes)

    @property
    def incomings(self):
        return self.input_layers


#: A network, by its output layer or layers.
Layers = Union[Layer, Sequence[Layer]]
