"""Layers that PyTorch has too: the same outputs and gradients, in random sizes."""

import numpy as np
import pytest

from helpers.checking import configurations
from minifer import config
from minifer.layers import (BiasLayer, InputLayer, LocalResponseNormalization2DLayer,
                            ParametricRectifierLayer, ScaleLayer, StandardizationLayer,
                            TransformerLayer, forward, get_all_layers, instance_norm)

torch = pytest.importorskip("torch")
F = torch.nn.functional

#: Random configurations of each layer.
CASES = configurations(10)


def response(rng, x):
    alpha, k, beta = rng.uniform(0.01, 2), rng.uniform(0.5, 3), rng.uniform(0.1, 1.5)
    n = 2 * int(rng.integers(0, 4)) + 1
    layer = LocalResponseNormalization2DLayer(x, alpha, k, beta, n)
    return layer, lambda x: F.local_response_norm(x, n, alpha * n, beta, k)


def instance(rng, x):
    epsilon = rng.uniform(1e-3, 1)
    return instance_norm(x, epsilon=epsilon), lambda x, scales, b: F.instance_norm(
        x, weight=scales, bias=b, eps=epsilon)


def layer(rng, x):
    epsilon = rng.uniform(1e-3, 1)
    return StandardizationLayer(x, "features", epsilon), lambda x: F.layer_norm(
        x, x.shape[1:], eps=epsilon)


def elementwise_affine(rng, x):
    top = ScaleLayer(StandardizationLayer(x, "features"), shared_axes=0)
    return BiasLayer(top, shared_axes=0), lambda x, scales, b: F.layer_norm(
        x, x.shape[1:], scales, b, 1e-4)


def prelu(rng, x):
    one = rng.random() < 0.3
    return (ParametricRectifierLayer(x, shared_axes="all" if one else "auto"),
            lambda x, alpha: F.prelu(x, alpha.reshape(-1)))


def transformer(rng, x):
    border, theirs = [("nearest", "border"), ("mirror", "reflection")][rng.integers(2)]
    factor = tuple(rng.uniform(0.4, n / 2) for n in x.shape[2:])
    top = TransformerLayer(x, InputLayer((None, 6)), factor, border)

    def same(x, theta):
        grid = F.affine_grid(theta.reshape(-1, 2, 3), (*x.shape[:2],
                                                       *top.output_shape[2:]), True)
        return F.grid_sample(x, grid, padding_mode=theirs, align_corners=True)

    return top, same


@pytest.mark.parametrize("case", range(CASES))
@pytest.mark.parametrize("build", [response, instance, layer, elementwise_affine, prelu,
                                   transformer])
def test_it_is_pytorchs(build, case):
    rng = np.random.default_rng(case)
    N, C, H, W = rng.integers((1, 1, 2, 2), (5, 7, 9, 9))
    with config.use_floatX("float64"):
        network, same = build(rng, InputLayer((None, int(C), int(H), int(W))))
    order = get_all_layers(network)
    given = {one: rng.normal(size=[N if n is None else n for n in one.shape])
             for one in order if isinstance(one, InputLayer)}
    params = [p for one in order for p in one.params]
    for p in params:
        p.set_value(rng.normal(size=p.shape))
    y, tape = forward(network, given)
    dy = rng.normal(size=y.shape)
    found = tape.backward(dy, wrt_inputs=True)

    theirs = [torch.tensor(value, requires_grad=True)
              for value in (*given.values(), *(p.value for p in params))]
    expected = same(*theirs)
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-9, atol=1e-11)
    mine = [*(found.inputs[one] for one in given), *(found[p] for p in params)]
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one, other.grad, rtol=1e-8, atol=1e-10)
