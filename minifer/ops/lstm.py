r"""Long short-term memory: gates decide what a cell forgets, takes in and shows.

.. math::

    i_t = \sigma_i(x_t W_{xi} + h_{t-1} W_{hi} + w_{ci} \odot c_{t-1} + b_i)

    f_t = \sigma_f(x_t W_{xf} + h_{t-1} W_{hf} + w_{cf} \odot c_{t-1} + b_f)

    c_t = f_t \odot c_{t-1} + i_t \odot \sigma_c(x_t W_{xc} + h_{t-1} W_{hc} + b_c)

    o_t = \sigma_o(x_t W_{xo} + h_{t-1} W_{ho} + w_{co} \odot c_t + b_o)

    h_t = o_t \odot \sigma_h(c_t)

Hochreiter & Schmidhuber (1997), Neural Computation 9(8); forget gates by Gers et al.
(2000), Neural Computation 12(10); as in Graves (2013), arXiv:1308.0850.
"""

import numpy as np

from ..cuda import recurrent as kernels
from ..device.arrays import contiguous, on_gpu
from ..device.threads import Helper
from .gates import AnyGates, UsualGates
from .products import matmul
from .sequence import (Projection, WeightGradients, as_flags, batch_first, column_sums,
                       first_step, limited, states, time_first)

__all__ = ["lstm_forward", "lstm_backward"]


def lstm_forward(x, W_in, W_hid, b, h0, c0, peepholes=None, mask=None,
                 nonlinearities=None, backwards=False, helper=Helper()):
    """Run over sequences. Gates lie side by side in the order i, f, c, o.

    Parameters
    ----------
    x : array, shape (N, T, D)
    W_in : array, shape (D, 4H)
    W_hid : array, shape (H, 4H)
    b : array, shape (4H,)
    h0, c0 : arrays, shape (N, H) or (1, H)
        The states before the first step.
    peepholes : array, shape (3, H), or None
        What i, f and o see of the cell.
    mask : array, shape (N, T), or None
        Where it is 0, a sequence keeps its states.
    nonlinearities : list of five objects with forward and backward, or None
        Those of i, f, c, o, and of the output. None: sigmoids, and tanh for the other
        two.
    backwards : bool
        From the last step to the first.
    helper : minifer.device.threads.Helper
        Does the products of all steps beside the steps.

    Returns
    -------
    h : array, shape (N, T, H)
    cache : tuple
    """
    (N, T, _), H = x.shape, len(W_hid)
    W_in, W_hid, b, h0, c0, peepholes = (
        None if a is None else a.astype(x.dtype, copy=False)
        for a in (W_in, W_hid, b, h0, c0, peepholes))
    x = time_first(x, backwards)
    projection = Projection(x, W_in, b, helper)
    gates = projection.y
    h, c = (states(name, T, a, N, helper) for name, a in (("h", h0), ("c", c0)))
    shown = helper.empty("shown", x, (T, N, H))  # of the cells, by the output
    flags = as_flags(mask, backwards, x.dtype)
    if on_gpu(x) and nonlinearities is None:
        f = output = None
        for t in projection.steps():
            kernels.lstm_forward(gates[t], matmul(h[t], W_hid), h[t], c[t], peepholes,
                                 None if flags is None else flags[t], c[t + 1],
                                 shown[t], h[t + 1])
    else:
        f = (UsualGates("ssts", (N, H), x.dtype) if nonlinearities is None
             else AnyGates(nonlinearities[:4], H))
        output = None if nonlinearities is None else AnyGates(nonlinearities[4:], H)
        _steps(projection, h, c, shown, W_hid, peepholes, flags, f, output)
    cache = (x, W_in, W_hid, peepholes, flags, f, output, gates, h, c, shown,
             (len(h0), len(c0)), backwards, helper)
    return batch_first(h[1:], backwards), cache


def _steps(projection, h, c, shown, W_hid, peepholes, flags, f, output):
    """Forward, step by step: gates become their outputs; states are filled in."""
    H, gates = len(W_hid), projection.y
    product = np.empty_like(gates[0])
    for t in projection.steps():
        z = gates[t]
        matmul(h[t], W_hid, out=product)
        z += product
        i, ff, g, o = (z[:, k * H:(k + 1) * H] for k in range(4))
        if peepholes is not None:
            i += c[t] * peepholes[0]
            ff += c[t] * peepholes[1]
        f.forward(t, z, 0, 4 if peepholes is None else 3)
        np.multiply(ff, c[t], out=c[t + 1])
        c[t + 1] += i * g
        if peepholes is not None:
            o += c[t + 1] * peepholes[2]
            f.forward(t, z, 3, 4)
        if output is None:
            np.tanh(c[t + 1], out=shown[t])
        else:
            shown[t] = c[t + 1]
            output.forward(t, shown[t], 0, 1)
        np.multiply(o, shown[t], out=h[t + 1])
        if flags is not None:
            for state in h, c:
                np.copyto(state[t + 1], state[t], where=flags[t] == 0)


def lstm_backward(dy, cache, clip=0.0, gradient_steps=-1, need_dx=True):
    """Gradients of :func:`lstm_forward`, back through time.

    Parameters
    ----------
    dy : array, shape (N, T, H)
    cache : tuple
    clip : float
        Limit of the gradient of what enters the gates, peepholes aside; 0 is none.
    gradient_steps : int
        Through how many of the last steps it goes back; -1 is all.
    need_dx : bool

    Returns
    -------
    dx, dW_in, dW_hid, db, dh0, dc0, dpeepholes : arrays
        None for dx that is not wanted, and for peepholes that were None.
    """
    (x, W_in, W_hid, peepholes, flags, f, output, gates, h, c, shown, lengths,
     backwards, helper) = cache
    (T, N, H), first = shown.shape, first_step(len(shown), gradient_steps)
    dy = time_first(dy, backwards)
    dz = helper.empty("dz", gates, gates.shape)
    products = WeightGradients(x, dz, W_in, h[:-1], dz, need_dx, helper)
    W_hid = contiguous(W_hid.T)  # (4H, H), as it is used at every step
    dh, dc = (np.zeros_like(shown[0]) for _ in range(2))
    seen = None if peepholes is None else np.zeros_like(dh, shape=(N, 3 * H))
    for t in reversed(range(first, T)):
        flag = None if flags is None else flags[t]
        if f is None:
            kept = np.empty_like(dh)
            kernels.lstm_backward(dy[t], dh, dc, gates[t], c[t], c[t + 1], shown[t],
                                  peepholes, flag, seen, clip, dz[t], kept)
        else:
            kept, dc = _step_back(t, dy[t] + dh, dc, gates[t], c, shown[t], peepholes,
                                  flag, seen, f, output, clip, dz[t])
        dh = matmul(dz[t], W_hid)
        products.reached(t, first)
        if flag is not None:
            dh += kept
    if first:  # it does not reach the initial states
        dh, dc = np.zeros_like(dh), np.zeros_like(dc)
    dx, dW_in, dW_hid, db = products.finish()
    if need_dx:
        dx = batch_first(dx, backwards)
    dh0, dc0 = (d if length == N else column_sums(d)[None]
                for d, length in zip((dh, dc), lengths))
    return (dx, dW_in, dW_hid, db, dh0, dc0,
            None if seen is None else column_sums(seen).reshape(3, H))


def _step_back(t, dh, dc, a, c, shown, peepholes, flag, seen, f, output, clip, dz):
    """One step back.

    ``dz`` (N, 4H) is filled. Returns what of dh passes a masked step by, and the
    gradient of the cell before.
    """
    H = dh.shape[1]
    kept = kept_cell = None
    if flag is not None:
        kept, kept_cell = (d * (1 - flag) for d in (dh, dc))
        dh, dc = dh * flag, dc * flag
    i, ff, g, o = (a[:, k * H:(k + 1) * H] for k in range(4))
    di, df, dg, do = (dz[:, k * H:(k + 1) * H] for k in range(4))
    np.multiply(dh, shown, out=do)
    dshown = dh * o
    if output is None:
        dshown *= 1 - shown * shown
    else:
        output.backward(t, shown, dshown, 0, 1)
    dc = dc + dshown
    last = 4
    if peepholes is not None:
        f.backward(t, a, dz, 3, 4)
        dc += do * peepholes[2]
        last = 3
    np.multiply(dc, g, out=di)
    np.multiply(dc, c[t], out=df)
    np.multiply(dc, i, out=dg)
    dc *= ff
    f.backward(t, a, dz, 0, last)
    if peepholes is not None:
        dc += di * peepholes[0]
        dc += df * peepholes[1]
        for k, d, cell in (0, di, c[t]), (1, df, c[t]), (2, do, c[t + 1]):
            seen[:, k * H:(k + 1) * H] += d * cell
    limited(dz, clip)
    if flag is not None:
        dc += kept_cell
    return kept, dc
