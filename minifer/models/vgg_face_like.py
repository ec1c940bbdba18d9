"""A network of the shape of VGG-Face, for photos of faces in colour."""

from __future__ import annotations

from typing import Any

from .. import layers, nonlinearities

__all__ = ["vgg_face_like"]


def vgg_face_like(input_var: Any = None, num_classes: int = 2622,
                  size: int = 224) -> layers.NonlinearityLayer:
    """Build a network like VGG-Face, untrained: 145,002,878 parameters, 2622 people.

    Parkhi, Vedaldi & Zisserman (2015), "Deep face recognition": the convolutions of
    VGG-16, whose last layers are convolutions, too, of 7×7 and 1×1. Layers have the
    names of the authors' files, ``conv1_1`` to ``fc8``.

    Parameters
    ----------
    input_var : minifer.expressions.Variable, optional
    num_classes : int, default 2622
    size : int, default 224
        Side of the square images in pixels, at least 193; those of more are judged at
        several places, and the scores' mean is taken.

    Returns
    -------
    NonlinearityLayer
        ``prob``, shape (None, num_classes).
    """
    network = layers.InputLayer((None, 3, size, size), input_var, name="input")
    for block, depth in enumerate((2, 2, 3, 3, 3), 1):
        for place in range(1, depth + 1):
            network = _conv(network, min(512, 32 << block), 3, f"conv{block}_{place}")
        network = layers.MaxPool2DLayer(network, 2, ignore_border=False,
                                        name=f"pool{block}")
    for name, side in (("fc6", 7), ("fc7", 1)):
        network = _conv(network, 4096, side, name, pad=0)
        network = layers.DropoutLayer(network, p=0.5, name=f"{name}_dropout")
    network = _conv(network, num_classes, 1, "fc8", nonlinearity=None)
    network = layers.GlobalPoolLayer(network, name="mean")
    return layers.NonlinearityLayer(network, nonlinearities.softmax, name="prob")


def _conv(network, filters, side, name, pad: Any = "same",
          nonlinearity: Any = nonlinearities.rectify):
    return layers.Conv2DLayer(network, filters, side, pad=pad, flip_filters=False,
                              nonlinearity=nonlinearity, name=name)
