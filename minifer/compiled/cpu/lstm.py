r"""An LSTM whose walk does as little as can be done step by step.

Gates lie one behind the other, (4, T, N, H), so that each is contiguous, and a step's
product is four small ones, for which BLAS copies nothing. A sigmoid is
:math:`(1 + \tanh(z/2)) / 2`, with the half in the weights, so that one call makes all
gates. On the way back, what multiplies the gradients of h and c in each gate is known
beforehand, for many steps at once:

.. math::

    \dot z_o = \dot h \odot s\,o(1-o), \qquad
    \dot c += \dot h \odot o(1-s^2), \qquad
    \dot z_{i,f,g} = \dot c \odot (g\,i(1-i),\; c\,f(1-f),\; i(1-g^2))

with s what the cell shows. A second thread makes the products of all steps, and these
factors, a little before or behind the walk.
"""

import functools

import numpy as np

from ...device.threads import Helper
from ...ops.sequence import PIECE, batch_first, column_sums, limited, time_first
from ..steps import PlainStep, pieces

__all__ = ["LSTMStep", "is_usual"]

#: Where a layer's gates, in its own order i, f, g, o, lie here: the sigmoids first.
PLACES = (0, 1, 3, 2)
HALF = np.float32(0.5)
ONE = np.float32(1)


def is_usual(layer):
    """Whether a layer is an LSTM as most are: for others there is the op."""
    return (layer.mask_input is None and layer.gradient_steps == -1
            and layer.unusual([gate.nonlinearity for gate in layer.gates]
                              + [layer.nonlinearity]) is None)


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
        W_in, W_hid, b = (self._stacked(part, HALF) for part in ("W_in", "W_hid", "b"))
        self.x = time_first(x.reshape(N, T, -1), layer.backwards)
        empty = functools.partial(self.helper.empty, like=self.x)
        self.z, self.shown = empty("z", shape=(4, T, N, H)), empty("s", shape=(T, N, H))
        self.h, self.c = (empty(name, shape=(T + 1, N, H)) for name in "hc")
        self.h[0], self.c[0] = self.starts
        self.peepholes = np.stack([
            getattr(layer, gate).W_cell.value for gate in (
                "ingate", "forgetgate", "outgate")])[:, None] if layer.peepholes else (
                    None)
        parts = pieces(0, T, PIECE)
        handles = [self.helper.submit(functools.partial(
            self._project, part, W_in, b[:, None])) for part in parts]
        try:
            for part, handle in zip(parts, handles):
                self.helper.need(handle)
                self._walk(part, W_hid)
        finally:
            self.helper.finish(handles)
        return layer.final(batch_first(self.h[1:], layer.backwards))

    def _stacked(self, part, scale=ONE):
        """The gates' weights (4, ...), those of sigmoids times a number."""
        values = [None] * 4
        for place, gate in zip(PLACES, self.layer.gates):
            values[place] = getattr(gate, part).value
        stacked = np.stack(values)
        if scale != 1:
            stacked[:3] *= scale
        return stacked

    def _project(self, part, W, b):
        """The input's products of some steps, and the bias."""
        rows = self.x[part].reshape(-1, W.shape[1])
        z = self.z[:, part].reshape(4, len(rows), -1)
        np.matmul(rows, W, out=z)
        z += b

    def _walk(self, part, W):
        product = self.helper.empty("product", self.h, W.shape[:1] + self.h[0].shape)
        tmp, p = product[0], self.peepholes
        if p is not None:
            p = p * HALF
        for t in range(part.start, part.stop):
            z, c, after = self.z[:, t], self.c[t], self.c[t + 1]
            np.matmul(self.h[t], W, out=product)
            z += product
            if p is not None:
                z[:2] += np.multiply(p[:2], c, out=product[:2])
                np.tanh(z[:2], out=z[:2])
                np.tanh(z[3], out=z[3])
                sigmoids = z[:2]
            else:
                np.tanh(z, out=z)
                sigmoids = z[:3]
            sigmoids += ONE
            sigmoids *= HALF
            np.multiply(z[1], c, out=after)
            after += np.multiply(z[0], z[3], out=tmp)
            if p is not None:
                o = z[2]
                o += np.multiply(p[2], after, out=tmp)
                np.tanh(o, out=o)
                o += ONE
                o *= HALF
            np.tanh(after, out=self.shown[t])
            np.multiply(z[2], self.shown[t], out=self.h[t + 1])

    # --- backward --------------------------------------------------------------------

    def backward(self, dy):
        layer, T = self.layer, self.shape[1]
        dy = time_first(layer.of_all_steps(dy, T), layer.backwards)
        empty = functools.partial(self.helper.empty, like=self.x)
        self.dz, self.factors = (empty(name, shape=self.z.shape)
                                 for name in ("dz", "factors"))
        self.cell = empty("cell", shape=self.shown.shape)
        self.dx = empty("dx", shape=self.x.shape) if self.need_dx else None
        W_in, W_hid = (np.ascontiguousarray(self._stacked(part).swapaxes(1, 2))
                       for part in ("W_in", "W_hid"))
        self.dh, self.dc = (np.zeros_like(self.h[0]) for _ in "hc")
        self.seen = np.zeros_like(self.z[:3, 0])
        parts = pieces(0, T, PIECE)[::-1]
        factors = [self.helper.submit(functools.partial(self._factors, part))
                   for part in parts]
        self.found, handles = {}, []
        try:
            for part, handle in zip(parts, factors):
                self.helper.need(handle)
                self._walk_back(part, dy, W_hid)
                handles.append(self.helper.submit(functools.partial(
                    self._products, part, W_in)))
        finally:
            self.helper.finish([*factors, *handles])
        return self._gradients()

    def _factors(self, part):
        """What the gradients of h and c are multiplied with, of some steps."""
        (i, _, o, g), s = self.z[:, part], self.shown[part]
        factors, cell = self.factors[:, part], self.cell[part]
        np.subtract(ONE, self.z[:3, part], out=factors[:3])
        factors[:3] *= self.z[:3, part]  # the slopes of the sigmoids
        factors[0] *= g
        factors[1] *= self.c[part]
        factors[2] *= s
        for out, shown, gate in ((factors[3], g, i), (cell, s, o)):
            np.multiply(shown, shown, out=out)
            np.subtract(ONE, out, out=out)
            out *= gate

    def _walk_back(self, part, dy, W):
        dh, dc, clip, p = self.dh, self.dc, self.layer.grad_clipping, self.peepholes
        forget = self.z[1]
        product = self.helper.empty("product", self.h, (4, *dh.shape))
        tmp = product[0]
        for t in reversed(range(part.start, part.stop)):
            factors, dz = self.factors[:, t], self.dz[:, t]
            dh += dy[t]
            np.multiply(dh, factors[2], out=dz[2])
            dc += np.multiply(dh, self.cell[t], out=tmp)
            if p is not None:
                dc += np.multiply(dz[2], p[2], out=tmp)
            np.multiply(dc, factors[:2], out=dz[:2])
            np.multiply(dc, factors[3], out=dz[3])
            dc *= forget[t]
            if p is not None:
                for gate in range(2):
                    dc += np.multiply(dz[gate], p[gate], out=tmp)
                self.seen[:2] += np.multiply(dz[:2], self.c[t], out=product[:2])
                self.seen[2] += np.multiply(dz[2], self.c[t + 1], out=tmp)
            if clip:
                limited(dz, clip)
            np.matmul(dz, W, out=product)
            np.add.reduce(product, axis=0, out=dh)

    def _products(self, part, W_in):
        """The products of some steps' gradients, of all gates at once: the fewer calls,
        the less do two threads wait for the interpreter."""
        x, h = (a[part].reshape(-1, a.shape[2]) for a in (self.x, self.h))
        dz = self.dz[:, part].reshape(4, len(x), -1)
        key, D, H = part.start, x.shape[1], h.shape[1]

        def room(name, shape):
            return self.helper.empty((name, key), x, (4, *shape))

        self.found[key] = (np.matmul(x.T, dz, out=room("W_in", (D, H))),
                           np.matmul(h.T, dz, out=room("W_hid", (H, H))),
                           dz.sum(axis=1))
        if self.dx is not None:
            products = np.matmul(dz, W_in, out=room("dx", x.shape))
            np.add.reduce(products, axis=0, out=self.dx[part].reshape(x.shape))

    def _gradients(self):
        layer, gradients = self.layer, {}

        def collect(param, gradient):
            gradients[param] = gradients.get(param, 0) + gradient

        for start in sorted(self.found):
            for part, values in zip(("W_in", "W_hid", "b"), self.found[start]):
                for place, gate in zip(PLACES, layer.gates):
                    collect(getattr(gate, part), values[place])
        if layer.peepholes:
            for gate, seen in zip((layer.ingate, layer.forgetgate, layer.outgate),
                                  self.seen):
                collect(gate.W_cell, column_sums(seen))
        states = {option: d if len(start) == len(d) else column_sums(d)[None]
                  for option, start, d in zip(layer.STATES, self.starts,
                                              (self.dh, self.dc))}
        dx = None
        if self.need_dx:
            dx = batch_first(self.dx, layer.backwards).reshape(self.shape)
        dxs, of_states = layer.to_incomings(dx, None, states, self.need_dx)
        return dxs, {**gradients, **of_states}
