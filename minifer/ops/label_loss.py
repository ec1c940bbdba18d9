"""Cross-entropy with labels at each place of a map, some of which do not count.

>>> log_p = np.log(np.array([[[0.5, 0.25], [0.5, 0.75]]]))  # (1, 2, 2): two places
>>> y, _ = label_loss_forward(log_p, np.array([[0, 9]]), ignore=9)
>>> y.round(2)
array([[0.69, 0.  ]])
"""

import numpy as np

from ..errors import LabelError, ShapeError

__all__ = ["label_loss_forward", "label_loss_backward", "label_weights"]


def label_weights(labels, weights, ignore, classes):
    """How much each label counts, and the labels, 0 where they do not count at all.

    Parameters
    ----------
    labels : array, any shape
        Whole numbers, 0 … classes - 1, or ``ignore``.
    weights : array, shape (classes,), or None
        How much each class counts; None: all alike.
    ignore : int or None
        The label of what does not count.
    classes : int

    Returns
    -------
    counts : array of labels' shape
    labels : array of int64

    Raises
    ------
    LabelError
        If a label is none of these.
    """
    labels = labels.astype(np.int64)
    valid = np.ones(labels.shape, bool) if ignore is None else labels != ignore
    labels = np.where(valid, labels, 0)
    if labels.size and not (0 <= int(labels.min()) and int(labels.max()) < classes):
        raise LabelError(f"label loss: expected labels 0 to {classes - 1}"
                         f"{'' if ignore is None else f' or {ignore}'}, got "
                         f"{int(labels.min())} to {int(labels.max())}.")
    if weights is None:
        return valid.astype(np.float32), labels
    return valid * weights[labels], labels


def label_loss_forward(log_p, labels, weights=None, ignore=None):
    r"""The negative logarithm of the right class's probability, at each place.

    .. math:: y_{n,i} = -w_{t_{n,i}} \log p_{n,\,t_{n,i},\,i}

    Parameters
    ----------
    log_p : array, shape (N, C, ...)
        Logarithms of probabilities.
    labels : array, shape (N, ...)
    weights : array, shape (C,), or None
    ignore : int or None
        The label of what does not count: its loss is 0.

    Returns
    -------
    y : array, shape (N, ...)
    cache : tuple
    """
    if log_p.ndim < 2 or labels.shape != (len(log_p), *log_p.shape[2:]):
        raise ShapeError(f"label loss: expected labels (N, ...) for log p (N, C, ...), "
                         f"got {labels.shape} and {log_p.shape}.")
    counts, labels = label_weights(labels, weights, ignore, log_p.shape[1])
    counts = counts.astype(log_p.dtype)
    picked = np.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    return -picked * counts, (labels, counts, log_p.shape)


def label_loss_backward(dy, cache):
    """``-w dy`` at the right class of each place, else 0; labels have no gradient."""
    labels, counts, shape = cache
    dlog_p = np.zeros_like(dy, shape=shape)
    np.put_along_axis(dlog_p, labels[:, None], (-counts * dy)[:, None], axis=1)
    return dlog_p
