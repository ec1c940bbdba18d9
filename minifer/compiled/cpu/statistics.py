"""What batch norm computes for each channel; the images are others' business.

With the sums over all pixels known, batch norm is one product and one sum a channel,

    y = slope · z + shift,

and so is its way back, beside the gradient d that comes from above:

    dz = slope · (d + tilt · z + level),

where tilt and level see to it that mean and variance depend on z, too.
"""

import numpy as np

__all__ = ["BatchStatistics"]


class BatchStatistics:
    """Mean and variance of a batch, and what follows from them.

    Parameters
    ----------
    layer : BatchNormLayer

    Attributes
    ----------
    sign : array, shape (C,), or 1
        -1 where z is the channel turned over: its mean and slope are turned, too.
    mean, inv_std, slope, shift : arrays, shape (C,)
    tilt, level : arrays, shape (C,)
    """

    def __init__(self, layer):
        self.layer, self.sign = layer, 1

    def settle(self, mean, variance, count):
        """Take the statistics of ``count`` values a channel; move running averages.

        Parameters
        ----------
        mean, variance : arrays, shape (C,)
        count : int
        """
        layer = self.layer
        if layer.part is not None:
            mean, variance, count = self._join(mean, variance, count)
        self.count, self.mean = count, mean.astype(np.float32)
        self.inv_std = (1 / np.sqrt(variance + layer.epsilon)).astype(np.float32)
        gamma = 1 if layer.gamma is None else layer.gamma.value
        self.slope = self.inv_std * gamma * self.sign
        beta = 0 if layer.beta is None else layer.beta.value
        self.shift = beta - self.mean * self.slope
        if count > 1:
            layer.update_averages(self.mean * self.sign, self.inv_std)

    def _join(self, mean, variance, count):
        """Those of the whole batch, whose part this is.

        In float64, where a sum of squares loses nothing that float32 had.
        """
        part, mean = self.layer.part, mean.astype(np.float64)
        sums = part.sum(count * np.stack([mean, variance + mean * mean]))  # (2, C)
        count = part.whole(count)
        mean, square = sums / count
        return mean, np.maximum(square - mean * mean, 0), count

    def back(self, d, product, wanted=True):
        """Gradients of the parameters; and ``tilt`` and ``level``, if wanted.

        Parameters
        ----------
        d, product : arrays, shape (C,)
            Sums of the gradient from above, and of its product with z - mean.
        wanted : bool

        Returns
        -------
        dict of Param -> array, shape (C,)
        """
        layer = self.layer
        product = product * self.inv_std
        found = {layer.gamma: (product * self.sign).astype(np.float32),
                 layer.beta: d.astype(np.float32)}
        if wanted:
            if layer.part is not None:
                d, product = layer.part.sum(np.stack([d, product]))
            self.tilt = -self.inv_std * product / self.count
            self.level = -d / self.count - self.tilt * self.mean
        return {p: g for p, g in found.items() if p is not None}
