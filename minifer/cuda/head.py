"""The last dense layer with softmax and mean cross-entropy, in two launches.

The kernels are in ``head.cu``. All arrays are of float32, lie in plain order and
belong to the caller.
"""

from .loader import kernel

__all__ = ["supported", "workspace", "head"]

WARPS = 8        # as in head.cu
MOST_ROWS = 64
MOST_PARTS = 64  # beyond, blocks take more rows, up to MOST_ROWS

#: Bytes of shared memory of any GPU that minifer knows: sm_75 has 64 KB.
SHARED = 64 * 1024


def supported(D, K):
    """Whether :func:`head` can do a layer of D inputs and K classes."""
    return D <= 1024 and K <= 32 and _shared(D, K) + 4 * MOST_ROWS * K <= SHARED


def workspace(N, D, K):
    """Floats that :func:`head` wants as scratch for N rows, or for fewer."""
    return max(min(-(-N // WARPS), MOST_PARTS), -(-N // MOST_ROWS)) * (D + 1) * K


def head(h, W, b, targets, class_weights, logits, losses, dlogits, dh, dW, db, work):
    """Scores, losses, and the gradients of the mean loss.

    ``z = h W + b``, ``loss[n] = w[t] * (log(sum over k of exp(z[n,k])) - z[n,t])`` with
    ``t = targets[n]``; the gradients are those of ``sum over n of loss[n] / N``.

    Parameters
    ----------
    h : device array, shape (N, D)
    W : device array, shape (D, K)
    b : device array, shape (K,), or None
    targets : int32 device array, shape (N,)
        A number that is no class makes its loss NaN.
    class_weights : device array, shape (K,), or None
    logits : device array, shape (N, K)
        z; written, as all that follows.
    losses : device array, shape (N,)
    dlogits, dh, dW, db : device arrays of the shapes of z, h, W, b, or None
        None for what is not wanted.
    work : device array of :func:`workspace` floats
        May be None if neither dW nor db is wanted.
    """
    (N, D), K = h.shape, W.shape[1]
    rows = min(MOST_ROWS, -(-N // (WARPS * MOST_PARTS)) * WARPS)
    P, parts = -(-N // rows), None
    if dW is not None or db is not None:
        parts = work.reshape(-1)[:P * (D + 1) * K]  # for (P, D + 1, K)
    sizes = dict(FEATURES=D, CLASSES=K)
    kernel("head.cu", "head_rows", h, **sizes)(
        h, W, b, targets, class_weights, logits, losses, dlogits, dh, parts, N, P, rows,
        grid=P, block=32 * WARPS, shared=_shared(D, K))
    if parts is not None:
        kernel("head.cu", "head_sum", h, **sizes)(parts, dW, db, P,
                                                  threads=(D + 1) * K)


def _shared(D, K):
    """Bytes of W in shared memory, its rows an odd number of places apart."""
    return 4 * D * (K | 1)
