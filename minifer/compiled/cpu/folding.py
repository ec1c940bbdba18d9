"""Batch norms with fixed averages, folded into the convolution below them.

In prediction, and where a network is frozen, batch norm is one product and one sum a
channel, y = slope · x + shift. So it needs no pass of its own through the images:

- before ReLU, or without one, it changes the filters and the bias:
  slope · (W ∗ x + b) + shift = (slope · W) ∗ x + (slope · b + shift);
- behind ReLU, slope goes through ReLU into the filters. A channel with slope < 0 is
  then cut off above 0 in place of below: slope · relu(z) = min(slope · z, 0). That
  does not change which number is larger, so that max-pooling may still come first.
  Only the shift is left to be added, when the result is written;
- behind pooling, a slope below 0 would swap what is larger: there it stays a product,
  of the few numbers that pooling leaves.

The numbers are those of the layers one by one, but for rounding.
"""

import numpy as np

__all__ = ["Folding", "Kept"]


class Folding:
    """The batch norms behind one convolution, by where they are.

    Parameters
    ----------
    before : list of BatchNormLayer
        Between the convolution and ReLU, or what else follows.
    between : list of BatchNormLayer
        Behind ReLU.
    behind : list of BatchNormLayer
        Behind pooling.
    """

    def __init__(self, before=(), between=(), behind=()):
        self.before, self.between, self.behind = before, between, behind

    @property
    def layers(self):
        """All of them."""
        return [*self.before, *self.between, *self.behind]

    @property
    def shifts(self):
        """Whether something is left to be added behind ReLU or pooling."""
        return bool(self.between or self.behind)

    def into(self, W, b):
        """Filters, bias, and what is left to do.

        Parameters
        ----------
        W : array, shape (F, C, kh, kw)
        b : array, shape (F,), or 0

        Returns
        -------
        W : array, shape (F, C, kh, kw)
        b : array, shape (F,)
        turned : array of bool, shape (F,)
            Channels that ReLU cuts off above 0.
        scale : array, shape (F,)
            To multiply with behind ReLU and pooling.
        shift : array, shape (F,)
            To add then.
        """
        zeros, ones = np.zeros(len(W), W.dtype), np.ones(len(W), W.dtype)
        first, shift = _combined(self.before, ones, zeros)
        slope, left = _combined(self.between, ones, zeros)
        scale, rest = _combined(self.behind, ones, zeros)
        W = W * (first * slope)[:, None, None, None]
        return W, (b * first + shift) * slope, slope < 0, scale, left * scale + rest


def _combined(norms, slope, shift):
    """Slope and shift of batch norms one behind the other."""
    for norm in norms:
        one = norm.inv_std.peek()
        if norm.gamma is not None:
            one = one * norm.gamma.peek()
        slope, shift = slope * one, (shift - norm.mean.peek()) * one
        if norm.beta is not None:
            shift = shift + norm.beta.peek()
    return slope, shift


class Kept:
    """Notices that parameters have other values than when they were last looked at.

    Where their arrays are held nowhere else, and have not been asked for since, that
    is known without a look (:meth:`minifer.expressions.Param.mark`). Else
    they are compared with copies, number by number: training, a loaded model and
    ``param.value[...] = ...`` all count. What is not a number counts as changed.

    Parameters
    ----------
    params : list of Param
    """

    def __init__(self, params):
        self.params, self.marks, self.copies = params, None, None

    def changed(self):
        """Whether this is the first look, or one differs from the last look."""
        before, self.marks = self.marks, [param.mark() for param in self.params]
        if before is not None and None not in before and (
                all(a is b for a, b in zip(before, self.marks))):
            return False
        values = [param.peek() for param in self.params]
        if self.copies is None:
            if before is not None or None in self.marks:
                self.copies = [value.copy() for value in values]
            return True
        found = False
        for value, copy in zip(values, self.copies):
            if not np.array_equal(value, copy):
                np.copyto(copy, value)
                found = True
        return found

    @property
    def nbytes(self):
        """Bytes in all copies."""
        return sum(copy.nbytes for copy in self.copies or [])
