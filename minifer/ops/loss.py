r"""Losses: how wrong is a prediction?

Targets of the cross-entropies are class numbers, int of shape (N,), or soft
targets, float of shape (N, K): a distribution over the classes. Class weights
(K,) make mistakes on rare classes cost more.

Targets of the binary cross-entropies are shares, of the shape of the predictions.

A class number out of range is refused on the CPU, and so are shares and probabilities
outside [0, 1]. On a device their loss is NaN, and its gradient too: to look first, the
CPU would have to wait for the device.
"""

import numpy as np

from ..cuda import loss as loss_kernels
from ..device.arrays import as_array, device_of, on_gpu, to_device
from ..errors import ShapeError
from .activation import sigmoid_forward, softmax_forward, softplus_forward
from .dispatch import on_device
from .softmax import log_softmax_forward

__all__ = ["softmax_crossentropy_forward", "softmax_crossentropy_backward",
           "categorical_crossentropy_forward", "categorical_crossentropy_backward",
           "sigmoid_crossentropy_forward", "sigmoid_crossentropy_backward",
           "binary_crossentropy_forward", "binary_crossentropy_backward",
           "squared_error_forward", "squared_error_backward",
           "squared_error_gradients", "slope_of_targets", "multiclass_hinge_forward",
           "multiclass_hinge_backward", "as_column"]


def softmax_crossentropy_forward(logits, targets, class_weights=None):
    r"""Softmax and cross-entropy in one, from logits.

    .. math:: \ell_n = -\sum_k w_k t_{n,k} \log p_{n,k},\quad
              \log p_{n,k} = z_{n,k} - \log \sum_j e^{z_{n,j}}

    Taking the logarithm before the exponential underflows is what makes it
    stable: logits of ±1000 are fine.

    Parameters
    ----------
    logits : array, shape (N, K)
    targets : int array (N,), values 0..K-1, or float array (N, K)
    class_weights : array or list, shape (K,), or None
        Brought to the device of the logits if it is not there.

    Returns
    -------
    losses : array, shape (N,)
    cache : tuple
    """
    logits = _floats(logits)
    targets, class_weights = _checked(targets, logits, class_weights)
    if on_gpu(logits):
        return loss_kernels.softmax_crossentropy_forward(
            logits, targets, class_weights)
    t = _weighted(targets, class_weights, logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    # Where t is 0 a log p of minus infinity must not matter: 0 · ∞ is NaN.
    log_p = np.where(t == 0, 0, shifted) - np.where(t == 0, 0, log_sum)
    terms = t * log_p
    return -terms.sum(axis=1), (logits, t)


@on_device(loss_kernels)
def softmax_crossentropy_backward(dlosses, cache):
    r"""Gradient of :func:`softmax_crossentropy_forward`.

    .. math:: dz_{n,k} = d\ell_n\,\left(p_{n,k} \sum_j w_j t_{n,j} - w_k t_{n,k}\right)

    For a plain class number that is the famous "prediction minus target".
    """
    logits, t = cache
    p, _ = softmax_forward(logits)
    return dlosses[:, None] * (p * t.sum(axis=1, keepdims=True) - t)


def categorical_crossentropy_forward(predictions, targets, class_weights=None):
    r"""Cross-entropy of probabilities: :math:`-\sum_k w_k t_k \log p_k`.

    Parameters
    ----------
    predictions : array, shape (N, K)
        Probabilities, rows sum to 1; numbers outside [0, 1] are refused. Nothing
        is clipped: a probability of 0 for the true class gives infinity.
    targets, class_weights
        As in :func:`softmax_crossentropy_forward`.

    Returns
    -------
    losses : array, shape (N,)
    cache : tuple
    """
    predictions = _floats(predictions)
    t = weighted_targets(targets, predictions, class_weights)
    predictions = _shares(predictions, "categorical_crossentropy", "predictions",
                          "End the network in a softmax, or give its scores to "
                          "softmax_crossentropy.")
    with np.errstate(divide="ignore"):
        terms = np.where(t == 0, 0, t * np.log(np.where(t == 0, 1, predictions)))
    return -terms.sum(axis=1), (predictions, t)


def categorical_crossentropy_backward(dlosses, cache):
    """``dp = -dloss * w * t / p`` (0 where t is 0)."""
    p, t = cache
    with np.errstate(divide="ignore"):
        return np.where(t == 0, 0, -dlosses[:, None] * t / np.where(t == 0, 1, p))


def sigmoid_crossentropy_forward(logits, targets):
    r"""Sigmoid and binary cross-entropy in one, from logits, for each element.

    .. math:: \ell = t \log(1 + e^{-z}) + (1 - t) \log(1 + e^z)

    Each logarithm is exact however large its z: a sigmoid rounds to 1 from a score
    of 17 on in float32, and its logarithm of 1 - p is then infinite.

    Parameters
    ----------
    logits : array
        Scores z of any size, ±1000 too.
    targets : array of that shape, values in [0, 1]

    Returns
    -------
    losses : array of that shape
    cache : tuple
    """
    logits = _floats(logits)
    t = _binary_targets(targets, logits)
    if on_gpu(logits):
        return loss_kernels.sigmoid_crossentropy_forward(logits, t)
    yes, no = softplus_forward(-logits)[0], softplus_forward(logits)[0]
    # Where t is 0 a loss of infinity must not matter: 0 · ∞ is NaN.
    return t * np.where(t == 0, 0, yes) + (1 - t) * np.where(t == 1, 0, no), (logits, t)


@on_device(loss_kernels)
def sigmoid_crossentropy_backward(dlosses, cache):
    r"""``dz = dloss * (p - t)``, "prediction minus target", p being the sigmoid of z.

    It is computed as :math:`(1 - t)\,p - t\,(1 - p)` with 1 - p as the sigmoid of -z,
    so that it stays right where p rounds to 1.
    """
    logits, t = cache
    p, q = sigmoid_forward(logits)[0], sigmoid_forward(-logits)[0]
    return dlosses * ((1 - t) * p - t * q)


def binary_crossentropy_forward(predictions, targets):
    """``-(t log p + (1 - t) log(1 - p))`` for each element.

    Parameters
    ----------
    predictions, targets : arrays of one shape, values in [0, 1]
        Nothing is clipped: a 0 where t > 0, or a 1 where t < 1, gives infinity.

    Returns
    -------
    losses : array of that shape
    cache : tuple
    """
    predictions = _floats(predictions)
    t = _binary_targets(targets, predictions)
    predictions = _shares(predictions, "binary_crossentropy", "predictions",
                          "End the network in a sigmoid, or give its scores to "
                          "sigmoid_crossentropy.")
    losses = -(_t_log(t, predictions) + _t_log(1 - t, 1 - predictions))
    return losses, (predictions, t)


def binary_crossentropy_backward(dlosses, cache):
    """``dp = dloss * ((1 - t) / (1 - p) - t / p)``."""
    p, t = cache
    with np.errstate(divide="ignore", invalid="ignore"):
        down = np.where(t == 0, 0, t / p)
        up = np.where(t == 1, 0, (1 - t) / (1 - p))
    return dlosses * (up - down)


def slope_of_targets(forward, predictions, class_weights=None):
    """A cross-entropy's slope in its targets, which does not depend on them.

    Parameters
    ----------
    forward : function
        The cross-entropy: one of those above, of which each is linear in its targets.
    predictions : array
        Its first argument, as floats.
    class_weights : array (K,), optional

    Returns
    -------
    array of the predictions' shape
    """
    if forward is sigmoid_crossentropy_forward:
        return -predictions
    with np.errstate(divide="ignore"):
        if forward is binary_crossentropy_forward:
            return np.log(1 - predictions) - np.log(predictions)
        if forward is softmax_crossentropy_forward:
            log_p, _ = log_softmax_forward(predictions)
        else:
            log_p = np.log(predictions)
    if class_weights is None:
        return -log_p
    return -log_p * to_device(class_weights, device_of(log_p)).astype(log_p.dtype)


def squared_error_forward(a, b):
    """``(a - b)²`` for each element (no factor ½), as in Lasagne.

    Parameters
    ----------
    a : array
    b : array of that shape, (N,) for an a of (N, 1), or a number

    Returns
    -------
    losses : array of a's shape
    cache : tuple
    """
    a = _floats(a)
    given = as_array(b)
    b = as_column(given.astype(a.dtype, copy=False), a)
    if b.shape not in (a.shape, ()):
        raise ShapeError(
            f"squared_error: expected targets of the predictions' shape {a.shape}, "
            f"or a number, got {b.shape}.")
    difference = a - b[()]  # of shape () a number, which any device takes
    return difference * difference, (difference, given.shape)


def squared_error_backward(dlosses, cache):
    """``da = 2 (a - b) dloss``."""
    return 2 * cache[0] * dlosses


def squared_error_gradients(dlosses, cache):
    """Those of both: ``da``, and ``db = -da`` in b's shape."""
    da, shape = squared_error_backward(dlosses, cache), cache[1]
    return da, (-da.sum() if shape == () else -da.reshape(shape))


def multiclass_hinge_forward(scores, targets, delta=1.0):
    r"""``max(0, s - s_t + delta)``, s being the largest score of another class.

    Parameters
    ----------
    scores : array, shape (N, K), K of 2 or more
    targets : int array (N,), or (N, K) with a 1 at the class and 0 elsewhere
    delta : float

    Returns
    -------
    losses : array, shape (N,)
    cache : tuple
    """
    scores = _floats(scores)
    targets, _ = _checked(targets, scores, None)
    if scores.shape[1] < 2:
        raise ShapeError("multiclass_hinge_loss: expected scores of 2 or more classes, "
                         f"got shape {scores.shape}.")
    true = targets.argmax(axis=1) if targets.ndim == 2 else targets
    classes = np.arange(scores.shape[1], like=scores)
    at_true = classes == true[:, None]  # (N, K)
    others = np.where(at_true, -np.inf, scores)
    at_best = classes == others.argmax(axis=1)[:, None]
    losses = others.max(axis=1) - np.where(at_true, scores, 0).sum(axis=1) + delta
    slope = at_best.astype(scores.dtype) - at_true.astype(scores.dtype)
    return np.maximum(losses, 0).astype(scores.dtype, copy=False), (slope, losses > 0)


def multiclass_hinge_backward(dlosses, cache):
    """``dloss`` to the best other class, ``-dloss`` to the true one, if it is > 0."""
    slope, active = cache
    return (dlosses * active)[:, None] * slope


def as_column(targets, scores):
    """Targets (N,) as (N, 1) where the scores are (N, 1); others as they are."""
    if targets.ndim == 1 and scores.shape == (len(targets), 1):
        return targets.reshape(-1, 1)
    return targets


def weighted_targets(targets, scores, class_weights=None):
    """Targets as an array (N, K) of scores' type, times the class weights.

    Raises
    ------
    ShapeError
        If the shapes do not fit or a class number is outside 0..K-1.
    """
    return _weighted(*_checked(targets, scores, class_weights), scores)


def _floats(array):
    """Whole numbers as float64: the targets take the type of what they are held
    against, and would lose their fractions."""
    array = as_array(array)
    return array.astype(np.float64) if array.dtype.kind in "biu" else array


def _binary_targets(targets, scores):
    """Targets as an array of the scores' shape and type, values in [0, 1]."""
    t = as_column(as_array(targets), scores)
    if t.shape == ():  # one target for all, as for what a pair of networks judges
        t = np.zeros_like(scores) + t[()]
    if t.shape != scores.shape:
        raise ShapeError(
            f"binary_crossentropy: expected targets of the predictions' shape "
            f"{scores.shape}, got {t.shape}.")
    return _shares(t.astype(scores.dtype, copy=False), "binary_crossentropy", "targets",
                   "Labels of -1 and 1 become (labels + 1) / 2.")


def _shares(array, loss, what, remedy):
    """An array of numbers in [0, 1], but for rounding and the small steps by which
    gradients are measured; NaN is found elsewhere."""
    slack = 0.01
    outside = (array < -slack) | (array > 1 + slack)
    if on_gpu(array):
        return np.where(outside, np.nan, array).astype(array.dtype, copy=False)
    if outside.any():
        raise ShapeError(f"{loss}: expected {what} in [0, 1], got numbers from "
                         f"{array.min():.3g} to {array.max():.3g}. {remedy}")
    return array


def _checked(targets, scores, class_weights):
    """Targets and class weights as arrays that fit the scores (N, K)."""
    if scores.ndim != 2 or not scores.shape[1]:
        raise ShapeError(
            f"crossentropy: expected one score for each class, (N, K) with K > 0, got "
            f"shape {scores.shape}.")
    N, K = scores.shape
    targets = as_array(targets)
    is_classes = targets.shape == (N,) and targets.dtype.kind in "iu"
    if not is_classes and targets.shape != (N, K):
        raise ShapeError(
            f"crossentropy: expected targets as int class numbers ({N},) or as "
            f"a distribution ({N}, {K}), got {targets.dtype} {targets.shape}.")
    if is_classes and N and not on_gpu(targets) and (
            targets.min() < 0 or targets.max() >= K):
        raise ShapeError(
            f"crossentropy: expected class numbers 0..{K - 1}, got "
            f"{targets.min()}..{targets.max()}. Does the last layer have "
            "as many units as there are classes?")
    if class_weights is not None:
        class_weights = to_device(class_weights, device_of(scores))
        if class_weights.shape != (K,):
            raise ShapeError(
                f"crossentropy: expected one class weight for each of the {K} "
                f"classes, got shape {class_weights.shape}.")
    return targets, class_weights


def _weighted(targets, class_weights, scores):
    """Checked targets as an array (N, K) of scores' type, times the weights."""
    t = targets if targets.ndim == 2 else _one_hot(targets, scores.shape[1])
    t = t.astype(scores.dtype)
    if class_weights is not None:
        t *= class_weights.astype(scores.dtype)
    return t


def _one_hot(classes, K):
    """Rows with a 1 at the class, the others 0; NaN where it is out of range."""
    t = classes[:, None] == np.arange(K, like=classes)
    return np.where(t.any(axis=1, keepdims=True), t, np.nan)


def _t_log(t, p):
    """``t * log(p)``, 0 where t is 0."""
    with np.errstate(divide="ignore"):
        return np.where(t == 0, 0, t * np.log(np.where(t == 0, 1, p)))
