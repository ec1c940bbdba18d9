"""The losses against loops, extreme numbers and numerical gradients."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import reference
from helpers.checking import RANDOM_SHAPES, check_op, normal, off_zero
from minifer.errors import ShapeError
from minifer.ops import loss
from minifer.ops.activation import softmax_forward


def check_loss(name, scores, **options):
    check_op(getattr(loss, name + "_forward"), getattr(loss, name + "_backward"),
             [scores], getattr(reference, name), **options)


def probabilities(shape, seed=0):
    """Rows that sum to 1, no entry near 0."""
    p = np.random.default_rng(seed).uniform(0.2, 1, shape)
    return p / p.sum(axis=1, keepdims=True)


def scores_for(name, shape):
    return normal(shape, 1) if name.startswith("softmax") else probabilities(shape, 1)


CATEGORICAL = ["softmax_crossentropy", "categorical_crossentropy"]
CLASSES = np.array([2, 0, 1, 2, 2])
SOFT = probabilities((5, 3), 2)
WEIGHTS = np.array([0.5, 2.0, 1.5])


# --- cross-entropies --------------------------------------------------------

@pytest.mark.parametrize("name", CATEGORICAL)
@pytest.mark.parametrize("class_weights", [
    pytest.param(None, id="no weights"), pytest.param(WEIGHTS, id="weights"),
    pytest.param(np.array([0.5, 2.0, 0.0]), id="zero weight"),
    pytest.param(np.zeros(3), id="all weights zero")])
@pytest.mark.parametrize("targets", [
    pytest.param(CLASSES, id="int64"),
    pytest.param(CLASSES.astype("int32"), id="int32"),
    pytest.param(CLASSES.astype("uint8"), id="uint8"),
    pytest.param(np.eye(3)[CLASSES], id="one-hot"), pytest.param(SOFT, id="soft"),
    pytest.param(SOFT.astype("float32"), id="soft float32"),
    pytest.param(SOFT * np.arange(5)[:, None], id="soft, sums 0 to 4"),
    pytest.param(SOFT[::-1, ::-1], id="soft, a view")])
def test_crossentropy(name, targets, class_weights):
    check_loss(name, scores_for(name, (5, 3)), targets=targets,
               class_weights=class_weights)


@pytest.mark.parametrize("name", CATEGORICAL)
@pytest.mark.parametrize("N, K", [(1, 3), (4, 1), (1, 1), (40, 7)])
def test_crossentropy_sizes(name, N, K):
    targets = np.arange(N) % K
    check_loss(name, scores_for(name, (N, K)), targets=targets)


@RANDOM_SHAPES
@given(name=st.sampled_from(CATEGORICAL), N=st.integers(1, 6), K=st.integers(1, 8),
       soft=st.booleans(), weighted=st.booleans())
def test_random_shapes(name, N, K, soft, weighted):
    targets = np.abs(normal((N, K), 3)) if soft else np.arange(N)[::-1] % K
    check_loss(name, scores_for(name, (N, K)), targets=targets,
               class_weights=np.linspace(0, 2, K) if weighted else None)


FAR_OUT = np.array([[1000.0, -1000.0, 0.0], [-1000.0, 1000.0, 1000.0],
                    [1000.0, 1000.0, 1000.0], [-1000.0, -1000.0, -999.0]])


@pytest.mark.parametrize("targets", [
    pytest.param(np.array([0, 1, 2, 2]), id="right"),
    pytest.param(np.array([1, 0, 0, 1]), id="wrong"),
    pytest.param(probabilities((4, 3), 5), id="soft")])
def test_logits_of_plus_and_minus_1000(targets):
    check_loss("softmax_crossentropy", FAR_OUT, targets=targets)


def test_known_losses():
    losses, _ = loss.softmax_crossentropy_forward(np.zeros((2, 7)), np.array([0, 6]))
    np.testing.assert_allclose(losses, np.log(7))
    losses, _ = loss.softmax_crossentropy_forward(FAR_OUT[:1], np.array([1]))
    np.testing.assert_array_equal(losses, [2000])


def test_the_gradient_is_prediction_minus_target():
    z, targets = normal((5, 3), 1), CLASSES
    _, cache = loss.softmax_crossentropy_forward(z, targets)
    dz = loss.softmax_crossentropy_backward(np.full(5, 1 / 5), cache)
    np.testing.assert_allclose(dz, (softmax_forward(z)[0] - np.eye(3)[targets]) / 5)


def test_a_class_ruled_out_by_minus_infinity_costs_nothing():
    z = np.array([[1.0, -np.inf, 2.0]])
    losses, cache = loss.softmax_crossentropy_forward(z, np.array([2]))
    two_classes, _ = loss.softmax_crossentropy_forward(z[:, ::2], np.array([1]))
    np.testing.assert_allclose(losses, two_classes)
    assert np.isfinite(loss.softmax_crossentropy_backward(np.ones(1), cache)).all()


def test_fused_and_separate_agree():
    z = normal((5, 3), 1)
    for targets in (CLASSES, SOFT):
        fused, _ = loss.softmax_crossentropy_forward(z, targets, WEIGHTS)
        separate, _ = loss.categorical_crossentropy_forward(
            softmax_forward(z)[0], targets, WEIGHTS)
        np.testing.assert_allclose(fused, separate, rtol=1e-10)


def test_a_probability_of_zero():
    p = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    targets = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    losses, cache = loss.categorical_crossentropy_forward(p, targets)
    np.testing.assert_array_equal(losses, [0, np.inf, np.inf])
    dp = loss.categorical_crossentropy_backward(np.ones(3), cache)
    np.testing.assert_array_equal(dp, [[-1, 0], [-0.5, -np.inf], [0, -np.inf]])


@pytest.mark.parametrize("name", CATEGORICAL)
@pytest.mark.parametrize("targets, message", [
    (np.array([0, 3]), r"class numbers 0\.\.2, got 0\.\.3"),
    (np.array([-1, 0]), r"class numbers 0\.\.2, got -1\.\.0"),
    (np.array([0, 1, 2]), r"int class numbers \(2,\)"),
    (np.array([0.0, 1.0]), r"int class numbers \(2,\).*got float64"),
    (np.ones((2, 4)), r"distribution \(2, 3\)"),
    (np.ones((2, 1)), r"distribution \(2, 3\)")])
def test_targets_that_do_not_fit_are_refused(name, targets, message):
    with pytest.raises(ShapeError, match=message):
        getattr(loss, name + "_forward")(probabilities((2, 3)), targets)


@pytest.mark.parametrize("name", CATEGORICAL)
def test_class_weights_that_do_not_fit_are_refused(name):
    with pytest.raises(ShapeError, match="each of the 3 classes"):
        getattr(loss, name + "_forward")(
            probabilities((2, 3)), np.array([0, 1]), np.ones(4))


# --- element by element -----------------------------------------------------

@pytest.mark.parametrize("shape", [(4,), (1, 1), (3, 4), (2, 3, 4)])
def test_binary_crossentropy(shape):
    rng = np.random.default_rng(1)
    check_loss("binary_crossentropy", rng.uniform(0.05, 0.95, shape),
               targets=rng.uniform(0, 1, shape))
    check_loss("binary_crossentropy", rng.uniform(0.05, 0.95, shape),
               targets=rng.integers(0, 2, shape))


def test_binary_crossentropy_of_certain_predictions():
    p, t = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])
    losses, cache = loss.binary_crossentropy_forward(p, t)
    np.testing.assert_array_equal(losses, [0, 0, np.inf, np.inf])
    dp = loss.binary_crossentropy_backward(np.ones(4), cache)
    np.testing.assert_array_equal(dp, [1, -1, -np.inf, np.inf])


@RANDOM_SHAPES
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
       scale=st.sampled_from([1, 17, 100, 1000]), soft=st.booleans())
def test_sigmoid_crossentropy(shape, scale, soft):
    targets = np.random.default_rng(1).uniform(0, 1, shape)
    check_loss("sigmoid_crossentropy", off_zero(shape) * scale,
               targets=targets if soft else targets.round())


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("t", [0.0, 0.25, 1.0])
def test_scores_of_any_size_have_an_exact_loss_and_gradient(dtype, t):
    z = np.array([-1000, -100, -17, 0, 17, 100, 1000], dtype)
    losses, cache = loss.sigmoid_crossentropy_forward(z, np.full(7, t))
    dz = loss.sigmoid_crossentropy_backward(np.ones(7, dtype), cache)
    with np.errstate(over="ignore"):
        p, q = (1 / (1 + np.exp(-s * np.float64(z))) for s in (1, -1))
    assert losses.dtype == dz.dtype == dtype
    eps, tiny = np.finfo(dtype).eps, 2 * np.finfo(dtype).smallest_subnormal
    t = float(np.asarray(t, dtype))
    np.testing.assert_allclose(losses, reference.sigmoid_crossentropy(z, np.full(7, t)),
                               rtol=4 * eps, atol=tiny)
    np.testing.assert_allclose(dz, (1 - t) * p - t * q, rtol=4 * eps, atol=tiny)


def test_a_sure_score_of_infinity_costs_nothing():
    z = np.array([np.inf, -np.inf, np.nan])
    with np.errstate(invalid="ignore"):
        losses, cache = loss.sigmoid_crossentropy_forward(z, np.array([1, 0, 1]))
    np.testing.assert_array_equal(losses, [0, 0, np.nan])
    dz = loss.sigmoid_crossentropy_backward(np.ones(3), cache)
    np.testing.assert_array_equal(dz, [0, 0, np.nan])


BINARY = ["binary_crossentropy", "sigmoid_crossentropy"]


@pytest.mark.parametrize("name", BINARY)
def test_binary_targets_that_do_not_fit_are_refused(name):
    forward = getattr(loss, name + "_forward")
    with pytest.raises(ShapeError, match=r"shape \(3, 1\), got \(1, 3\)"):
        forward(np.full((3, 1), 0.5), np.ones((1, 3)))
    with pytest.raises(ShapeError, match=r"targets in \[0, 1\].* -1 to 1.*\+ 1\) / 2"):
        forward(np.full(3, 0.5), np.array([-1, 1, 1]))


@pytest.mark.parametrize("name, end", [("binary_crossentropy", "sigmoid"),
                                       ("categorical_crossentropy", "softmax")])
def test_predictions_that_are_no_probabilities_are_refused(name, end):
    for p in ([[1.5, 0.2]], [[-0.1, 1]]):
        with pytest.raises(ShapeError, match=f"in a {end}, or give .* to {end}_cr"):
            getattr(loss, name + "_forward")(np.array(p), np.array([[1.0, 0.0]]))


def test_whole_numbers_do_not_round_their_targets():
    zero = np.zeros((1, 2), int)
    half = np.array([[0.5, 0.5]])
    for name, expected in (("softmax_crossentropy", np.log(2)),
                           ("sigmoid_crossentropy", np.log(2)), ("squared_error", 0.25),
                           ("binary_crossentropy", np.inf),
                           ("categorical_crossentropy", np.inf)):
        losses, _ = getattr(loss, name + "_forward")(zero, half)
        np.testing.assert_allclose(losses, np.full(losses.shape, expected))


@pytest.mark.parametrize("shape", [(4,), (1, 1), (3, 4), (2, 3, 4)])
def test_squared_error(shape):
    check_loss("squared_error", normal(shape, 1), b=normal(shape, 2))
    check_loss("squared_error", normal(shape, 1), b=np.zeros(shape, int))


def test_squared_error_has_no_half():
    y, cache = loss.squared_error_forward(np.array([3.0]), np.array([1.0]))
    assert y == 4 and loss.squared_error_backward(np.ones(1), cache) == 4


def test_squared_error_of_shapes_that_do_not_fit_is_refused():
    # They would broadcast to (3, 3) and train on nonsense.
    with pytest.raises(ShapeError):
        loss.squared_error_forward(normal((3, 1)), normal((1, 3)))


@pytest.mark.parametrize("name", ["squared_error", "binary_crossentropy",
                                  "sigmoid_crossentropy"])
def test_targets_of_a_single_output_may_be_a_vector(name):
    forward = getattr(loss, name + "_forward")
    p, t = np.array([[0.2], [0.7], [0.9]]), np.array([0.0, 1.0, 1.0])
    np.testing.assert_array_equal(forward(p, t)[0], forward(p, t[:, None])[0])


@pytest.mark.parametrize("name", BINARY)
def test_one_number_may_be_the_target_of_all(name):
    forward = getattr(loss, name + "_forward")
    p = np.array([[0.2], [0.7]], "float32")
    for target in (1, 0.9, np.float64(0)):
        losses = forward(p, target)[0]
        np.testing.assert_allclose(losses, forward(p, np.full((2, 1), target))[0])
        assert losses.dtype == "float32"


def hinge(scores, targets, delta=1.0):
    """The largest other score, less the true one, plus the margin; 0 below."""
    return np.array([max(0.0, max(s[k] for k in range(len(s)) if k != t) - s[t] + delta)
                     for s, t in zip(scores, targets)], scores.dtype)


@pytest.mark.parametrize("delta", [1.0, 0.25])
def test_multiclass_hinge(delta):
    targets = np.array([0, 2, 1, 2, 1])
    check_op(loss.multiclass_hinge_forward, loss.multiclass_hinge_backward,
             [normal((5, 3))], hinge, targets=targets, delta=delta)
    one_hot = np.eye(3)[targets]
    np.testing.assert_array_equal(
        loss.multiclass_hinge_forward(normal((5, 3)), one_hot, delta)[0],
        loss.multiclass_hinge_forward(normal((5, 3)), targets, delta)[0])


def test_a_hinge_needs_two_classes():
    with pytest.raises(ShapeError, match="2 or more classes"):
        loss.multiclass_hinge_forward(np.ones((2, 1)), np.zeros(2, int))
