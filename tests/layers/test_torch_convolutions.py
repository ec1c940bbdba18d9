"""Convolutions against PyTorch, on random configurations: outputs and gradients."""

import numpy as np
import pytest

from helpers.checking import configurations
from minifer.ops.conv_nd import (conv_backward, conv_forward, transposed_conv_backward,
                                 transposed_conv_forward)

torch = pytest.importorskip("torch")
CONFIGURATIONS = configurations(20)  # of each kind


def random_configuration(rng, n, kind):
    """Shapes and options of one case, for the op and for PyTorch."""
    groups = int(rng.integers(1, 4)) if kind != "plain" else 1
    per_group = 1 if kind == "depthwise" else int(rng.integers(1, 4))
    C, F = groups * per_group, groups * int(rng.integers(1, 4))
    k, stride, pad = (rng.integers(least, most, n)
                      for least, most in ((1, 5), (1, 4), (0, 3)))
    dilation = rng.integers(1, 4, n) if kind != "plain" else np.ones(n, int)
    reach = (k - 1) * dilation + 1
    lengths = np.maximum(1, reach - 2 * pad) + rng.integers(0, 5, n)
    return dict(groups=groups, C=C, F=F, k=k, stride=stride, pad=pad, reach=reach,
                dilation=dilation, lengths=lengths, more=rng.integers(0, stride),
                N=int(rng.integers(1, 4)))


def agree(found, tensors, y, expected, dy):
    """Outputs and gradients are PyTorch's, within rounding of float64."""
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-9, atol=1e-10)
    expected.backward(torch.from_numpy(dy))
    for gradient, tensor in zip(found, tensors):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-9, atol=1e-10)


def tuples(*arrays):
    return [tuple(int(v) for v in array) for array in arrays]


@pytest.mark.parametrize("kind", ["plain", "grouped", "depthwise"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_conv(n, kind):
    function = getattr(torch.nn.functional, f"conv{n}d")
    for seed in range(CONFIGURATIONS):
        rng = np.random.default_rng((n, seed))
        c = random_configuration(rng, n, kind)
        x, W, b = (rng.normal(size=shape) for shape in (
            (c["N"], c["C"], *c["lengths"]), (c["F"], c["C"] // c["groups"], *c["k"]),
            (c["F"],)))
        stride, pad, dilation = tuples(c["stride"], c["pad"], c["dilation"])
        y, cache = conv_forward(x, W, b, stride, pad, dilation, c["groups"], False)
        tensors = [torch.from_numpy(a).requires_grad_() for a in (x, W, b)]
        expected = function(*tensors, stride=stride, padding=pad, dilation=dilation,
                            groups=c["groups"])
        dy = rng.normal(size=y.shape)
        agree(conv_backward(dy, cache), tensors, y, expected, dy)


@pytest.mark.parametrize("kind", ["plain", "grouped", "depthwise"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_transposed(n, kind):
    function = getattr(torch.nn.functional, f"conv_transpose{n}d")
    for seed in range(CONFIGURATIONS):
        rng = np.random.default_rng((n, seed))
        c = random_configuration(rng, n, kind)
        c["pad"] = np.minimum(c["pad"], (c["reach"] - 1) // 2)
        x, W, b = (rng.normal(size=shape) for shape in (
            (c["N"], c["C"], *np.minimum(c["lengths"], 4)),
            (c["C"], c["F"] // c["groups"], *c["k"]), (c["F"],)))
        out = ((np.array(x.shape[2:]) - 1) * c["stride"] + c["reach"] - 2 * c["pad"]
               + c["more"])
        stride, crop, dilation, more, out = tuples(
            c["stride"], c["pad"], c["dilation"], c["more"], out)
        y, cache = transposed_conv_forward(x, W, b, stride, crop, dilation, c["groups"],
                                           True, out)
        tensors = [torch.from_numpy(a).requires_grad_() for a in (x, W, b)]
        expected = function(*tensors, stride=stride, padding=crop, dilation=dilation,
                            groups=c["groups"], output_padding=more)
        dy = rng.normal(size=y.shape)
        agree(transposed_conv_backward(dy, cache), tensors, y, expected, dy)
