"""The gates of recurrent layers on a device; the kernels are in ``recurrent.cu``.

One launch a step, forward or backward; the products between are the caller's. Arrays
are contiguous, of one float type. ``flags`` are 0 where a sequence keeps its state.
"""

from .loader import kernel

__all__ = ["lstm_forward", "lstm_backward", "gru_forward", "gru_backward"]


def lstm_forward(gates, product, h, c, peepholes, flags, c_new, shown, h_new):
    """A step of an LSTM, sigmoids and tanh.

    Parameters
    ----------
    gates : device array, shape (N, 4H)
        The input's part of i, f, c, o, with the bias; becomes what the gates give.
    product : device array, shape (N, 4H)
        ``h @ W_hid``.
    h, c : device arrays, shape (N, H)
        The states before.
    peepholes : device array, shape (3, H), or None
    flags : device array, shape (N, 1), or None
    c_new, shown, h_new : device arrays, shape (N, H)
        Filled: the cells, their tanh, the output.
    """
    N, H = h.shape
    kernel("recurrent.cu", "lstm_forward", gates)(
        gates, product, h, c, peepholes, flags, c_new, shown, h_new, N, H,
        threads=N * H)


def lstm_backward(dy, dh, dc, gates, c, c_new, shown, peepholes, flags, seen, clip, dz,
                  kept):
    """The gradients of a step.

    Parameters
    ----------
    dy, dh : device arrays, shape (N, H)
        The gradients of the output, from above and from the step after.
    dc : device array, shape (N, H)
        The gradient of the cells after; becomes that of the cells before.
    gates, c, c_new, shown, peepholes, flags
        Those of :func:`lstm_forward`, after it.
    seen : device array, shape (N, 3H), or None
        The gradients of the peepholes are added here.
    clip : float
        Limit of dz; 0 is none.
    dz : device array, shape (N, 4H)
        Filled.
    kept : device array, shape (N, H)
        Filled: what of the gradient passes a masked step by.
    """
    N, H = dy.shape
    kernel("recurrent.cu", "lstm_backward", dy)(
        dy, dh, dc, gates, c, c_new, shown, peepholes, flags, seen, dz, kept,
        float(clip), N, H, threads=N * H)


def gru_forward(gates, product, h, flags, h_new):
    """A step of a GRU, sigmoids and tanh.

    Parameters
    ----------
    gates : device array, shape (N, 3H)
        The input's part of r, u, c, with the bias; becomes what the gates give.
    product : device array, shape (N, 3H)
        ``h @ W_hid``.
    h : device array, shape (N, H)
    flags : device array, shape (N, 1), or None
    h_new : device array, shape (N, H)
        Filled.
    """
    N, H = h.shape
    kernel("recurrent.cu", "gru_forward", gates)(gates, product, h, flags, h_new, N, H,
                                                 threads=N * H)


def gru_backward(dy, dh, gates, product, h, flags, clip, dz, dproduct, kept):
    """The gradients of a step.

    Parameters
    ----------
    dy, dh : device arrays, shape (N, H)
        The gradients of the state, from above and from the step after.
    gates, product, h, flags
        Those of :func:`gru_forward`, after it.
    clip : float
        Limit of dz and dproduct; 0 is none.
    dz, dproduct : device arrays, shape (N, 3H)
        Filled.
    kept : device array, shape (N, H)
        Filled: what of the gradient goes past the products.
    """
    N, H = dy.shape
    kernel("recurrent.cu", "gru_backward", dy)(
        dy, dh, gates, product, h, flags, dz, dproduct, kept, float(clip), N, H,
        threads=N * H)
