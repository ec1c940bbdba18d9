"""The tape: what a forward pass keeps, so that it can be walked back.

This is all of backpropagation. Going forward, each layer's output and cache
are noted. Going back, each layer receives the gradient of its output, hands
its inputs theirs, and where paths meet **gradients add**.
"""

from collections import Counter, defaultdict

from ..errors import ShapeError
from .base import MergeLayer
from .input import InputLayer

__all__ = ["Tape", "Gradients", "run"]


class Gradients(dict):
    """Gradients by :class:`~minifer.layers.param.Param`.

    Attributes
    ----------
    inputs : dict of Layer -> array
        Gradients with respect to the given inputs, where they were asked for.
    """

    def __init__(self):
        super().__init__()
        self.inputs = {}

    def add(self, param, gradient):
        """Add to what is there: a shared parameter collects from every use."""
        self[param] = self[param] + gradient if param in self else gradient


class Tape:
    """The record of one forward pass; see :func:`run`."""

    def __init__(self, order, outputs, given):
        self.order, self.outputs, self.given = order, outputs, given
        self.values, self.caches = {}, {}

    def backward(self, dys, wrt_inputs=False, params=None):
        """Walk back.

        Parameters
        ----------
        dys : array or list of arrays
            Gradient of the loss with respect to each output.
        wrt_inputs : bool, default False
            Also work out the gradients of the inputs (``result.inputs``).
        params : list of Param, optional
            Only these are wanted: layers below the lowest of them are skipped.

        Returns
        -------
        Gradients
            A dict of Param -> array, for every parameter that is not a
            running statistic.
        """
        dys = dys if isinstance(dys, (list, tuple)) else [dys]
        arrived = defaultdict(lambda: None)
        for layer, dy in zip(self.outputs, dys):
            if dy.shape != self.values[layer].shape:
                raise ShapeError(
                    f"backward: expected a gradient of the output's shape "
                    f"{self.values[layer].shape}, got {dy.shape}.")
            arrived[layer] = dy if arrived[layer] is None else arrived[layer] + dy

        learns = self._layers_that_need_gradients(wrt_inputs, params)
        gradients = Gradients()
        for layer in reversed(self.order):
            dy = arrived.pop(layer, None)
            if dy is None or layer not in learns:
                continue
            if layer in self.given:
                gradients.inputs[layer] = dy
                continue
            below = layer.incomings
            skip_dx = layer.can_skip_dx and not any(i in learns for i in below)
            dx, of_params = (layer.backward(dy, self.caches[layer], need_dx=False)
                             if skip_dx else layer.backward(dy, self.caches[layer]))
            for param, gradient in of_params.items():
                gradients.add(param, gradient)
            if not skip_dx:
                for i, d in zip(below, dx if isinstance(layer, MergeLayer) else [dx]):
                    arrived[i] = d if arrived[i] is None else arrived[i] + d
        return gradients

    def _layers_that_need_gradients(self, wrt_inputs, params):
        """Layers with a wanted parameter in or below them."""
        learns = set()
        for layer in self.order:
            if layer in self.given:
                wanted = wrt_inputs
            else:
                own = layer.get_params(trainable=True) if params is None else [
                    p for p in layer.params if p in params]
                wanted = bool(own) or any(i in learns for i in layer.incomings)
            if wanted:
                learns.add(layer)
        return learns


def run(order, outputs, given, options, logits=False, keep=True):
    """Run layers in order.

    Parameters
    ----------
    order : list of Layer
        Every layer after its inputs.
    outputs : list of Layer
    given : dict of Layer -> array
        Outputs that are not computed but given; InputLayers check theirs.
    options : dict
        Each layer gets those that its ``forward`` names.
    logits : bool
        Whether outputs leave out their nonlinearity (those that feed no layer).
    keep : bool
        Whether to note what the way back needs.

    Returns
    -------
    ys : list of arrays
    tape : Tape
    """
    tape = Tape(order, outputs, given)
    values = tape.values
    readers = Counter(i for layer in order for i in layer.incomings)
    readers.update(outputs)
    feeding = {i for layer in order for i in layer.incomings}
    for layer in order:
        if layer in given:
            values[layer] = given[layer]
            if isinstance(layer, InputLayer):
                values[layer], _ = layer.forward(given[layer])
            continue
        mine = {k: v for k, v in options.items() if k in layer.forward_options}
        if logits and layer in outputs and layer not in feeding and (
                "logits" in layer.forward_options):
            mine["logits"] = True
        if not layer.incomings or None in layer.incomings:
            layer.fail("an incoming layer", "a shape only",
                       "Give its input in a dict of layer -> array.")
        below = [values[i] for i in layer.incomings]
        values[layer], cache = layer.forward(
            below if isinstance(layer, MergeLayer) else below[0], **mine)
        if keep:
            tape.caches[layer] = cache
            continue
        readers.subtract(layer.incomings)
        for i in set(layer.incomings):
            if not readers[i]:
                del values[i]
    return [values[layer] for layer in outputs], tape
