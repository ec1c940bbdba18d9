"""One loss for each sample: the objectives, as Lasagne has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._types import Array
from ..device.arrays import as_array, on_gpu
from ..errors import NotFiniteError, SettingError, ShapeError
from ..expressions import (Apply, Expression, as_expression, function_of_arrays,
                           functions)
from ..ops import activation, elementwise, loss

__all__ = ["categorical_crossentropy", "softmax_crossentropy",
           "binary_crossentropy", "sigmoid_crossentropy", "squared_error",
           "binary_hinge_loss", "multiclass_hinge_loss", "huber_loss",
           "binary_accuracy", "categorical_accuracy"]


def categorical_crossentropy(predictions: Array | Expression,
                             targets: Array | Expression,
                             class_weights: Array | None = None) -> Any:
    r"""Cross-entropy of probabilities and targets.

    .. math:: \ell_n = -\sum_k w_k t_{n,k} \log p_{n,k}

    Parameters
    ----------
    predictions : array or expression, shape (N, K)
        Probabilities, such as a softmax gives.
    targets : array or expression
        Class numbers, int (N,), or a distribution for each sample, float (N, K).
    class_weights : array (K,), optional
        w, larger for classes that matter more. Default: all 1.

    Returns
    -------
    array or expression, shape (N,)

    Notes
    -----
    Probabilities are not clipped: a 0 for the true class gives infinity. An
    expression that ends in a softmax is fused with it and computed from the
    logits, which is exact however sure the network is.
    """
    logits = _logits_of(activation.softmax_forward, predictions)
    if logits is not None:
        return softmax_crossentropy(logits, targets, class_weights)
    return _objective(loss.categorical_crossentropy_forward,
                      loss.categorical_crossentropy_backward,
                      predictions, targets, class_weights)


def softmax_crossentropy(logits: Array | Expression, targets: Array | Expression,
                         class_weights: Array | None = None) -> Any:
    """:func:`categorical_crossentropy` of ``softmax(logits)``, in one stable step.

    Parameters
    ----------
    logits : array or expression, shape (N, K)
        A network's output before its softmax.
    targets, class_weights
        As in :func:`categorical_crossentropy`.
    """
    return _objective(loss.softmax_crossentropy_forward,
                      loss.softmax_crossentropy_backward,
                      logits, targets, class_weights)


def binary_crossentropy(predictions: Array | Expression,
                        targets: Array | Expression) -> Any:
    """``-(t log p + (1 - t) log(1 - p))``, element by element.

    Parameters
    ----------
    predictions, targets : arrays or expressions of one shape (or a number), in [0, 1]

    Returns
    -------
    array or expression of that shape

    Notes
    -----
    Probabilities are not clipped: a 0 or 1 where the target says otherwise gives
    infinity. An expression that ends in a sigmoid is fused with it and computed from
    the scores, which is exact however sure the network is.
    """
    logits = _logits_of(activation.sigmoid_forward, predictions)
    if logits is not None:
        return sigmoid_crossentropy(logits, targets)
    return _objective(loss.binary_crossentropy_forward,
                      loss.binary_crossentropy_backward, predictions, targets)


def sigmoid_crossentropy(logits: Array | Expression,
                         targets: Array | Expression) -> Any:
    """:func:`binary_crossentropy` of ``sigmoid(logits)``, in one stable step.

    Parameters
    ----------
    logits : array or expression
        A network's output before its sigmoid.
    targets : array or expression of that shape, in [0, 1]

    Returns
    -------
    array or expression of that shape
    """
    return _objective(loss.sigmoid_crossentropy_forward,
                      loss.sigmoid_crossentropy_backward, logits, targets)


def squared_error(a: Array | Expression, b: Array | Expression) -> Any:
    """``(a - b)²``, element by element, without a factor ½.

    Parameters
    ----------
    a, b : arrays or expressions
        They have one shape; b may be a number, or (N,) where a is (N, 1).

    Returns
    -------
    array or expression of a's shape
    """
    return _objective(loss.squared_error_forward, loss.squared_error_gradients, a, b)


@function_of_arrays
def binary_hinge_loss(predictions: Array | Expression, targets: Array | Expression,
                      delta: float = 1, log_odds: bool | None = None,
                      binary: bool = True) -> Any:
    r"""Hinge loss of two classes, element by element.

    .. math:: \ell = \max(0, \delta - t z)

    Parameters
    ----------
    predictions : array or expression
        Scores z, or probabilities (see ``log_odds``).
    targets : array or expression of that shape, or (N,) for (N, 1)
        t: in {0, 1}, or in {-1, 1} (see ``binary``).
    delta : float, default 1
        The margin.
    log_odds : bool, optional
        False: predictions are probabilities, of which :math:`z = \log(p / (1 - p))` is
        taken. None and True: they are scores.
    binary : bool, default True
        Whether targets are in {0, 1}.

    Returns
    -------
    array or expression of the predictions' shape
    """
    z = as_expression(predictions)
    if log_odds is not None and not log_odds:
        scores = _logits_of(activation.sigmoid_forward, z)
        z = functions.unary(np.log, z / (1 - z)) if scores is None else scores
    t = _column(targets, z)
    below = delta - (2 * t - 1 if binary else t) * z
    return Apply(activation.rectify_forward, activation.rectify_backward, below,
                 ndim=z.ndim)


@function_of_arrays
def multiclass_hinge_loss(predictions: Array | Expression, targets: Array | Expression,
                          delta: float = 1) -> Any:
    r"""Hinge loss of the true class against the most likely other.

    .. math:: \ell_n = \max(0, \max_{k \ne t_n} p_{n,k} - p_{n,t_n} + \delta)

    Parameters
    ----------
    predictions : array or expression, shape (N, K)
    targets : int array (N,), or (N, K) with a 1 at the class and 0 elsewhere
    delta : float, default 1
        The margin.

    Returns
    -------
    array or expression, shape (N,)
    """
    return Apply(loss.multiclass_hinge_forward, loss.multiclass_hinge_backward,
                 as_expression(predictions), as_expression(targets),
                 constants=(float(delta),), ndim=1)


@function_of_arrays
def huber_loss(predictions: Array | Expression, targets: Array | Expression,
               delta: float = 1) -> Any:
    r"""Squared error near 0, absolute error beyond.

    .. math:: \ell = \begin{cases} \frac12 (p - t)^2 & |p - t| \le \delta \\
              \delta\,(|p - t| - \frac12 \delta) & \text{else} \end{cases}

    Parameters
    ----------
    predictions : array or expression
    targets : array or expression of that shape, or (N,) for (N, 1)
    delta : float, default 1
        Where the parabola becomes a line.

    Returns
    -------
    array or expression of the predictions' shape

    References
    ----------
    Huber (1964): Robust estimation of a location parameter.
    """
    p = as_expression(predictions)
    distance = abs(p - _column(targets, p))
    near = functions.elementwise_op("minimum", distance, delta)  # the square's part
    return near * (distance - 0.5 * near)


@function_of_arrays
def binary_accuracy(predictions: Array | Expression, targets: Array | Expression,
                    threshold: float = 0.5) -> Any:
    """Whether each prediction is on its target's side of a threshold, as bool.

    Parameters
    ----------
    predictions : array or expression
        Probabilities.
    targets : array or expression of that shape, or (N,) for (N, 1); in {0, 1}
    threshold : float, default 0.5
        From here on the answer is 1.

    Returns
    -------
    array or expression of the predictions' shape; take the mean for the accuracy
    """
    p = as_expression(predictions)
    return functions.compare(np.equal, functions.compare(np.greater_equal, p,
                                                         threshold),
                             _column(targets, p))


def categorical_accuracy(predictions: Array | Expression, targets: Array | Expression,
                         top_k: int = 1) -> Any:
    """Whether each sample's class is among the ``top_k`` most likely: 1.0 or 0.0.

    Parameters
    ----------
    predictions : array or expression, shape (N, K)
    targets : int array (N,) or float array (N, K)
    top_k : int >= 1

    Returns
    -------
    array or expression, shape (N,); take the mean for the accuracy
    """
    if isinstance(predictions, Expression):
        return Apply(_accuracy, None, predictions, as_expression(targets),
                     constants=(top_k,))
    return _accuracy(predictions, as_array(targets), top_k)[0]


def _column(targets, predictions):
    """Targets (N,) as (N, 1) where the predictions are (N, 1); others as they are."""
    return Apply(_as_column, _as_column_backward, as_expression(targets), predictions,
                 ndim=predictions.ndim)


def _as_column(targets, predictions):
    column = loss.as_column(as_array(targets), predictions)
    if column.shape not in (predictions.shape, ()):
        raise ShapeError(
            f"objectives: expected targets of the predictions' shape "
            f"{predictions.shape}, or a number, got {column.shape}.")
    # Small whole numbers without a sign would make a large one of 0 - 1.
    floats = predictions.dtype if predictions.dtype.kind == "f" else np.float64
    return column.astype(floats, copy=False), np.shape(targets)


def _as_column_backward(dy, shape):
    return dy.reshape(shape) if shape else dy.sum()


def _logits_of(op, predictions):
    """What predictions are this op of, if they are an expression that ends in it."""
    ends_in_op = isinstance(predictions, Apply) and predictions.op is op
    return predictions.inputs[0] if ends_in_op else None


class CrossEntropy(Apply):
    """A cross-entropy whose gradient goes back to its targets, too.

    They may be what another network puts out, or the same one. Class numbers have none.
    """

    def forward(self, predictions, targets):
        losses, cache = super().forward(predictions, targets)
        return losses, (*cache, elementwise.place_of(targets))

    def backward(self, dvalue, cache):
        *cache, place = cache
        (dpredictions,), of_params = super().backward(dvalue, tuple(cache))
        if place is None or place[1].kind != "f":
            return (dpredictions,), of_params
        slope = loss.slope_of_targets(self.op, cache[0], *self.constants)
        dtargets = dvalue.reshape(
            dvalue.shape + (1,) * (slope.ndim - dvalue.ndim)) * slope
        if place[0] == ():  # one target for all
            dtargets = dtargets.sum()
        return (dpredictions, dtargets.reshape(place[0]).astype(
            place[1], copy=False)), of_params


def _objective(forward, backward, predictions, targets, *constants):
    """The op on arrays at once, on expressions as an expression."""
    for class_weights in constants:
        _check_weights(class_weights)
    if isinstance(predictions, Expression) or isinstance(targets, Expression):
        predictions = as_expression(predictions)
        whole = backward in (loss.softmax_crossentropy_backward,
                             loss.categorical_crossentropy_backward)
        # Arrays, which a device gets once, and not in a step that is captured.
        constants = tuple(None if one is None else as_array(one) for one in constants)
        kind = Apply if backward is loss.squared_error_gradients else CrossEntropy
        return kind(forward, backward, predictions, as_expression(targets),
                    constants=constants, ndim=1 if whole else predictions.ndim)
    return forward(as_array(predictions), targets, *constants)[0]


def _check_weights(weights):
    """Raise an error unless class weights are finite and 0 or more, some above 0."""
    if weights is None or on_gpu(weights):  # to look there, all would have to wait
        return
    given = np.asarray(weights)
    if given.dtype.kind not in "iuf" or given.ndim != 1:
        raise ShapeError("crossentropy: expected class weights (K,), got "
                         f"{given.dtype} {given.shape}.")
    if not np.isfinite(given).all():
        raise NotFiniteError("crossentropy: expected class weights that are finite, "
                             f"got {given.tolist()}.")
    if given.min(initial=0) < 0 or not given.any():
        raise SettingError("crossentropy: expected class weights of 0 or more, some "
                           f"above 0, got {given.tolist()}.")


def _accuracy(predictions, targets, top_k):
    if targets.ndim == 2 and targets.shape == predictions.shape:
        targets = targets.argmax(axis=1)
    if targets.shape != predictions.shape[:1]:
        raise ShapeError(
            f"categorical_accuracy: expected targets ({len(predictions)},) or "
            f"{predictions.shape}, got {targets.shape}.")
    best = (predictions.argmax(axis=1)[:, None] if top_k == 1 else
            np.argsort(-predictions, axis=1, kind="stable")[:, :top_k])
    return (best == targets[:, None]).any(axis=1).astype(predictions.dtype), ()
