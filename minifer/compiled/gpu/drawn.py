"""The steps of a plan on a GPU that draw numbers, and stand by themselves."""

from ...cuda import dropout as dropout_kernels, noise as noise_kernels
from ...device.arrays import contiguous
from .steps import GpuStep

__all__ = ["DropoutOnGpu", "NoiseOnGpu"]


class DropoutOnGpu(GpuStep):
    """Dropout that could not be fused."""

    def __init__(self, layers, bottoms, learns, need_dx, plan):
        super().__init__(layers, bottoms, learns, need_dx, plan, layers[0])
        self.algorithm = "kernel"

    def forward(self, xs):
        x = contiguous(xs[0])
        y, self.cache = dropout_kernels.dropout_forward(
            x, self.drawn(len(x)), x.dtype.type(self.scale))
        return y

    def backward(self, dy):
        return [dropout_kernels.dropout_backward(dy, self.cache)], {}


class NoiseOnGpu(GpuStep):
    """A layer that draws noise; by a kernel that a graph can hold."""

    def __init__(self, layers, bottoms, learns, need_dx, plan):
        super().__init__(layers, bottoms, learns, need_dx, plan)
        self.algorithm, self.layer = "kernel", layers[0]
        self.stream, self.place = self.layer.stream, plan.place_of(self.layer.stream)
        self.noise = self.buffer(*self.layer.noise_shape(
            (plan.batch, *self.layer.input_shape[1:])))

    def forward(self, xs):
        layer, stream, x = self.layer, self.stream, contiguous(xs[0])
        noise = self.noise if 0 in layer.shared_axes else self.noise[:len(x)]
        if stream.part is None:
            noise_kernels.draw_noise(noise, layer.distribution, stream.key,
                                     self.plan.numbers, self.place)
        else:  # begin() has counted this pass
            start = 0 if 0 in layer.shared_axes else stream.start(noise.shape)
            noise[...] = noise_kernels.noise(
                noise, layer.distribution, start, start + noise.size, stream.key,
                stream.step - 1).reshape(noise.shape)
        y, self.cache = layer.with_noise(x, noise)
        return y

    def backward(self, dy):
        dx, gradients = self.layer.backward(contiguous(dy), self.cache)
        return [dx], gradients
