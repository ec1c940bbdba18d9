"""What is made of one of Keras's layers: its options, values, nonlinearities."""

from __future__ import annotations

from typing import NamedTuple

from ... import layers, nonlinearities
from ...errors import quoted
from ...layers import Layer

__all__ = ["Call", "Unknown", "Value", "activated", "activation"]


class Unknown(Exception):
    """What a description asks for and minifer has not, in words."""


class Value(NamedTuple):
    """A layer's output, and whether its channels are the second axis.

    Attributes
    ----------
    layer : Layer
    first : bool
        False means that those of an image or a sequence are the last axis, as in Keras.
    """

    layer: Layer
    first: bool

    @property
    def shape(self):
        return self.layer.output_shape

    def channels_first(self):
        """The same value with channels as the second axis."""
        ndim = len(self.shape)
        if self.first or ndim < 3:
            return Value(self.layer, True)
        order = (0, ndim - 1, *range(1, ndim - 1))
        return Value(layers.DimshuffleLayer(self.layer, order), True)

    def channels_last(self):
        """The same value in Keras's order of axes."""
        ndim = len(self.shape)
        if not self.first or ndim < 3:
            return Value(self.layer, False)
        return Value(layers.DimshuffleLayer(
            self.layer, (0, *range(2, ndim), 1)), False)


class Call:
    """One layer to make: its options, with what is asked for and not known refused."""

    def __init__(self, kind, config, version):
        self.kind, self.config, self.version = kind, config, version
        self.name, self.made = config["name"], {}

    def get(self, option, default=None):
        return self.config.get(option, default)

    def refuse(self, what):
        raise Unknown(f"the layer {quoted(self.kind)} {quoted(self.name)} with {what}")

    def only(self, option, *allowed):
        """Refuse another value of an option."""
        value = self.config.get(option, allowed[0])
        if value not in allowed:
            self.refuse(f"{option}={value!r}")
        return value

    def note(self, layer, name=None):
        """A layer that has parameters."""
        if layer.params:
            self.made[name or self.name] = layer
        return layer


# --- nonlinearities --------------------------------------------------------------

ACTIVATIONS = {"linear": nonlinearities.identity, "relu": nonlinearities.rectify,
               "relu6": nonlinearities.relu6, "sigmoid": nonlinearities.sigmoid,
               "tanh": nonlinearities.tanh, "softmax": nonlinearities.softmax,
               "elu": nonlinearities.elu, "selu": nonlinearities.selu,
               "softplus": nonlinearities.softplus, "softsign": nonlinearities.softsign,
               "swish": nonlinearities.swish, "silu": nonlinearities.swish,
               "hard_swish": nonlinearities.hard_swish,
               "hard_silu": nonlinearities.hard_swish, "gelu": nonlinearities.gelu,
               "mish": nonlinearities.mish,
               "leaky_relu": nonlinearities.LeakyRectify(0.2)}


def activation(call, option="activation"):
    """The nonlinearity that an option names."""
    name = call.get(option, "linear")
    if isinstance(name, dict):
        name = name.get("config") if isinstance(name.get("config"), str) else (
            name.get("class_name"))
    if name is None:
        return nonlinearities.identity
    if name == "hard_sigmoid":  # another one since Keras 3
        three = not call.version.startswith(("1.", "2."))
        return nonlinearities.HardSigmoid(1 / 6 if three else 0.2)
    if name not in ACTIVATIONS:
        call.refuse(f"{option} {quoted(str(name))}")
    return ACTIVATIONS[name]


def activated(call, value, f):
    """A nonlinearity on top; softmax goes along the last axis."""
    if f is nonlinearities.softmax and len(value.shape) != 2:
        call.refuse(f"softmax of a value of {len(value.shape)} axes")
    if f is nonlinearities.identity:
        return value
    return value._replace(layer=layers.NonlinearityLayer(
        value.layer, f, name=f"{call.name}_activation" if call.made else call.name))
