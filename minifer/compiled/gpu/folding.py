"""Fixed batch norms of a plan on a GPU, folded into the convolution below them."""

from ...cuda import folding as kernels

__all__ = ["FoldingOnGpu"]


class FoldingOnGpu:
    """Filters and biases that do the work of batch norms, too.

    They are made again in each pass: a graph does so at each launch, whatever has
    become of the parameters.

    Parameters
    ----------
    norms : minifer.compiled.cpu.folding.Folding
    step : ConvOnGpu
        The convolution's; it counts the buffers.
    """

    def __init__(self, norms, step):
        self.norms, self.conv = norms, step.conv
        F = self.conv.num_filters
        # (2, F) for those before ReLU, between it and pooling, behind pooling
        self.lines = [step.buffer(2, F) if some else None
                      for some in (norms.before, norms.between, norms.behind)]
        self.W, self.b = step.buffer(*self.conv.W.shape), step.buffer(F)
        self.after = step.buffer(3, F) if norms.shifts else None

    def fold(self):
        """Filters, biases, and what is left to be done behind pooling, or None."""
        norms, conv = self.norms, self.conv
        for some, line in zip((norms.before, norms.between, norms.behind), self.lines):
            if line is not None:
                kernels.combine([[None if p is None else p.value for p in (
                    one.mean, one.inv_std, one.gamma, one.beta)] for one in some], line)
        kernels.fold(conv.W.value, None if conv.b is None else conv.b.value,
                     *self.lines, self.W, self.b, self.after)
        return self.W, self.b, self.after
