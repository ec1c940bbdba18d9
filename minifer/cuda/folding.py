"""Batch norms by fixed averages folded into filters; the kernels are in ``folding.cu``.

Everything is written into arrays that the caller gives, by kernel launches alone.
"""

from .loader import kernel

__all__ = ["combine", "fold"]


def combine(norms, line):
    """What batch norms one behind the other do to each channel.

    Parameters
    ----------
    norms : list of (mean, inv_std, gamma, beta)
        Device arrays, shape (F,); gamma and beta may be None.
    line : device array, shape (2, F)
        Written: ``slope * z + shift`` is the same as all of them.
    """
    for place, norm in enumerate(norms):
        kernel("folding.cu", "fold_norm", line)(line, *norm, line.shape[1], place == 0,
                                                threads=line.shape[1])


def fold(W, b, before, between, behind, folded, bias, after):
    """Filters and bias of a convolution that does the work of batch norms above it.

    Parameters
    ----------
    W : device array, shape (F, C, kh, kw)
    b : device array, shape (F,), or None
    before, between, behind : device arrays, shape (2, F), or None
        From :func:`combine`: the norms before ReLU, between ReLU and pooling, and
        behind pooling.
    folded, bias : device arrays, shapes of W and (F,)
        Written.
    after : device array, shape (3, F), or None
        Written: the side on which ReLU lets each filter's values through, 1 above 0 and
        -1 below, and what is left to multiply with and to add behind pooling. It may be
        None if all norms are before ReLU.
    """
    kernel("folding.cu", "fold_filters", W)(
        W, b, before, between, behind, folded, bias, after, len(W), W.size // len(W),
        threads=W.size)
