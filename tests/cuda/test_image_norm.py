"""Batch norm with ReLU, pooling and dropout, channels last, against loops."""

import numpy as np
import pytest

from helpers import reference
from helpers.checking import check_op, normal
from helpers.devices import DEVICES, on_device
from helpers.orders import in_every_order, on_emulator
from helpers.tolerances import assert_close
from minifer import config, layers
from minifer.cuda import image_norm
from minifer.device.arrays import contiguous, to_device, to_host

on_each_device = pytest.mark.parametrize("device", DEVICES)
EPSILON = 1e-4


def normed(x, mean=None, inv_std=None, step=1, **options):
    """x (N, C, H, W) channels last, and its layer: of given averages, or the batch's.
    """
    z, C = contiguous(x.transpose(0, 2, 3, 1)), x.shape[1]
    if mean is None:
        mean, inv_std = (np.empty_like(z, shape=(C,)) for _ in range(2))
        work = np.empty_like(z, shape=image_norm.workspace(z.shape))
        image_norm.statistics(z, mean, inv_std, work, epsilon=EPSILON, step=step)
    return z, image_norm.Layer(mean, inv_std, **options)


def forward(x, gamma, beta, relu, pool, keep=None, scale=1.0, mean=None, inv_std=None):
    if mean is not None:
        mean, inv_std = mean.astype(x.dtype), inv_std.astype(x.dtype)
    z, layer = normed(x, mean, inv_std, 1 + pool, gamma=gamma, beta=beta, relu=relu,
                      pool=pool, keep=keep, scale=scale)
    N, H, W, C = z.shape
    y = np.full_like(z, np.nan, shape=(N, H // layer.step, W // layer.step, C))
    image_norm.forward(z, layer, y)
    return y.transpose(0, 3, 1, 2), (z, layer, mean is not None)


def backward(dy, cache):
    z, layer, fixed = cache
    dy, C = contiguous(dy.transpose(0, 2, 3, 1)), z.shape[3]
    sums, dz = np.empty_like(z, shape=(2, C)), np.full_like(z, np.nan)
    dgamma, dbeta = (None if one is None else np.empty_like(z, shape=(C,))
                     for one in (layer.gamma, layer.beta))
    work = np.empty_like(z, shape=image_norm.workspace(z.shape))
    image_norm.gradients(dy, z, layer, sums, dgamma, dbeta, work)
    image_norm.input_gradient(dy, z, layer, None if fixed else sums, dz)
    return dz.transpose(0, 3, 1, 2), dgamma, dbeta


def expected(x, gamma, beta, relu, pool, keep=None, scale=1.0, mean=None, inv_std=None):
    y = (reference.batch_norm(x, gamma, beta, (0, 2, 3), EPSILON)[0] if mean is None
         else reference.batch_norm_fixed(x, gamma, beta, mean, inv_std, (0, 2, 3)))
    y = reference.rectify(y) if relu else y
    y = reference.pool2d(y, (2, 2)) if pool else y
    return y if keep is None else y * keep * scale


def check(device, shape, relu, pool, gamma=True, beta=True, **options):
    C = shape[1]
    check_op(*on_device(forward, backward, device),
             [2 * normal(shape, 1) + 3, normal((C,), 2) if gamma else None,
              normal((C,), 3) if beta else None], expected, relu=relu, pool=pool,
             **options)


#: Of so many numbers that gradients are compared along one direction.
SHAPES = [pytest.param((3, 8, 4, 6), id="packs"), pytest.param((2, 3, 5, 7), id="odd"),
          pytest.param((13, 4, 2, 2), id="one window")]


@on_each_device
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("pool", [False, True])
def test_norm_relu_and_pool(device, shape, relu, pool):
    check(device, shape, relu, pool)


@on_each_device
@pytest.mark.parametrize("pool", [False, True])
def test_by_running_averages(device, pool):
    shape = 3, 4, 5, 6
    check(device, shape, True, pool, mean=normal((4,), 8),
          inv_std=np.exp(normal((4,), 9)))


@on_each_device
@pytest.mark.parametrize("gamma, beta", [(False, False), (False, True), (True, False)])
def test_without_scale_or_shift(device, gamma, beta):
    check(device, (4, 4, 4, 4), True, True, gamma, beta)


@on_each_device
@pytest.mark.parametrize("pool", [False, True])
def test_dropout_behind_it(device, pool):
    shape = (3, 4, 5, 4) if not pool else (3, 4, 2, 2)
    keep = np.random.default_rng(0).random(shape) < 0.6
    check(device, (3, 4, 5, 4), True, pool, keep=keep, scale=1.25)


@on_each_device
def test_rows_are_images_of_one_pixel(device):
    check(device, (41, 5, 1, 1), True, False)


@on_each_device
@pytest.mark.parametrize("shape", [(40, 8, 9, 9), (3, 160, 2, 3)],
                         ids=["many pieces", "many channels"])
def test_statistics_of_many(device, shape):
    x = (2 * normal(shape, 1) + 3).astype("float32")
    _, layer = normed(to_device(x, device))
    _, mean, inv_std = reference.batch_norm(x, None, None, (0, 2, 3), EPSILON)
    assert_close(to_host(layer.mean), mean, "reference", "float32", "mean")
    assert_close(to_host(layer.inv_std), inv_std, "reference", "float32", "inv_std")


@on_each_device
def test_a_large_mean_does_not_eat_the_variance(device):
    """Nor do first pixels that are unlike all others, as at a border of zeros."""
    x = (3000 + normal((5, 4, 9, 9), 1)).astype("float32")
    x[0, :, 0] = 0
    x[0, 2:, 0] = 3000
    _, layer = normed(to_device(x, device))
    exact = x.astype("float64")
    np.testing.assert_allclose(to_host(layer.mean), exact.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(
        to_host(layer.inv_std), 1 / np.sqrt(exact.var((0, 2, 3)) + EPSILON), rtol=1e-4)


@on_each_device
def test_running_averages_move_as_the_layers(device):
    x, alpha = normal((3, 4, 5, 5), 1), 0.3
    with config.use_floatX("float64"):
        layer = layers.BatchNormLayer(
            (None, 4, 5, 5), alpha=alpha, epsilon=EPSILON, mean=normal((4,), 2),
            inv_std=np.array([2., 0, 1, 3]))
    found = [to_device(p.get_value(), device) for p in (layer.mean, layer.inv_std)]
    layer.forward(x)
    z = to_device(contiguous(x.transpose(0, 2, 3, 1)), device)
    mean, inv_std = (np.empty_like(z, shape=(4,)) for _ in range(2))
    image_norm.statistics(
        z, mean, inv_std, np.empty_like(z, shape=image_norm.workspace(z.shape)),
        epsilon=EPSILON, averages=found, alpha=alpha)
    for one, param in zip(found, (layer.mean, layer.inv_std)):
        np.testing.assert_allclose(to_host(one), param.get_value(), rtol=1e-12)


@on_each_device
def test_nan_stays_in_its_channel_and_is_all_of_it(device):
    x = normal((3, 4, 4, 4), 1)
    x[1, 2, 3, 3] = np.nan
    y, cache = forward(to_device(x, device), None, None, True, True)
    dx, _, _ = backward(to_device(normal(y.shape), device), cache)
    for array in (y, dx):
        np.testing.assert_array_equal(np.isnan(to_host(array)),
                                      np.broadcast_to([[[0]], [[0]], [[1]], [[0]]],
                                                      array.shape))


@on_emulator
def test_the_order_of_threads_changes_no_bit(device):
    x, gamma, dy = (to_device(normal(shape, i).astype("float32"), device) for i, shape
                    in enumerate([(5, 8, 9, 7), (8,), (5, 8, 4, 3)]))

    def run():
        y, cache = forward(x, gamma, None, True, True)
        return [y, *backward(dy, cache)[:2]]
    in_every_order(run)
