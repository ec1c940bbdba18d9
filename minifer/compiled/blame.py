"""What was not finite: the layer, or the part of the loss, that it comes from."""

import numpy as np

from ..device.arrays import to_host
from ..expressions import Apply, Variable, evaluate
from ..layers import get_all_layers
from ..layers.symbolic import NetworkPass
from ..ops import loss as losses
from .standins import network_passes

__all__ = ["blame", "too_sure"]

#: Losses of probabilities, with what a network should end in for them to be exact.
OF_PROBABILITIES = {
    losses.binary_crossentropy_forward: ("sigmoid", "0 or 1"),
    losses.categorical_crossentropy_forward: ("softmax", "0")}

#: What of a loss has to be in [0, 1]: places among its inputs, and their names.
OF_SHARES = {
    losses.binary_crossentropy_forward: ((0, "predictions"), (1, "targets")),
    losses.sigmoid_crossentropy_forward: ((1, "targets"),),
    losses.categorical_crossentropy_forward: ((0, "predictions"),)}


def blame(loss, given):
    """Say which layer the first value that is not finite comes from.

    The pass is run again layer by layer, with the same dropout masks.

    Returns
    -------
    int
        How many layers lie below.
    str
    """
    passes = network_passes([loss])
    streams = {layer.stream for one in passes for layer in get_all_layers(one.outputs)
               if hasattr(layer, "stream")}
    for stream in streams:
        stream.step -= 1
    done = evaluate([loss], given)
    for one in passes:
        tape = done[one][1]
        for depth, layer in enumerate(tape.order):
            place = repr(layer)
            for param in layer.params:
                if not np.isfinite(param.value).all():
                    return depth, (
                        f"training: parameter '{param.name or 'W'}' of layer {place} "
                        "is not finite. Lower the learning rate.")
            if not np.isfinite(tape.values[layer]).all():
                what = "input" if layer in tape.given else "output"
                return depth, (
                    f"training: the {what} of layer {place} is not finite. "
                    + ("Check the images for NaN." if what == "input" else
                       "Lower the learning rate or scale the input."))
    return sum(len(done[one][1].order) for one in passes), (
        "training: the loss is not finite although every layer's output is. "
        + _blame_loss(done))


def too_sure(done):
    """What to do about probabilities whose logarithm, or its slope, is not finite.

    Parameters
    ----------
    done : dict of Expression -> (value, cache)
        What :func:`minifer.expressions.evaluate` returned.

    Returns
    -------
    str or None
        None if there are none.
    """
    for node in done:
        if not isinstance(node, Apply) or node.op not in OF_PROBABILITIES:
            continue
        end, numbers = OF_PROBABILITIES[node.op]
        p, t = (to_host(part) for part in done[node][1][:2])
        tiny = 1 / np.finfo(p.dtype).max
        sure = (t > 0) & (p < tiny)
        if end == "sigmoid":
            sure |= (t < 1) & (1 - p < tiny)
        if sure.any():
            return (f"{sure.sum()} predictions are {numbers}, or all but that, where "
                    f"the targets are not. End the network in a {end}, which is then "
                    f"computed together with the loss, or give its scores to {end}_"
                    "crossentropy.")
    return None


def _blame_loss(done):
    """The first part of the loss that is not finite, and what to do about it."""
    for node, (value, _) in done.items():
        if isinstance(node, NetworkPass) or np.isfinite(to_host(value)).all():
            continue
        if isinstance(node, Variable):
            return f"The values given for '{node.name}' are not either: check them."
        for place, what in OF_SHARES.get(getattr(node, "op", None), ()):
            share = to_host(done[node.inputs[place]][0])
            if share.min() < 0 or share.max() > 1:
                return (f"Its {what} are numbers from {share.min():.3g} to "
                        f"{share.max():.3g}, expected in [0, 1].")
        return too_sure({node: done[node]}) or "Check the targets and class weights."
    return "Check the targets and class weights."
