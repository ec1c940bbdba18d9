"""How fast could it be? The least work and traffic of a network, and their time.

A step has to multiply and add so often, and to move so many bytes through the GPU's
memory: each layer's input once, its output once, its weights once. Each over the rate
at which this GPU does it gives two times, and no way of computing the layer is much
faster than the larger. The sum over the layers is the step's floor.
"""

import math
from typing import NamedTuple

FLOAT = 4  # bytes
CODE = 1  # the byte that tells where in its window a gradient goes


class Work(NamedTuple):
    """One pass through one layer.

    Attributes
    ----------
    name : str
        Such as ``"conv1 forward"``.
    flop : float
        An image, a product and an addition counted as two.
    moved : float
        Bytes an image: activations.
    fixed : float
        Bytes a batch: weights.
    """

    name: str
    flop: float
    moved: float
    fixed: float = 0


def works(net, training=True):
    """What a step has to do, pass by pass.

    Convolutions take bias, ReLU, pooling and dropout with them, so that only what a
    pooling leaves goes through memory, with a byte beside it for the way back. Weights
    are updated with momentum where their gradient is made.

    Parameters
    ----------
    net : tuple
        Channels and side of the images, and the layers: an entry of
        ``nets.NETS``.
    training : bool

    Returns
    -------
    list of Work, or None
        None for a network with batch normalisation, which is not counted here.
    """
    channels, side, layers = net
    if any(kind == "norm" for kind, *_ in layers):
        return None
    found, size = [], channels * side * side
    for place, (kind, *options) in enumerate(layers):
        if kind not in ("conv", "dense"):
            continue
        name = f"{kind}{1 + sum(one[0] == kind for one in layers[:place])}"
        before = size
        if kind == "conv":
            filters, width, pad = options
            wide = side + 2 * pad - width + 1
            weights = filters * channels * width ** 2
            flop = 2 * weights * wide ** 2
            pooled = layers[place + 1:place + 2] == [("pool",)]
            channels, side = filters, wide // 2 if pooled else wide
            size = channels * side * side
        else:
            size, = options
            weights = flop = before * size
            flop *= 2
        codes = CODE * size * (kind == "conv" and training)
        moved = FLOAT * (before + size) + codes
        passes = {"forward": 1}
        if training:
            passes |= {"input gradient": 1} if found else {}
            passes |= {"weights": 4}  # of them and of the velocity, read and written
        found += [Work(f"{name} {what}", flop, moved, times * FLOAT * weights)
                  for what, times in passes.items()]
    return found


class Rates(NamedTuple):
    """What this GPU was seen to do, today.

    Attributes
    ----------
    copy : float
        Bytes a second, read and written, of a large copy.
    fp32, tf32 : float
        FLOP a second of a large product of matrices, in either precision.
    """

    copy: float
    fp32: float
    tf32: float

    def flops(self, precision):
        """FLOP a second. Three products in TF32 make one that is float32-accurate."""
        return self.tf32 if precision == "tf32" else max(self.fp32, self.tf32 / 3)


def floor(net, batch, rates, precision, training=True):
    """Seconds that a step cannot go much below; None where it is not counted.

    Parameters
    ----------
    net : tuple
        As for :func:`works`.
    batch : int
    rates : Rates
    precision : {'fp32', 'tf32'}
    training : bool
    """
    counted = works(net, training)
    return counted and math.fsum(
        max(batch * work.flop / rates.flops(precision),
            (batch * work.moved + work.fixed) / rates.copy) for work in counted)
