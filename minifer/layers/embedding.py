"""Embeddings of words, or of anything that has a number."""

from __future__ import annotations

import numpy as np

from .. import init
from .._types import Shape
from ..ops.embedding import embedding_backward, embedding_forward
from .base import Layer
from .options import count
from .param import Spec

__all__ = ["EmbeddingLayer"]

#: float32 holds all whole numbers below.
MOST = 1 << 24


class EmbeddingLayer(Layer):
    """Look numbers up in a table: ``y[n, t] = W[x[n, t]]``.

    Parameters
    ----------
    incoming : Layer or tuple
        Whole numbers, 0 … V-1, of any shape: words (N, T), say.
    input_size : int >= 1
        V, how many rows the table has; at most 2²⁴.
    output_size : int >= 1
        D, the length of a row. The output has one more axis, (N, T, D).
    W : Param, array or initialiser, default Normal()
        The table, shape (V, D).
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, input_size: int, output_size: int,
                 W: Spec = init.Normal(), *, name: str | None = None):
        super().__init__(incoming, name)
        self.input_size = count(self, "input_size", input_size)
        self.output_size = count(self, "output_size", output_size)
        if self.input_size > MOST:
            self.fail(f"input_size of at most {MOST:,}, the whole numbers that float32 "
                      "holds", f"{self.input_size:,}")
        self.W = self.add_param(W, (self.input_size, self.output_size), "W")

    def get_output_shape_for(self, input_shape):
        return (*input_shape, self.output_size)

    def forward(self, x):
        y, cache = embedding_forward(x, self.W.value)
        return y, (x, cache)

    def backward(self, dy, cache, need_dx=True):
        """The gradient of the numbers is 0: what is whole does not move a little."""
        x, cache = cache
        return (np.zeros_like(x, dtype=dy.dtype) if need_dx else None,
                {self.W: embedding_backward(dy, cache)})
