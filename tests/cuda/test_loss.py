"""Softmax and the losses on a device, against loops and extreme numbers."""

import numpy as np
import pytest

from helpers import reference
from helpers.checking import check_op, normal, off_zero
from helpers.devices import DEVICES, moved, on_device
from helpers.orders import in_every_order, on_emulator
from helpers.tolerances import assert_close
from minifer.cuda import kernel
from minifer.cuda.loss import class_numbers
from minifer.device.arrays import to_device, to_host
from minifer.errors import KernelError, ShapeError
from minifer.ops import activation, loss

on_each_device = pytest.mark.parametrize("device", DEVICES)
SIZES = [(1, 1), (1, 7), (7, 1), (7, 33), (33, 7), (5, 1000), (1000, 7)]
FAR_OUT = np.array([[1000.0, -1000.0, 0.0], [-1000.0, 1000.0, 1000.0],
                    [1000.0, 1000.0, 1000.0], [-1000.0, -1000.0, -999.0]])


def check_softmax(device, x):
    check_op(*on_device(activation.softmax_forward, activation.softmax_backward,
                        device), [x], reference.softmax)


def check_loss(name, device, scores, **options):
    check_op(*on_device(getattr(loss, name + "_forward"),
                        getattr(loss, name + "_backward"), device),
             [scores], getattr(reference, name), **options)


def probabilities(shape, seed=0):
    """Rows that sum to 1, no entry near 0."""
    p = np.random.default_rng(seed).uniform(0.2, 1, shape)
    return p / p.sum(axis=1, keepdims=True)


def run_loss(device, logits, targets, weights=None, name="softmax_crossentropy"):
    """Losses and the gradient of their sum."""
    forward, backward = on_device(getattr(loss, name + "_forward"),
                                  getattr(loss, name + "_backward"), device)
    losses, cache = forward(logits, targets, weights)
    return losses, backward(np.ones_like(losses), cache)


@on_each_device
@pytest.mark.parametrize("shape", [(3, 0), (3,), (2, 3, 4)])
def test_scores_that_are_no_rows_are_refused(device, shape):
    x = to_device(np.zeros(shape), device)
    with pytest.raises(ShapeError, match="K > 0, got"):
        activation.softmax_forward(x)
    with pytest.raises(ShapeError, match="K > 0, got"):
        loss.softmax_crossentropy_forward(x, to_device(np.zeros(3, int), device))


# --- softmax ------------------------------------------------------------------

@on_each_device
@pytest.mark.parametrize("shape", SIZES)
def test_softmax(device, shape):
    check_softmax(device, normal(shape))


@on_each_device
def test_softmax_far_out(device):
    check_softmax(device, FAR_OUT)


@on_each_device
def test_softmax_of_equal_numbers_is_uniform(device):
    y, _ = activation.softmax_forward(to_device(np.zeros((9, 4)), device))
    np.testing.assert_array_equal(to_host(y), np.full((9, 4), 0.25))


@on_each_device
@pytest.mark.parametrize("K", [7, 33])
@pytest.mark.parametrize("place", [0, 5, -1])
def test_a_nan_fills_its_row(device, K, place):
    x = normal((3, K))
    x[1, place] = np.nan
    y, _ = activation.softmax_forward(to_device(x, device))
    np.testing.assert_array_equal(np.isnan(to_host(y)),
                                  np.broadcast_to([[False], [True], [False]], (3, K)))


@on_each_device
def test_softmax_of_views(device):
    x, dy = normal((7, 8), 1), normal((7, 4), 2)

    def run(x, dy):
        y, cache = activation.softmax_forward(x.T[::2])
        return y, activation.softmax_backward(dy.T, cache)
    for actual, expected in zip(run(*moved([x, dy], device)), run(x, dy)):
        np.testing.assert_allclose(to_host(actual), expected, rtol=1e-12)


@on_each_device
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("N, K", [(33, 7), (5, 100)])
def test_naive_and_better_agree(device, dtype, N, K):
    x = to_device((10 * normal((N, K))).astype(dtype), device)
    naive = np.empty_like(x)
    kernel("loss.cu", "softmax_naive", x)(x, naive, N, K, threads=N)
    better, _ = activation.softmax_forward(x)
    assert_close(to_host(naive), to_host(better), "reference", dtype, "naive")


# --- cross-entropies ----------------------------------------------------------

CATEGORICAL = ["softmax_crossentropy", "categorical_crossentropy"]
CLASSES = np.array([2, 0, 1, 2, 2])
SOFT = probabilities((5, 3), 2)
each_weighting = pytest.mark.parametrize("class_weights", [
    pytest.param(None, id="no weights"),
    pytest.param(np.array([0.5, 2.0, 1.5]), id="weights"),
    pytest.param(np.array([0.5, 2.0, 0.0]), id="zero weight")])


def scores_for(name, shape):
    return normal(shape, 1) if name.startswith("softmax") else probabilities(shape, 1)


@on_each_device
@pytest.mark.parametrize("name", CATEGORICAL)
@each_weighting
@pytest.mark.parametrize("targets", [
    pytest.param(CLASSES.astype("int32"), id="int32"),
    pytest.param(CLASSES, id="int64"),
    pytest.param(CLASSES.astype("uint8"), id="uint8"),
    pytest.param(np.repeat(CLASSES, 2)[::2], id="a view"),
    pytest.param(np.eye(3, dtype=int)[CLASSES], id="one-hot"),
    pytest.param(SOFT, id="soft"), pytest.param(SOFT.astype("float32"), id="float32"),
    pytest.param(SOFT * np.arange(5)[:, None], id="soft, sums 0 to 4")])
def test_crossentropy(device, name, targets, class_weights):
    check_loss(name, device, scores_for(name, (5, 3)), targets=targets,
               class_weights=class_weights)


@on_each_device
@pytest.mark.parametrize("N, K", SIZES)
@pytest.mark.parametrize("soft", [False, True])
def test_crossentropy_sizes(device, N, K, soft):
    targets = np.abs(normal((N, K), 3)) if soft else np.arange(N)[::-1] % K
    check_loss("softmax_crossentropy", device, normal((N, K), 1), targets=targets)


@on_each_device
@pytest.mark.parametrize("targets", [
    pytest.param(np.array([0, 1, 2, 2]), id="right"),
    pytest.param(np.array([1, 0, 0, 1]), id="wrong"),
    pytest.param(probabilities((4, 3), 5), id="soft")])
def test_logits_of_plus_and_minus_1000(device, targets):
    check_loss("softmax_crossentropy", device, FAR_OUT, targets=targets)


@on_each_device
def test_a_class_ruled_out_by_minus_infinity_costs_nothing(device):
    z = np.array([[1.0, -np.inf, 2.0]])
    losses, dz = run_loss(device, z, np.array([2]))
    two_classes, _ = loss.softmax_crossentropy_forward(z[:, ::2], np.array([1]))
    np.testing.assert_allclose(losses, two_classes)
    assert np.isfinite(dz).all()


@on_each_device
@pytest.mark.parametrize("name", CATEGORICAL)
@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("weights", [None, np.zeros(3)])
def test_what_is_no_class_gives_nan(device, name, dtype, weights):
    targets = np.array([0, 3, -1, 2, 2**31 - 1, -2**31], dtype)
    losses, gradient = run_loss(device, scores_for(name, (6, 3)), targets, weights,
                                name)
    wrong = np.array([False, True, True, False, True, True])
    np.testing.assert_array_equal(np.isnan(losses), wrong)
    np.testing.assert_array_equal(np.isnan(gradient),
                                  np.broadcast_to(wrong[:, None], (6, 3)))


@on_each_device
def test_large_numbers_do_not_wrap_round_to_a_class(device):
    large = np.array([1, 2**32 + 1, -2**32, 2**62, -2**63])
    numbers = to_host(class_numbers(to_device(large, device), 3))
    assert numbers.dtype == np.int32
    np.testing.assert_array_equal(numbers, [1, 3, -1, 3, -1])
    numbers = class_numbers(to_device(np.array([1, 2**64 - 1], np.uint64), device), 3)
    np.testing.assert_array_equal(to_host(numbers), [1, -1])


@on_each_device
def test_a_nan_among_the_logits_stays_visible(device):
    z = normal((3, 40))
    z[1, 37] = np.nan
    for targets in (np.array([1, 2, 3]), probabilities((3, 40))):
        losses, dz = run_loss(device, z, targets)
        np.testing.assert_array_equal(np.isnan(losses), [False, True, False])
        np.testing.assert_array_equal(np.isnan(dz).all(axis=1), [False, True, False])
        np.testing.assert_array_equal(np.isnan(dz).any(axis=1), [False, True, False])


@on_each_device
def test_views_and_an_empty_batch(device):
    z, targets = normal((3, 10), 1), np.array([0, 1, 2, 1, 0])

    def run(z, targets, dlosses):
        losses, cache = loss.softmax_crossentropy_forward(z.T[::2], targets)
        return losses, loss.softmax_crossentropy_backward(dlosses[::2], cache)
    host = [z, targets, normal((10,), 2)]
    for actual, expected in zip(run(*moved(host, device)), run(*host)):
        np.testing.assert_allclose(to_host(actual), expected, rtol=1e-12)
    losses, dz = run_loss(device, np.zeros((0, 3)), np.zeros(0, int))
    assert losses.shape == (0,) and dz.shape == (0, 3)


@on_each_device
@pytest.mark.parametrize("name", CATEGORICAL)
@pytest.mark.parametrize("targets, message", [
    (np.array([0, 1, 2]), r"int class numbers \(2,\)"),
    (np.array([0.0, 1.0]), r"int class numbers \(2,\).*got float64"),
    (np.ones((2, 4)), r"distribution \(2, 3\)")])
def test_targets_that_do_not_fit_are_refused(device, name, targets, message):
    with pytest.raises(ShapeError, match=message):
        run_loss(device, probabilities((2, 3)), targets, name=name)
    with pytest.raises(ShapeError, match="each of the 3 classes"):
        run_loss(device, probabilities((2, 3)), np.array([0, 1]), np.ones(4), name)


@on_each_device
def test_targets_left_on_the_cpu_are_refused(device):
    logits, p = moved([normal((2, 3)), probabilities((2, 3))], device)
    with pytest.raises(KernelError, match=f"expected classes on '{device}'"):
        loss.softmax_crossentropy_forward(logits, np.array([0, 1], np.int32))
    with pytest.raises(TypeError):
        loss.categorical_crossentropy_forward(p, np.array([0, 1]))


@on_each_device
def test_class_weights_may_be_a_list(device):
    logits, targets = moved([normal((2, 3)), np.array([0, 2])], device)
    with_list, _ = loss.softmax_crossentropy_forward(logits, targets, [1, 0, 3])
    with_array, _ = loss.softmax_crossentropy_forward(
        logits, targets, to_device(np.array([1.0, 0, 3]), device))
    np.testing.assert_array_equal(to_host(with_list), to_host(with_array))


@on_emulator
def test_the_order_of_threads_changes_no_bit(device):
    z, classes, soft, dy = moved(
        [normal((19, 70)).astype("float32"), np.arange(19), probabilities((19, 70)),
         normal((19, 70), 1).astype("float32")], device)

    def run():
        y, softmax_cache = activation.softmax_forward(z)
        found = [y, activation.softmax_backward(dy, softmax_cache)]
        for targets in (classes, soft):
            losses, cache = loss.softmax_crossentropy_forward(z, targets)
            found += [losses, loss.softmax_crossentropy_backward(losses, cache)]
        return found
    in_every_order(run)


# --- the losses that are NumPy's syntax on every device -----------------------

@on_each_device
@pytest.mark.parametrize("shape", [(4,), (1, 1), (2, 3, 4)])
def test_binary_crossentropy(device, shape):
    rng = np.random.default_rng(1)
    for targets in (rng.uniform(0, 1, shape), rng.integers(0, 2, shape)):
        check_loss("binary_crossentropy", device, rng.uniform(0.05, 0.95, shape),
                   targets=targets)


@on_each_device
@pytest.mark.parametrize("shape", [(4,), (1, 1), (2, 3, 4)])
def test_squared_error(device, shape):
    for b in (normal(shape, 2), np.zeros(shape, int)):
        check_loss("squared_error", device, normal(shape, 1), b=b)
    losses, _ = loss.squared_error_forward(to_device(normal(shape), device), 0.5)
    np.testing.assert_array_equal(to_host(losses), (normal(shape) - 0.5) ** 2)


@on_each_device
def test_a_probability_of_zero(device):
    p = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    targets = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    losses, dp = run_loss(device, p, targets, name="categorical_crossentropy")
    np.testing.assert_array_equal(losses, [0, np.inf, np.inf])
    np.testing.assert_array_equal(dp, [[-1, 0], [-0.5, -np.inf], [0, -np.inf]])


# --- sigmoid and binary cross-entropy ------------------------------------------

@on_each_device
@pytest.mark.parametrize("shape", [(4,), (33, 1), (7, 5), (2, 3, 4), (0, 2)])
@pytest.mark.parametrize("scale", [1, 100, 1000])
def test_sigmoid_crossentropy(device, shape, scale):
    rng = np.random.default_rng(1)
    for targets in (rng.uniform(0, 1, shape), rng.integers(0, 2, shape)):
        check_loss("sigmoid_crossentropy", device, off_zero(shape) * scale,
                   targets=targets)


@on_each_device
def test_shares_outside_0_to_1_give_nan(device):
    z, t = moved([np.zeros(3), np.array([0.5, -1.0, 2.0])], device)
    p = to_device(np.full(3, 0.5), device)
    for found in (loss.sigmoid_crossentropy_forward(z, t),
                  loss.binary_crossentropy_forward(p, t),
                  loss.binary_crossentropy_forward(t, p)):
        np.testing.assert_array_equal(np.isnan(to_host(found[0])), [False, True, True])


@on_each_device
def test_a_sure_score_of_infinity_costs_nothing(device):
    z, t = moved([np.array([np.inf, -np.inf, np.nan]), np.array([1, 0, 1])], device)
    losses, cache = loss.sigmoid_crossentropy_forward(z, t)
    dz = loss.sigmoid_crossentropy_backward(to_device(np.ones(3), device), cache)
    for found in (losses, dz):
        np.testing.assert_array_equal(to_host(found), [0, 0, np.nan])
