"""Cross-entropy of scores over maps, where some labels do not count."""

from __future__ import annotations

from typing import Any

from .._types import Array
from ..errors import SettingError
from ..expressions import Expression, as_expression, function_of_arrays
from ..expressions.named import FUNCTIONS

__all__ = ["label_crossentropy"]


@function_of_arrays
def label_crossentropy(scores: Array | Expression, labels: Array | Expression,
                       class_weights: Array | None = None,
                       ignore_index: int | None = None,
                       reduction: str = "none") -> Any:
    r"""Cross-entropy of softmax(scores), for one label a sample or one a pixel.

    .. math:: \ell_{n,i} = -w_{t_{n,i}} \log\,
              \frac{e^{s_{n,t_{n,i},i}}}{\sum_k e^{s_{n,k,i}}}

    Parameters
    ----------
    scores : array or expression, shape (N, K, ...)
        What a network puts out before its softmax; what follows the classes are
        places, such as the pixels of a map.
    labels : array or expression, shape (N, ...)
        Class numbers, 0 … K - 1, or ``ignore_index``.
    class_weights : array (K,), optional
        w, larger for classes that matter more. Default: all 1.
    ignore_index : int, optional
        The label of places that do not count; their loss and gradient are 0.
    reduction : {'none', 'mean', 'sum'}, default 'none'
        'mean' is over what counts, by how much it counts, as ONNX and PyTorch have it.

    Returns
    -------
    array or expression, shape (N, ...), or a single number

    Raises
    ------
    LabelError
        If a label is none of the classes.
    SettingError
        If there is no such reduction.

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.zeros((1, 2, 3))  # two classes, three places, all alike
    >>> label_crossentropy(scores, np.array([[0, 1, 255]]), ignore_index=255).round(3)
    array([[0.693, 0.693, 0.   ]])
    """
    if reduction not in ("none", "mean", "sum"):
        raise SettingError("label_crossentropy: expected a reduction 'none', 'mean' or "
                           f"'sum', got {reduction!r}.")
    log_p = FUNCTIONS["log_softmax"](as_expression(scores), axis=1)
    return FUNCTIONS["label_loss"](log_p, as_expression(labels), class_weights,
                                   ignore_index, reduction)
