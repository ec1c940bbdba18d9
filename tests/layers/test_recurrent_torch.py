"""LSTM and GRU against PyTorch: values and gradients."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers.checking import RANDOM_SHAPES
from minifer import config
from minifer.layers import GRULayer, InputLayer, LSTMLayer, forward, get_all_params
from minifer.ops.gru import gru_backward, gru_forward
from minifer.ops.lstm import lstm_backward, lstm_forward

torch = pytest.importorskip("torch")

PARTS = ("W_in_to", "W_hid_to", "b")
CLOSE = {"rtol": 1e-8, "atol": 1e-10}


def stacked(kind, layer, values):
    """A layer's weights, or their gradients, as PyTorch keeps them.

    PyTorch's update gate says how much of the old state stays, Lasagne's how much of
    the new one comes: one minus the other, which is the sigmoid of the negative.
    """
    signs = [1] * 4 if kind == "lstm" else [1, -1, 1]
    return [np.concatenate([sign * values(getattr(layer, f"{part}_{gate}")).T
                            for gate, sign in zip(layer.GATES, signs)])
            for part in PARTS]


def pair(kind, D, H, backwards, rng):
    """A layer of random weights, and PyTorch's of the same."""
    with config.use_floatX("float64"):
        Layer, options = ((LSTMLayer, {"peepholes": False}) if kind == "lstm"
                          else (GRULayer, {}))
        layer = Layer(InputLayer((None, None, D)), H, backwards=backwards,
                      learn_init=True, **options)
    for param in get_all_params(layer):
        param.value = rng.standard_normal(param.shape)
    there = (torch.nn.LSTM if kind == "lstm" else torch.nn.GRU)(
        D, H, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        there.bias_hh_l0.zero_()
        for weight, value in zip(weights(there), stacked(kind, layer,
                                                         lambda p: p.value)):
            weight.copy_(torch.tensor(value))
    return layer, there


def weights(there):
    return there.weight_ih_l0, there.weight_hh_l0, there.bias_ih_l0


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@RANDOM_SHAPES
@given(N=st.integers(1, 5), T=st.integers(1, 7), D=st.integers(1, 6),
       H=st.integers(1, 6), backwards=st.booleans(), seed=st.integers(0, 999))
def test_the_same_as_pytorch(kind, N, T, D, H, backwards, seed):
    rng = np.random.default_rng(seed)
    layer, there = pair(kind, D, H, backwards, rng)
    x, dy = rng.standard_normal((N, T, D)), rng.standard_normal((N, T, H))
    y, tape = forward(layer, x)
    found = tape.backward(dy, wrt_inputs=True)

    x_there = torch.tensor(x, requires_grad=True)
    starts = [torch.tensor(getattr(layer, option).value, requires_grad=True)
              for option in layer.STATES]
    wide = [start.expand(N, H)[None].contiguous() for start in starts]
    y_there, _ = there(x_there.flip(1) if backwards else x_there,
                       tuple(wide) if kind == "lstm" else wide[0])
    y_there = y_there.flip(1) if backwards else y_there
    np.testing.assert_allclose(y, y_there.detach().numpy(), rtol=1e-9, atol=1e-12)
    y_there.backward(torch.tensor(dy))
    np.testing.assert_allclose(found.inputs[layer.incomings[0]], x_there.grad.numpy(),
                               **CLOSE)
    for option, start in zip(layer.STATES, starts):
        np.testing.assert_allclose(found[getattr(layer, option)], start.grad.numpy(),
                                   **CLOSE)
    for weight, gradient in zip(weights(there), stacked(kind, layer, found.get)):
        np.testing.assert_allclose(gradient, weight.grad.numpy(), **CLOSE)


# --- limits and masks, which PyTorch's layers lack: step by step with its autograd ----

def limited(z, clip):
    """What Theano's ``grad_clip`` is: z, whose gradient is limited on its way back."""
    if clip:
        z.register_hook(lambda gradient: gradient.clamp(-clip, clip))
    return z


def lstm(x, W_in, W_hid, b, h, c, peepholes, mask, clip):
    H, out = len(W_hid), []
    for t in range(x.shape[1]):
        i, f, g, o = limited(x[:, t] @ W_in + b + h @ W_hid, clip).split(H, dim=1)
        i = torch.sigmoid(i + c * peepholes[0])
        f = torch.sigmoid(f + c * peepholes[1])
        cell = f * c + i * torch.tanh(g)
        o = torch.sigmoid(o + cell * peepholes[2])
        taken = mask[:, t:t + 1] != 0
        h = torch.where(taken, o * torch.tanh(cell), h)
        c = torch.where(taken, cell, c)
        out.append(h)
    return torch.stack(out, dim=1)


def gru(x, W_in, W_hid, b, h, mask, clip):
    H, out = len(W_hid), []
    for t in range(x.shape[1]):
        z, p = limited(x[:, t] @ W_in + b, clip), limited(h @ W_hid, clip)
        r, u = torch.sigmoid(z[:, :H] + p[:, :H]), torch.sigmoid(
            z[:, H:2 * H] + p[:, H:2 * H])
        new = torch.tanh(limited(z[:, 2 * H:] + r * p[:, 2 * H:], clip))
        h = torch.where(mask[:, t:t + 1] != 0, (1 - u) * h + u * new, h)
        out.append(h)
    return torch.stack(out, dim=1)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@RANDOM_SHAPES
@given(N=st.integers(1, 4), T=st.integers(1, 6), D=st.integers(1, 4),
       H=st.integers(1, 4), clip=st.sampled_from([0, 0.02, 0.2]),
       seed=st.integers(0, 999))
def test_limits_and_masks(kind, N, T, D, H, clip, seed):
    rng = np.random.default_rng(seed)
    gates = 4 if kind == "lstm" else 3
    shapes = [(N, T, D), (D, gates * H), (H, gates * H), (gates * H,), (N, H)]
    shapes += [(N, H), (3, H)] if kind == "lstm" else []
    inputs = [rng.standard_normal(shape) for shape in shapes]
    mask, dy = rng.integers(0, 2, (N, T)), rng.standard_normal((N, T, H))
    forward, backward, other = ((lstm_forward, lstm_backward, lstm) if kind == "lstm"
                                else (gru_forward, gru_backward, gru))
    y, cache = forward(*inputs, mask=mask)
    there = [torch.tensor(a, requires_grad=True) for a in inputs]
    y_there = other(*there, torch.tensor(mask), clip)
    np.testing.assert_allclose(y, y_there.detach().numpy(), rtol=1e-9, atol=1e-12)
    y_there.backward(torch.tensor(dy))
    for gradient, one in zip(backward(dy, cache, clip), there):
        np.testing.assert_allclose(gradient, one.grad.numpy(), **CLOSE)
