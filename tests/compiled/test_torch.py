"""Compiled layers against PyTorch, on random configurations: outputs and gradients.

``MINIFER_CONFIGURATIONS=200`` tries so many of each kind. In float32 both round: what
is compared is the difference relative to the largest number.
"""

import numpy as np
import pytest

import minifer
from helpers.checking import configurations
from minifer import layers, nonlinearities
from minifer.compiled.cpu import narrow

torch = pytest.importorskip("torch")
F = torch.nn.functional

CONFIGURATIONS = configurations(3)
CLOSE = 2e-4
linear = nonlinearities.linear


def sizes(rng, *most):
    """Whole numbers from 1 up to each of these."""
    return [int(rng.integers(1, n + 1)) for n in most]


def conv_options(rng, n, channels, groups=1):
    k, s = (sizes(rng, *[most] * n) for most in (4, 3))
    pad = [int(rng.integers(0, length)) for length in k]
    lengths = [length + int(rng.integers(0, 12)) for length in k]
    return lengths, k, s, pad, groups * channels


def conv(n, Layer, groups=1, deep=8):
    def build(rng):
        lengths, k, s, pad, C = conv_options(rng, n, int(rng.integers(1, deep)), groups)
        filters = groups * int(rng.integers(1, deep))
        x = layers.InputLayer((None, C, *lengths))
        layer = Layer(x, filters, tuple(k), tuple(s), tuple(pad), num_groups=groups,
                      nonlinearity=linear, flip_filters=False)
        function = getattr(F, f"conv{n}d")
        return layer, lambda x, W, b: function(x, W, b, tuple(s), tuple(pad), 1, groups)

    return build


def depthwise(rng):
    (C, M), k = sizes(rng, 12, 3), sizes(rng, 5, 5)
    pad = tuple(int(rng.integers(0, one)) for one in k)
    x = layers.InputLayer((None, C, *(one + int(rng.integers(0, 12)) for one in k)))
    layer = layers.Conv2DLayer(x, C * M, tuple(k), pad=pad, num_groups=C,
                               nonlinearity=linear, flip_filters=False)
    return layer, lambda x, W, b: F.conv2d(x, W, b, 1, pad, 1, C)


def grouped(rng):
    groups = int(rng.integers(2, 5))
    per, filters = (int(rng.integers(8, 12)) for _ in range(2))
    k, s = sizes(rng, 4, 4), tuple(sizes(rng, 2, 2))
    pad = tuple(int(rng.integers(0, one)) for one in k)
    x = layers.InputLayer((None, groups * per, *(one + int(rng.integers(3, 12))
                                                 for one in k)))
    layer = layers.Conv2DLayer(x, groups * filters, tuple(k), s, pad, num_groups=groups,
                               nonlinearity=linear, flip_filters=False)
    return layer, lambda x, W, b: F.conv2d(x, W, b, s, pad, 1, groups)


def dilated(rng):
    C, filters = (int(rng.integers(8, 12)) for _ in range(2))
    k, d = sizes(rng, 4, 4), tuple(sizes(rng, 4, 3))
    pad = tuple(int(rng.integers(0, one * step)) for one, step in zip(k, d))
    x = layers.InputLayer((None, C, *(one * step + int(rng.integers(0, 12))
                                      for one, step in zip(k, d))))
    layer = layers.DilatedConv2DLayer(x, filters, tuple(k), d, pad, nonlinearity=linear,
                                      flip_filters=False)
    return layer, lambda x, W, b: F.conv2d(x, W.swapaxes(0, 1), b, 1, pad, d)


def transposed(n):
    def build(rng):
        C, filters = (int(rng.integers(6, 12)) for _ in range(2))
        k, s = (tuple(sizes(rng, *[most] * n)) for most in (5, 3))
        crop = tuple(int(rng.integers(0, (one + 1) // 2)) for one in k)
        x = layers.InputLayer((None, C, *(int(rng.integers(3, 8)) for _ in k)))
        Layer = getattr(layers, f"TransposedConv{n}DLayer")
        layer = Layer(x, filters, k, s, crop, nonlinearity=linear, flip_filters=True)
        function = getattr(F, f"conv_transpose{n}d")
        return layer, lambda x, W, b: function(x, W, b, s, crop)

    return build


def response(rng):
    alpha, k, beta = rng.uniform(0.01, 2), rng.uniform(0.5, 3), rng.uniform(0.1, 1.5)
    n = 2 * int(rng.integers(0, 4)) + 1
    x = layers.InputLayer((None, *sizes(rng, 12, 9, 9)))
    return layers.LocalResponseNormalization2DLayer(x, alpha, k, beta, n), (
        lambda x: F.local_response_norm(x, n, alpha * n, beta, k))


def prelu(rng):
    x = layers.InputLayer((None, *sizes(rng, 12, 9, 9)))
    return layers.ParametricRectifierLayer(x), lambda x, alpha: F.prelu(x, alpha)


def recurrent(Layer):
    def build(rng):
        D, H, T = sizes(rng, 9, 40, 25)
        x = layers.InputLayer((None, T, D))
        backwards = bool(rng.integers(2))
        options = {"peepholes": False} if Layer is layers.LSTMLayer else {}
        layer = Layer(x, H, backwards=backwards, **options)
        return layer, (lambda x, *values: walk(layer, x, values, backwards))

    return build


def walk(layer, x, values, backwards):
    """LSTM or GRU by PyTorch's autograd, on the layer's own parameters."""
    params = dict(zip(layer.params, values))
    parts = [torch.cat([params[getattr(gate, part)] for gate in layer.gates], dim=-1)
             for part in ("W_in", "W_hid", "b")]
    W_in, W_hid, b = parts
    h = c = torch.zeros(len(x), layer.num_units)
    out = []
    steps = range(x.shape[1])[::-1] if backwards else range(x.shape[1])
    for t in steps:
        z, p = x[:, t] @ W_in + b, h @ W_hid
        if layer.GATES[0] == "ingate":
            i, f, g, o = (z + p).chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        else:
            (r, u, n), (pr, pu, pn) = z.chunk(3, dim=1), p.chunk(3, dim=1)
            u = torch.sigmoid(u + pu)
            h = (1 - u) * h + u * torch.tanh(n + torch.sigmoid(r + pr) * pn)
        out.append(h)
    return torch.stack(out[::-1] if backwards else out, dim=1)


KINDS = {
    "1D": conv(1, layers.Conv1DLayer), "3D": conv(3, layers.Conv3DLayer, deep=4),
    "2D": conv(2, layers.Conv2DLayer), "2D of 3 groups": conv(2, layers.Conv2DLayer, 3),
    "grouped": grouped, "depthwise": depthwise, "dilated": dilated,
    "transposed": transposed(2), "transposed 3D": transposed(3), "response": response,
    "prelu": prelu, "LSTM": recurrent(layers.LSTMLayer),
    "GRU": recurrent(layers.GRULayer),
}


def compared(found, expected, what):
    scale = max(np.abs(expected).max(initial=0), 1e-3)
    assert found.shape == expected.shape, what
    assert np.abs(found - expected).max(initial=0) <= CLOSE * scale, what


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_pytorchs(kind, monkeypatch):
    monkeypatch.setattr(narrow, "ENOUGH_PIXELS", 1)  # also for small images
    for seed in range(CONFIGURATIONS):
        rng = np.random.default_rng((seed, 7))
        layer, same = KINDS[kind](rng)
        params = [p for p, tags in layer.params.items() if "trainable" in tags]
        for p in params:
            p.set_value(rng.normal(0, 0.5, p.shape))
        source = layer.incomings[0]
        x = rng.normal(size=(int(rng.integers(1, 5)), *source.shape[1:])).astype("f")
        y = layers.get_output(layer)
        dy = rng.normal(size=layers.get_output_shape(layer, x.shape)).astype("float32")
        gradients = minifer.grad((y * dy).sum(), [source.input_var, *params])
        found = minifer.function([source.input_var], [y, *gradients], threads=2)(x)
        theirs = [torch.tensor(one, requires_grad=True)
                  for one in (x, *(p.get_value() for p in params))]
        expected = same(*theirs)
        expected.backward(torch.tensor(dy))
        for one, other in zip(found, [expected.detach(), *(t.grad for t in theirs)]):
            compared(one, other.numpy(), f"{kind}, seed {seed}")


def test_embeddings():
    for seed in range(CONFIGURATIONS):
        rng = np.random.default_rng((seed, 8))
        N, T, rows, size = sizes(rng, 5, 9, 12, 9)
        layer = layers.EmbeddingLayer(layers.InputLayer((None, T)), rows, size)
        words = rng.integers(0, rows, (N, T))
        y, source = layers.get_output(layer), layer.incomings[0].input_var
        dy = rng.normal(size=(N, T, size)).astype("float32")
        found = minifer.function([source], [y, minifer.grad((y * dy).sum(), layer.W)])(
            words)
        W = torch.tensor(layer.W.get_value(), requires_grad=True)
        expected = F.embedding(torch.tensor(words), W)
        expected.backward(torch.tensor(dy))
        compared(found[0], expected.detach().numpy(), seed)
        compared(found[1], W.grad.numpy(), seed)
