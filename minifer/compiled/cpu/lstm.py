r"""An LSTM whose walk does as little as can be done step by step.

What belongs to a gate lies one behind the other, (T, N, H), so that each is contiguous,
and a step's product is four small ones, for which BLAS copies nothing. The order is i,
f, o, g, then the cell c and what it shows, s: so i g and f c are one call, as are the
slopes of the sigmoids times g, c and s. A sigmoid is :math:`(1 + \tanh(z/2)) / 2`, with
the half in the weights, so that one call makes all gates. A bias is the weight of an
input that is always 1. On the way back, what multiplies the gradients of h and c in
each gate is known beforehand, for many steps at once:

.. math::

    \dot z_o = \dot h \odot s\,o(1-o), \qquad
    \dot c += \dot h \odot o(1-s^2), \qquad
    \dot z_{i,f,g} = \dot c \odot (g\,i(1-i),\; c\,f(1-f),\; i(1-g^2))

They lie in the order o, f, i, g, as dc belongs to the last three. A second thread makes
the products of all steps, and these factors, a little before or behind the walk. It
makes few calls and long ones: at the end of each it needs the interpreter, and the walk
may have to wait for that.
"""

import functools

import numpy as np

from ...device.threads import Helper
from ...ops.sequence import PIECE, batch_first, column_sums, in_time, limited
from ..steps import PlainStep

__all__ = ["LSTMStep", "is_usual"]

#: Where a layer's gates, in its own order i, f, g, o, lie: on the way there, and back.
THERE, BACK = (0, 1, 3, 2), (2, 1, 3, 0)
#: Steps of the first pieces of the walk there, which waits for the products of its
#: first, and of the walk back, whose first products wait for it.
FIRST, LAST = 2, 5
HALF = np.float32(0.5)
ONE = np.float32(1)


def is_usual(layer):
    """Whether a layer is an LSTM as most are: for others there is the op."""
    return (layer.mask_input is None and layer.gradient_steps == -1
            and layer.unusual([gate.nonlinearity for gate in layer.gates]
                              + [layer.nonlinearity]) is None)


def _growing(T, size):
    """Consecutive slices of T steps, the first of ``size``, the next longer."""
    found, start = [], 0
    while start < T:
        found.append(slice(start, min(T, start + size)))
        start, size = start + size, min(PIECE, size + size // 2)
    return found


class LSTMStep(PlainStep):
    """An LSTMLayer without a mask, with sigmoids and hyperbolic tangents."""

    algorithm = "walk"

    def __init__(self, layers, bottoms, learns, need_dx, options, workers):
        super().__init__(layers, bottoms, learns, need_dx, options, logits=False)
        self.helper = Helper(workers.count, keeps=True)

    @property
    def nbytes(self):
        """Bytes of the arrays that stay from one pass to the next."""
        return sum(array.nbytes for array in self.helper.kept.values())

    # --- forward ---------------------------------------------------------------------

    def forward(self, xs):
        layer, x = self.layer, xs[0]
        layer.check_steps(x)
        self.shape, self.starts = x.shape, [layer.given(option, xs)
                                            for option in layer.STATES]
        (N, T), H = x.shape[:2], layer.num_units
        W, W_hid = self._weights()
        steps = in_time(x.reshape(N, T, -1), layer.backwards)
        empty = functools.partial(self.helper.empty, like=x)
        self.x = empty("x", shape=(T, N, W.shape[1]))  # and 1, for the bias
        self.z, self.h = (empty(name, shape=(*gates, T + 1, N, H))
                          for name, gates in (("z", (6,)), ("h", ())))
        self.c, self.shown = self.z[4:]
        self.h[0], self.c[0] = self.starts
        if self.learns:
            self.factors = empty("factors", shape=(5, T, N, H))
        self.peepholes = np.stack([gate.W_cell.value for gate in self._peeping()])[
            :, None] if layer.peepholes else None
        parts = _growing(T, FIRST)
        projected = [self._submit(self._project, part, steps, W) for part in parts]
        factors = []
        try:
            for part, handle in zip(parts, projected):
                self.helper.need(handle)
                self._walk(part, W_hid)
                if self.learns:
                    factors.append(self._submit(self._factors, part))
        finally:
            self.helper.finish(projected + factors)
        return layer.final(batch_first(self.h[1:], layer.backwards))

    def _peeping(self):
        """The gates that see the cell, in the order of the way back."""
        return self.layer.outgate, self.layer.forgetgate, self.layer.ingate

    def _submit(self, task, *args):
        return self.helper.submit(functools.partial(task, *args))

    def _weights(self):
        """The gates' weights of x and 1, (4, D + 1, H), and of h, (4, H, H).

        Those of sigmoids are halved.
        """
        gates, H = self.layer.gates, self.layer.num_units
        like = gates[0].W_in.value
        W, W_hid = (self.helper.empty(name, like, (4, rows, H))
                    for name, rows in (("W", len(like) + 1), ("W_hid", H)))
        for place, gate in zip(THERE, gates):
            scale = HALF if place < 3 else ONE
            np.multiply(gate.W_in.value, scale, out=W[place, :-1])
            np.multiply(gate.b.value, scale, out=W[place, -1])
            np.multiply(gate.W_hid.value, scale, out=W_hid[place])
        return W, W_hid

    def _turned(self, part):
        """The gates' weights of x or h, (4, H, ...), as BLAS likes them best."""
        values = [getattr(gate, part).value.T for gate in self.layer.gates]
        turned = self.helper.empty((part, "turned"), values[0], (4, *values[0].shape))
        for place, value in zip(BACK, values):
            turned[place] = value
        return turned

    def _project(self, part, steps, W):
        """The input's products of some steps, with the bias."""
        x = self.x[part]
        x[..., :-1] = steps[part]
        x[..., -1] = 1
        rows = x.reshape(-1, W.shape[1])
        np.matmul(rows, W, out=self.z[:4, part].reshape(4, len(rows), -1))

    def _walk(self, part, W):
        product = self.helper.empty("product", self.h, W.shape[:1] + self.h[0].shape)
        two, one, p = product[:2], product[0], self.peepholes
        if p is not None:
            o_peeps, peeps = p[0] * HALF, p[:0:-1] * HALF
        for t in range(part.start, part.stop):
            z, after = self.z[:, t], self.c[t + 1]
            gates, sigmoids, o, c, shown = z[:4], z[:3], z[2], z[4], z[5]
            np.matmul(self.h[t], W, out=product)
            gates += product
            if p is None:
                np.tanh(gates, out=gates)
            else:
                sigmoids, g = z[:2], z[3]
                sigmoids += np.multiply(peeps, c, out=two)
                np.tanh(sigmoids, out=sigmoids)
                np.tanh(g, out=g)
            sigmoids += ONE
            sigmoids *= HALF
            np.multiply(z[:2], z[3:5], out=two)  # i g and f c
            np.add(two[0], two[1], out=after)
            if p is not None:
                o += np.multiply(o_peeps, after, out=one)
                np.tanh(o, out=o)
                o += ONE
                o *= HALF
            np.tanh(after, out=shown)
            np.multiply(o, shown, out=self.h[t + 1])

    def _factors(self, part):
        """What the gradients of h and c are multiplied with, of some steps."""
        z, factors = self.z[:, part], self.factors[:, part]
        sigmoids, slopes = z[2::-1], factors[:3]  # o, f, i
        np.subtract(ONE, sigmoids, out=slopes)
        slopes *= sigmoids
        slopes *= z[:2:-1]  # s, c, g
        tanhs, slopes = z[3::2], factors[3:]  # g, s
        np.multiply(tanhs, tanhs, out=slopes)
        np.subtract(ONE, slopes, out=slopes)
        slopes *= z[:3:2]  # i, o

    # --- backward --------------------------------------------------------------------

    def backward(self, dy):
        layer, T = self.layer, self.shape[1]
        dy = in_time(layer.of_all_steps(dy, T), layer.backwards)
        empty = functools.partial(self.helper.empty, like=self.x)
        self.dz = empty("dz", shape=(4, *self.x.shape[:2], layer.num_units))
        self.dx = empty("dx", shape=(*self.x.shape[:2], self.x.shape[2] - 1)) if (
            self.need_dx) else None
        W, W_hid = (self._turned("W_in") if self.need_dx else None,
                    self._turned("W_hid"))
        self.dh, self.dc = (np.zeros_like(self.h[0]) for _ in "hc")
        self.seen = np.zeros_like(self.z[:3, 0])
        self.found, handles = {}, []
        try:
            for part in _growing(T, LAST):
                part = slice(T - part.stop, T - part.start)
                self._walk_back(part, dy, W_hid)
                handles.append(self._submit(self._products, part, W))
        finally:
            self.helper.finish(handles)
        return self._gradients()

    def _walk_back(self, part, dy, W):
        dh, dc, clip, p = self.dh, self.dc, self.layer.grad_clipping, self.peepholes
        product = self.helper.empty("product", self.h, (4, *dh.shape))
        two, one = product[:2], product[0]
        for t in reversed(range(part.start, part.stop)):
            factors, dz = self.factors[:, t], self.dz[:, t]
            dh += dy[t]
            np.multiply(dh, factors[0], out=dz[0])
            dc += np.multiply(dh, factors[4], out=one)
            if p is not None:
                dc += np.multiply(dz[0], p[0], out=one)
            np.multiply(dc, factors[1:4], out=dz[1:])
            dc *= self.z[1, t]
            if p is not None:
                np.multiply(dz[1:3], p[1:], out=two)
                dc += two[0]
                dc += two[1]
                self.seen[0] += np.multiply(dz[0], self.c[t + 1], out=one)
                self.seen[1:] += np.multiply(dz[1:3], self.c[t], out=two)
            if clip:
                limited(dz, clip)
            np.matmul(dz, W, out=product)
            np.add.reduce(product, axis=0, out=dh)

    def _products(self, part, W):
        """The products of some steps' gradients, of all gates at once: the fewer calls,
        the less do two threads wait for the interpreter."""
        x, h = (a[part].reshape(-1, a.shape[2]) for a in (self.x, self.h))
        dz = self.dz[:, part].reshape(4, len(x), -1)

        def room(name, *shape):
            return self.helper.empty((name, part.start), x, (4, *shape))

        self.found[part.start] = tuple(
            np.matmul(a.T, dz, out=room(name, a.shape[1], dz.shape[2]))
            for name, a in (("dW", x), ("dW_hid", h)))
        if self.dx is not None:
            products = np.matmul(dz, W, out=room("dx", len(x), W.shape[2]))
            np.add.reduce(products, axis=0, out=self.dx[part].reshape(len(x), -1))

    def _gradients(self):
        layer, gradients = self.layer, {}

        def collect(param, gradient):
            gradients[param] = (gradients[param] + gradient if param in gradients
                                else gradient)

        parts = [self.found[start] for start in sorted(self.found)]
        dW, dW_hid = parts[0]
        for more, more_hid in parts[1:]:
            dW += more
            dW_hid += more_hid
        for place, gate in zip(BACK, layer.gates):
            collect(gate.W_in, dW[place, :-1])
            collect(gate.b, dW[place, -1])
            collect(gate.W_hid, dW_hid[place])
        if layer.peepholes:
            for gate, seen in zip(self._peeping(), self.seen):
                collect(gate.W_cell, column_sums(seen))
        states = {option: d if len(start) == len(d) else column_sums(d)[None]
                  for option, start, d in zip(layer.STATES, self.starts,
                                              (self.dh, self.dc))}
        dx = None
        if self.need_dx:
            dx = batch_first(self.dx, layer.backwards).reshape(self.shape)
        dxs, of_states = layer.to_incomings(dx, None, states, self.need_dx)
        return dxs, {**gradients, **of_states}
