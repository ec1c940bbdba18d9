"""What every layer is tested with: numbers, a run against loops, refusals."""

import re

import numpy as np
import pytest

from helpers.tolerances import assert_close
from minifer.errors import ShapeError
from minifer.layers import EmbeddingLayer, get_output


def numbers(shape, seed=0):
    """Random numbers of both signs that float32 holds exactly."""
    x = np.random.default_rng(seed).normal(size=shape)
    return x.astype(np.float32).astype(np.float64)


def example_input(layer, N):
    """A batch of N for the only InputLayer under ``layer``."""
    source, top = input_of(layer), layer
    while source not in top.incomings:
        top = top.incomings[0]
    x = numbers([N if n is None else n for n in source.shape])
    if isinstance(top, EmbeddingLayer):
        x = np.floor(np.abs(x) * 100) % top.input_size
    return x


def input_of(layer):
    """The only InputLayer under ``layer``."""
    while layer.incomings:
        layer = layer.incomings[0]
    return layer


def check_layer(layer, x, expected, **options):
    """Assert value, shape and dtype of a layer's output in both float types."""
    for dtype in ("float64", "float32"):
        y = get_output(layer, x.astype(dtype), **options)
        assert y.dtype == dtype
        assert y.shape == tuple(len(x) if n is None else n for n in layer.output_shape)
        assert_close(y, expected, "reference", dtype, repr(layer))


def refused(build, *fragments):
    """Assert that ``build()`` fails by the template, naming layer 'here'."""
    with pytest.raises(ShapeError) as caught:
        build()
    message = str(caught.value)
    assert re.match(r"(\w+ 'here'|parameter 'here\.\w+'): expected .+, got .+", message)
    assert "\n" not in message
    for fragment in fragments:
        assert fragment in message
