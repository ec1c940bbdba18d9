"""What every operation means, in loops: slow, plain and independent.

The tests hold the fast code against these functions. They follow the
definitions letter by letter, compute in float64 whatever comes in, and import
nothing from minifer, so that a mistake cannot be on both sides.

Letters: N batch, C channels, H x W image, F filters, kh x kw window,
Ho x Wo output, D inputs and U units of a dense layer, K classes.
"""

import math

import numpy as np


# --- layers with weights ----------------------------------------------------

def dense(x, W, b=None):
    """y[n, u] = b[u] + sum over d of x[n, d] W[d, u]; x (N, D), W (D, U)."""
    N, D = x.shape
    U = W.shape[1]
    y = np.zeros((N, U))
    for n, u in np.ndindex(N, U):
        total = 0.0 if b is None else float(b[u])
        for d in range(D):
            total += float(x[n, d]) * float(W[d, u])
        y[n, u] = total
    return y


def embedding(x, W):
    """y[n] = W[x[n]], row by row; x of any shape, W (V, D)."""
    y = np.zeros((*x.shape, W.shape[1]))
    for place in np.ndindex(x.shape):
        y[place] = W[int(x[place])]
    return y


def conv2d(x, W, b=None, stride=(1, 1), pad=(0, 0), flip_filters=True):
    """Slide F filters W (F, C, kh, kw) over x (N, C, H, W) padded with zeros.

    With ``flip_filters`` it is the convolution of mathematics, where the
    filter runs against the image: W[..., kh-1-u, kw-1-v] meets the pixel at
    (u, v) of the window. Without, W[..., u, v] does (cross-correlation).
    ``b`` is (F,), or (F, Ho, Wo) for a bias of its own at every place.
    """
    N, C, H, width = x.shape
    F, _, kh, kw = W.shape
    (sh, sw), (ph, pw) = stride, pad
    y = np.zeros((N, F, (H + 2 * ph - kh) // sh + 1, (width + 2 * pw - kw) // sw + 1))
    for n, f, i, j in np.ndindex(y.shape):
        total = 0.0
        for c, u, v in np.ndindex(C, kh, kw):
            row, column = i * sh + u - ph, j * sw + v - pw
            if not (0 <= row < H and 0 <= column < width):
                continue  # a padded zero
            weight = W[f, c, kh - 1 - u, kw - 1 - v] if flip_filters else W[f, c, u, v]
            total += float(weight) * float(x[n, c, row, column])
        if b is not None:
            total += float(b[f] if b.ndim == 1 else b[f, i, j])
        y[n, f, i, j] = total
    return y


# --- recurrent layers -------------------------------------------------------

def _sigmoid(z):
    return 1 / (1 + math.exp(-z)) if z > 0 else math.exp(z) / (1 + math.exp(z))


def _product(x, h, W_in, W_hid, b, j):
    """Column j of x W_in + b, and of h W_hid; x (D,), h (H,)."""
    return (float(b[j]) + sum(float(x[d]) * float(W_in[d, j]) for d in range(len(x))),
            sum(float(h[k]) * float(W_hid[k, j]) for k in range(len(h))))


def _walk(x, mask, backwards, state, step):
    """h (N, T, H) of ``state = step(x[n, t], *state)``; h is the last of the state."""
    N, T, _ = x.shape
    h = np.zeros((N, T, len(state[-1][0])))
    for n in range(N):
        now = [np.array(one[n if len(one) > 1 else 0], float) for one in state]
        for t in reversed(range(T)) if backwards else range(T):
            if mask is None or mask[n, t] != 0:
                now = step(x[n, t], *now)
            h[n, t] = now[-1]
    return h


def lstm(x, W_in, W_hid, b, h0, c0, peepholes=None, mask=None, backwards=False,
         functions=(_sigmoid, _sigmoid, math.tanh, _sigmoid, math.tanh)):
    """Gates i, f, c, o; x (N, T, D), W_in (D, 4H), W_hid (H, 4H), peepholes (3, H)."""
    H = len(W_hid)
    p = np.zeros((3, H)) if peepholes is None else peepholes
    si, sf, sc, so, sh = functions

    def step(x, c, h):
        new_c, new_h = np.zeros(H), np.zeros(H)
        for u in range(H):
            i, f, g, o = (sum(_product(x, h, W_in, W_hid, b, k * H + u))
                          for k in range(4))
            i, f = si(i + p[0, u] * c[u]), sf(f + p[1, u] * c[u])
            new_c[u] = f * c[u] + i * sc(g)
            new_h[u] = so(o + p[2, u] * new_c[u]) * sh(new_c[u])
        return new_c, new_h

    return _walk(x, mask, backwards, (c0, h0), step)


def gru(x, W_in, W_hid, b, h0, mask=None, backwards=False,
        functions=(_sigmoid, _sigmoid, math.tanh)):
    """Gates r, u, c; x (N, T, D), W_in (D, 3H), W_hid (H, 3H)."""
    H = len(W_hid)
    sr, su, sc = functions

    def step(x, h):
        new = np.zeros(H)
        for k in range(H):
            (r, hr), (u, hu), (c, hc) = (
                _product(x, h, W_in, W_hid, b, gate * H + k) for gate in range(3))
            u = su(u + hu)
            new[k] = (1 - u) * h[k] + u * sc(c + sr(r + hr) * hc)
        return (new,)

    return _walk(x, mask, backwards, (h0,), step)


def recurrent(x, W_in, W_hid, b, h0, mask=None, backwards=False, function=math.tanh):
    """h = function(x W_in + h W_hid + b)."""
    def step(x, h):
        return (np.array([function(sum(_product(x, h, W_in, W_hid, b, u)))
                          for u in range(len(h))]),)

    return _walk(x, mask, backwards, (h0,), step)


# --- pooling ----------------------------------------------------------------

def pooled_length(length, size, step, pad, ignore_border):
    """How many windows of ``size``, ``step`` apart, lie along one axis.

    ``ignore_border=True`` counts whole windows in the padded image. ``False``
    goes on with windows that hang over the end, while pixels remain that no
    window has reached.
    """
    if ignore_border:
        return len([start for start in range(0, length + 2 * pad, step)
                    if start + size <= length + 2 * pad])
    count = 1
    while (count - 1) * step + size < length and count * step < length:
        count += 1
    return count


def pool2d(x, pool_size, stride=None, pad=(0, 0), ignore_border=True, mode="max"):
    """Largest or average value of each window of x (N, C, H, W).

    A window cell is in the image, in the padding, or (``ignore_border=False``)
    beyond both. ``max`` and ``average_exc_pad`` look at cells in the image
    only; ``average_inc_pad`` also counts those in the padding, as zeros.
    Cells beyond both never count.
    """
    N, C, H, width = x.shape
    (kh, kw), (ph, pw) = pool_size, pad
    sh, sw = pool_size if stride is None else stride
    y = np.zeros((N, C, pooled_length(H, kh, sh, ph, ignore_border),
                  pooled_length(width, kw, sw, pw, ignore_border)))
    for n, c, i, j in np.ndindex(y.shape):
        values = []
        for u, v in np.ndindex(kh, kw):
            row, column = i * sh + u - ph, j * sw + v - pw
            if 0 <= row < H and 0 <= column < width:
                values.append(float(x[n, c, row, column]))
            elif (mode == "average_inc_pad"
                    and row < H + ph and column < width + pw):
                values.append(0.0)
        y[n, c, i, j] = max(values) if mode == "max" else sum(values) / len(values)
    return y


def global_pool(x, mode="mean"):
    """One number for each example and channel; x (N, C, ...) gives (N, C)."""
    N, C = x.shape[:2]
    y = np.zeros((N, C))
    for n, c in np.ndindex(N, C):
        values = [float(value) for value in x[n, c].ravel()]
        y[n, c] = {"mean": sum(values) / len(values), "sum": sum(values),
                   "max": max(values)}[mode]
    return y


# --- activations ------------------------------------------------------------

def elementwise(function, x):
    """Apply ``function`` (float -> float) to each element of x."""
    y = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        y[place] = function(float(x[place]))
    return y


def rectify(x):
    return elementwise(lambda v: v if v > 0 else 0.0, x)


def leaky_rectify(x, leakiness):
    return elementwise(lambda v: v if v > 0 else leakiness * v, x)


def elu(x):
    return elementwise(lambda v: v if v > 0 else math.expm1(v), x)


def selu(x, scale, scale_neg):
    return elementwise(
        lambda v: scale * (v if v > 0 else scale_neg * math.expm1(v)), x)


def tanh(x):
    return elementwise(math.tanh, x)


def scaled_tanh(x, scale_in, scale_out):
    return elementwise(lambda v: scale_out * math.tanh(scale_in * v), x)


def sigmoid(x):
    # For v < 0 the same number, written so that exp cannot overflow.
    return elementwise(lambda v: 1 / (1 + math.exp(-v)) if v > 0
                       else math.exp(v) / (1 + math.exp(v)), x)


def softplus(x):
    return elementwise(
        lambda v: max(v, 0.0) + math.log1p(math.exp(-abs(v))), x)


def clipped_rectify(x, ceiling):
    return elementwise(lambda v: min(max(v, 0.0), ceiling), x)


def hard_sigmoid(x, slope, shift):
    return elementwise(lambda v: min(max(slope * v + shift, 0.0), 1.0), x)


def softsign(x):
    return elementwise(lambda v: v / (1 + abs(v)), x)


def swish(x):
    return elementwise(lambda v: v * _sigmoid(v), x)


def hard_swish(x):
    return elementwise(lambda v: v * min(max(v + 3, 0.0), 6.0) / 6, x)


def gelu(x):
    return elementwise(lambda v: v * math.erfc(-v / math.sqrt(2)) / 2, x)


def gelu_tanh(x):
    return elementwise(lambda v: v / 2 * (1 + math.tanh(
        math.sqrt(2 / math.pi) * (v + 0.044715 * v ** 3))), x)


def mish(x):
    return elementwise(lambda v: v * math.tanh(
        max(v, 0.0) + math.log1p(math.exp(-abs(v)))), x)


def log_softmax(x):
    """z_k - log(sum over l of exp(z_l)), row by row; x (N, K)."""
    y = np.zeros(x.shape)
    for n, row in enumerate(x):
        top = max(float(z) for z in row)  # cancels; exp cannot overflow
        log_sum = top + math.log(sum(math.exp(float(z) - top) for z in row))
        for k, z in enumerate(row):
            y[n, k] = float(z) - log_sum
    return y


def softmax(x):
    """exp(z_k) / sum over l of exp(z_l), row by row; x (N, K)."""
    return elementwise(math.exp, log_softmax(x))


# --- normalisation and noise ------------------------------------------------

def batch_norm(x, gamma, beta, axes, epsilon):
    """Shift and scale each group of x to mean 0, variance 1, then gamma, beta.

    A group is the elements that differ in ``axes`` only. Returns y with the
    shape of x, and the groups' mean and 1 / sqrt(variance + epsilon) with the
    shape of x without ``axes`` (biased variance: divided by the group's size).
    """
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    shape = tuple(x.shape[axis] for axis in kept)
    mean, inv_std = np.zeros(shape), np.zeros(shape)
    for place in np.ndindex(shape):
        group = [float(x[at]) for at in np.ndindex(x.shape)
                 if tuple(at[axis] for axis in kept) == place]
        mean[place] = sum(group) / len(group)
        variance = sum((v - mean[place]) ** 2 for v in group) / len(group)
        inv_std[place] = 1 / math.sqrt(variance + epsilon)
    y = batch_norm_fixed(x, gamma, beta, mean, inv_std, axes)
    return y, mean, inv_std


def batch_norm_fixed(x, gamma, beta, mean, inv_std, axes):
    """y = (x - mean) inv_std gamma + beta with given statistics."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    y = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        place = tuple(at[axis] for axis in kept)
        value = (float(x[at]) - float(mean[place])) * float(inv_std[place])
        if gamma is not None:
            value *= float(gamma[place])
        if beta is not None:
            value += float(beta[place])
        y[at] = value
    return y


def dropout(x, mask, p, rescale=True):
    """x where the mask is true, divided by 1 - p if asked; 0 elsewhere."""
    keep = np.broadcast_to(mask, x.shape)
    y = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        if keep[at]:
            y[at] = float(x[at]) / (1 - p) if rescale else float(x[at])
    return y


# --- losses -----------------------------------------------------------------

def _cross_entropy(log_p, targets, class_weights):
    """-sum over k of w_k t_k log p_k for each row; 0 log 0 counts as 0."""
    N, K = log_p.shape
    losses = np.zeros(N)
    for n, k in np.ndindex(N, K):
        if targets.ndim == 1:
            t = 1.0 if targets[n] == k else 0.0
        else:
            t = float(targets[n, k])
        w = 1.0 if class_weights is None else float(class_weights[k])
        if w * t != 0:
            losses[n] -= w * t * log_p[n, k]
    return losses


def softmax_crossentropy(logits, targets, class_weights=None):
    """Cross-entropy of softmax(logits) (N, K) against targets (N,) or (N, K)."""
    return _cross_entropy(log_softmax(logits), targets, class_weights)


def categorical_crossentropy(predictions, targets, class_weights=None):
    """Cross-entropy of probabilities (N, K) against targets (N,) or (N, K)."""
    log_p = elementwise(lambda p: math.log(p) if p > 0 else -math.inf, predictions)
    return _cross_entropy(log_p, targets, class_weights)


def binary_crossentropy(predictions, targets):
    """-(t log p + (1 - t) log(1 - p)) for each element."""
    y = np.zeros(predictions.shape)
    for at in np.ndindex(y.shape):
        p, t = float(predictions[at]), float(targets[at])
        y[at] = -(t * math.log(p) + (1 - t) * math.log1p(-p))
    return y


def sigmoid_crossentropy(logits, targets):
    """Binary cross-entropy of sigmoid(logits) for each element, without overflow."""
    y = np.zeros(logits.shape)
    for at in np.ndindex(y.shape):
        z, t = float(logits[at]), float(targets[at])
        log_1_exp = math.log1p(math.exp(-abs(z)))
        if t != 0:
            y[at] += t * (max(-z, 0.0) + log_1_exp)
        if t != 1:
            y[at] += (1 - t) * (max(z, 0.0) + log_1_exp)
    return y


def squared_error(a, b):
    """(a - b)^2 for each element, without a half in front."""
    y = np.zeros(a.shape)
    for at in np.ndindex(y.shape):
        y[at] = (float(a[at]) - float(b[at])) ** 2
    return y
