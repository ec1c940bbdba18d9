"""What networks of Caffe's share."""

from __future__ import annotations

from .. import layers

__all__ = ["response_norm"]


def response_norm(network: layers.Layer,
                  name: str) -> layers.LocalResponseNormalization2DLayer:
    """Local response normalisation over 5 channels, with Caffe's usual numbers.

    Caffe divides alpha by the number of channels that it sums over; Lasagne does not.
    """
    return layers.LocalResponseNormalization2DLayer(
        network, alpha=1e-4 / 5, k=1, beta=0.75, n=5, name=name)
