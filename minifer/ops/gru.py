r"""Gated recurrent units: a gate mixes the old state with a new one.

.. math::

    r_t = \sigma_r(x_t W_{xr} + h_{t-1} W_{hr} + b_r)

    u_t = \sigma_u(x_t W_{xu} + h_{t-1} W_{hu} + b_u)

    c_t = \sigma_c(x_t W_{xc} + r_t \odot (h_{t-1} W_{hc}) + b_c)

    h_t = (1 - u_t) \odot h_{t-1} + u_t \odot c_t

Cho et al. (2014), arXiv:1409.1259. The reset gate acts on the product, as in Lasagne,
PyTorch and cuDNN, so that all products of a step are one.
"""

import numpy as np

from ..cuda import recurrent as kernels
from ..device.arrays import contiguous, on_gpu
from ..device.threads import Helper
from .gates import AnyGates, UsualGates
from .products import matmul
from .sequence import (Projection, WeightGradients, as_flags, batch_first, column_sums,
                       first_step, limited, states, time_first)

__all__ = ["gru_forward", "gru_backward"]


def gru_forward(x, W_in, W_hid, b, h0, mask=None, nonlinearities=None,
                backwards=False, helper=Helper()):
    """Run over sequences. Gates lie side by side in the order r, u, c.

    Parameters
    ----------
    x : array, shape (N, T, D)
    W_in : array, shape (D, 3H)
    W_hid : array, shape (H, 3H)
    b : array, shape (3H,)
    h0 : array, shape (N, H) or (1, H)
    mask, backwards, helper
        As for :func:`minifer.ops.lstm.lstm_forward`.
    nonlinearities : list of three objects with forward and backward, or None
        Those of r, u and c. None: sigmoids, and tanh for c.

    Returns
    -------
    h : array, shape (N, T, H)
    cache : tuple
    """
    (N, T, _), H = x.shape, len(W_hid)
    W_in, W_hid, b, h0 = (a.astype(x.dtype, copy=False) for a in (W_in, W_hid, b, h0))
    x = time_first(x, backwards)
    projection = Projection(x, W_in, b, helper)
    gates = projection.y
    h = states("h", T, h0, N, helper)
    products = helper.empty("products", gates, gates.shape)  # of the states
    flags = as_flags(mask, backwards, x.dtype)
    f = None
    if not (on_gpu(x) and nonlinearities is None):
        f = (UsualGates("sst", (N, H), x.dtype) if nonlinearities is None
             else AnyGates(nonlinearities, H))
    for t in projection.steps():
        z, product = gates[t], products[t]
        flag = None if flags is None else flags[t]
        matmul(h[t], W_hid, out=product)
        if f is None:
            kernels.gru_forward(z, product, h[t], flag, h[t + 1])
            continue
        r, u, new = (z[:, k * H:(k + 1) * H] for k in range(3))
        z[:, :2 * H] += product[:, :2 * H]
        f.forward(t, z, 0, 2)
        new += r * product[:, 2 * H:]
        f.forward(t, z, 2, 3)
        np.subtract(new, h[t], out=h[t + 1])
        h[t + 1] *= u
        h[t + 1] += h[t]
        if flag is not None:
            np.copyto(h[t + 1], h[t], where=flag == 0)
    cache = x, W_in, W_hid, flags, f, gates, h, products, len(h0), backwards, helper
    return batch_first(h[1:], backwards), cache


def gru_backward(dy, cache, clip=0.0, gradient_steps=-1, need_dx=True):
    """Gradients of :func:`gru_forward`, back through time.

    Parameters
    ----------
    dy : array, shape (N, T, H)
    cache : tuple
    clip : float
        Limit of the gradients of both products, and of what enters σ_c; 0 is none.
    gradient_steps, need_dx
        As for :func:`minifer.ops.lstm.lstm_backward`.

    Returns
    -------
    dx, dW_in, dW_hid, db, dh0 : arrays
        None for dx that is not wanted.
    """
    x, W_in, W_hid, flags, f, gates, h, products, length, backwards, helper = cache
    T, N, _ = gates.shape
    first = first_step(T, gradient_steps)
    dy = time_first(dy, backwards)
    dz, dproducts = (helper.empty(name, gates, gates.shape)
                     for name in ("dz", "dproducts"))
    through = WeightGradients(x, dz, W_in, h[:-1], dproducts, need_dx, helper)
    W_hid = contiguous(W_hid.T)  # (3H, H), as it is used at every step
    dh = np.zeros_like(h[0])
    for t in reversed(range(first, T)):
        flag = None if flags is None else flags[t]
        if f is None:
            kept = np.empty_like(dh)
            kernels.gru_backward(dy[t], dh, gates[t], products[t], h[t], flag, clip,
                                 dz[t], dproducts[t], kept)
        else:
            kept = _step_back(t, dy[t] + dh, gates[t], products[t], h[t], flag, f, clip,
                              dz[t], dproducts[t])
        dh = matmul(dproducts[t], W_hid)
        through.reached(t, first)
        dh += kept
    if first:  # it does not reach the initial state
        dh = np.zeros_like(dh)
    dx, dW_in, dW_hid, db = through.finish()
    if need_dx:
        dx = batch_first(dx, backwards)
    return dx, dW_in, dW_hid, db, (
        dh if length == N else column_sums(dh)[None])


def _step_back(t, dh, a, product, h, flag, f, clip, dz, dproduct):
    """One step back: ``dz`` and ``dproduct`` (N, 3H) are filled.

    Returns the part of the gradient of the state before that goes past the products.
    """
    H = dh.shape[1]
    kept = 0
    if flag is not None:
        kept, dh = dh * (1 - flag), dh * flag
    r, u, new = (a[:, k * H:(k + 1) * H] for k in range(3))
    dr, du, dnew = (dz[:, k * H:(k + 1) * H] for k in range(3))
    np.multiply(dh, u, out=dnew)
    kept = kept + (dh - dnew)
    np.subtract(new, h, out=du)
    du *= dh
    f.backward(t, a, dz, 2, 3)
    limited(dnew, clip)
    np.multiply(dnew, product[:, 2 * H:], out=dr)
    f.backward(t, a, dz, 0, 2)
    limited(dz, clip)
    dproduct[:, :2 * H] = dz[:, :2 * H]
    np.multiply(dnew, r, out=dproduct[:, 2 * H:])
    limited(dproduct, clip)
    return kept
