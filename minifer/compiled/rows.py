"""How many images a layer may see: a plan's steps have buffers for so many.

A layer that reshapes (N, T, ...) to (N·T, ...) makes a batch larger than the one that
came in.
"""

from ..layers import MergeLayer, get_all_layers
from ..layers.shape import SymbolicReshapeLayer

__all__ = ["most_rows"]


def most_rows(outputs, given):
    """The longest first axis of all that is given and of all that layers make of it.

    Parameters
    ----------
    outputs : list of Layer
    given : dict of Layer -> array
        What is known: the outputs of these layers.

    Returns
    -------
    int or None
        None where a layer does not say what it makes.
    """
    shapes = {layer: x.shape for layer, x in given.items()}
    for layer in get_all_layers(outputs, treat_as_input=list(given)):
        if layer in shapes:
            continue
        below = [shapes[i] for i in layer.incomings]
        try:
            if isinstance(layer, SymbolicReshapeLayer):
                shapes[layer] = layer.filled(below[0], [given[one] for one in
                                                        layer.incomings[1:]])
            else:
                shapes[layer] = tuple(layer.get_output_shape_for(
                    below if isinstance(layer, MergeLayer) else below[0]))
        except Exception:  # of a user's layer, which is asked what it never was before
            return None
        if None in shapes[layer][:1]:
            return None
    return max(shape[0] for shape in shapes.values() if shape)
