r"""Gated recurrent units as other libraries have them, plainly.

Two things vary from :mod:`minifer.ops.gru`. The product of the state may have a bias
b' of its own, inside of what the reset gate multiplies (PyTorch, Keras, cuDNN):

.. math:: c_t = \sigma_c(x_t W_{xc} + r_t \odot (h_{t-1} W_{hc} + b') + b_c)

Or the reset gate acts before the product (Cho et al. 2014; ONNX's default):

.. math:: c_t = \sigma_c(x_t W_{xc} + (r_t \odot h_{t-1}) W_{hc} + b' + b_c)
"""

import numpy as np

from .products import matmul
from .sequence import (as_flags, batch_first, column_sums, first_step, limited,
                       time_first)

__all__ = ["gru_variant_forward", "gru_variant_backward"]


def gru_variant_forward(x, W_in, W_hid, b, b_hid, h0, mask=None, nonlinearities=(),
                        backwards=False, reset_after=True):
    """Run over sequences. Gates lie side by side in the order r, u, c.

    Parameters
    ----------
    x : array, shape (N, T, D)
    W_in, W_hid, b : arrays, shapes (D, 3H), (H, 3H), (3H,)
    b_hid : array, shape (H,)
        b'.
    h0 : array, shape (N, H) or (1, H)
    mask, backwards
        As for :func:`minifer.ops.gru.gru_forward`.
    nonlinearities : list of three objects with forward and backward
        Those of r, u and c.
    reset_after : bool
        Whether the reset gate acts on the product, or before it.

    Returns
    -------
    h : array, shape (N, T, H)
    cache : tuple
    """
    (N, T, D), H = x.shape, len(W_hid)
    W_in, W_hid, b, b_hid, h0 = (a.astype(x.dtype, copy=False)
                                 for a in (W_in, W_hid, b, b_hid, h0))
    x, flags = time_first(x, backwards), as_flags(mask, backwards, x.dtype)
    sums = (matmul(x.reshape(T * N, D), W_in) + b).reshape(T, N, 3 * H)
    h, steps, states = h0 + np.zeros_like(sums[0, :, :H]), [], []
    f_r, f_u, f_c = nonlinearities
    for t in range(T):
        gates = matmul(h, W_hid[:, :2 * H])
        r, r_cache = f_r.forward(sums[t, :, :H] + gates[:, :H])
        u, u_cache = f_u.forward(sums[t, :, H:2 * H] + gates[:, H:])
        seen = h if reset_after else r * h  # what is multiplied by W_hc
        product = matmul(seen, W_hid[:, 2 * H:]) + b_hid
        c, c_cache = f_c.forward(sums[t, :, 2 * H:]
                                 + (r * product if reset_after else product))
        steps.append((h, r, u, c, seen, product, r_cache, u_cache, c_cache))
        new = h + u * (c - h)
        h = new if flags is None else np.where(flags[t] != 0, new, h)
        states.append(h)
    cache = (x, W_in, W_hid, flags, nonlinearities, steps, len(h0), backwards,
             reset_after)
    return batch_first(np.stack(states), backwards), cache


def gru_variant_backward(dy, cache, clip=0.0, gradient_steps=-1, need_dx=True):
    """Gradients of :func:`gru_variant_forward`, back through time.

    Parameters
    ----------
    dy : array, shape (N, T, H)
    cache : tuple
    clip, gradient_steps, need_dx
        As for :func:`minifer.ops.gru.gru_backward`.

    Returns
    -------
    dx, dW_in, dW_hid, db, db_hid, dh0 : arrays
        None for dx that is not wanted.
    """
    (x, W_in, W_hid, flags, (f_r, f_u, f_c), steps, length, backwards,
     reset_after) = cache
    (T, N, D), H = x.shape, len(W_hid)
    dy, first = time_first(dy, backwards), first_step(len(x), gradient_steps)
    dz = np.zeros_like(dy, shape=(T, N, 3 * H))
    dW_hid, db_hid = np.zeros_like(W_hid), np.zeros_like(W_hid[0, :H])
    dh = np.zeros_like(dy[0])
    for t in reversed(range(first, T)):
        h, r, u, c, seen, product, r_cache, u_cache, c_cache = steps[t]
        dh, kept = dy[t] + dh, 0
        if flags is not None:
            kept, dh = dh * (1 - flags[t]), dh * flags[t]
        dc = limited(f_c.backward(dh * u, c_cache), clip)
        du = f_u.backward(dh * (c - h), u_cache)
        dh = kept + dh * (1 - u)
        dproduct = dc * r if reset_after else dc
        dseen = matmul(limited(dproduct, clip), W_hid[:, 2 * H:].T)
        dr = f_r.backward(dc * product if reset_after else dseen * h, r_cache)
        dz[t, :, :H], dz[t, :, H:2 * H], dz[t, :, 2 * H:] = dr, du, dc
        limited(dz[t], clip)
        dW_hid[:, 2 * H:] += matmul(seen.T, dproduct)
        dW_hid[:, :2 * H] += matmul(h.T, dz[t, :, :2 * H])
        db_hid += column_sums(dproduct)
        dh = dh + (dseen if reset_after else dseen * r) + matmul(
            dz[t, :, :2 * H], W_hid[:, :2 * H].T)
    if first:  # it does not reach the initial state
        dh = np.zeros_like(dh)
    flat = dz.reshape(T * N, 3 * H)
    dx = None
    if need_dx:
        dx = batch_first(matmul(flat, W_in.T).reshape(T, N, D), backwards)
    return (dx, matmul(x.reshape(T * N, D).T, flat), dW_hid, column_sums(flat),
            db_hid, dh if length == N else column_sums(dh)[None])
