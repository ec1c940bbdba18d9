"""The convolution of :mod:`minifer.cuda.fused_conv` on Hopper's tensor cores.

The kernel is in ``wide_conv.cu``. It is for layers of 32 channels and 32 filters in
tf32, in batches of 64 or more, which :func:`chosen` tells.
:mod:`minifer.cuda.fused_conv` asks it, and has the arguments' meaning. The gradients
are made there as ever.
"""

from ..device.arrays import address, compute_capability, device_of, shared_memory
from .loader import kernel
from .tensor_map import TensorMap

__all__ = ["chosen", "forward"]

FILE = "wide_conv.cu"
IMAGES, CHANNELS, THREADS, STAGES = 64, 32, 160, 8
BLOCKS = 132   # multiprocessors of a large GPU: the same on every GPU


def chosen(x, out, filter_size, precision):
    """Whether a convolution is made here.

    Parameters
    ----------
    x, out : device arrays, shapes (N, H, W, C) and (N, Ho, Wo, F)
    filter_size : (int, int)
    precision : {'tf32', 'fp32'}
    """
    device = device_of(x)
    return (precision == "tf32" and compute_capability(device) == 90
            and len(x) >= IMAGES and x.shape[3] == out.shape[3] == CHANNELS
            and filter_size[1] <= 5 and address(x) % 16 == 0
            and shared(filter_size) <= shared_memory(device))


def shared(filter_size):
    """Bytes of shared memory: barriers, all filters, and boxes of 64 images."""
    kh, kw = filter_size
    return 1024 + 4 * CHANNELS * (kh * kw * 32 + STAGES * IMAGES)


def chunk(N, rows, columns, kw):
    """How many columns a block computes, an even number.

    A block begins with kw - 1 pixels whose products are for its left neighbour, so few
    blocks do less in all, but all multiprocessors should have one. The cost is that
    of the last to end.
    """
    others = -(-N // IMAGES) * -(-rows // 2)

    def cost(size):
        blocks = others * -(-columns // size)
        return -(-blocks // BLOCKS) * (size + kw - 1)

    return min(range(2, columns + 2, 2), key=lambda size: (cost(size), -size))


def forward(x, packed, b, out, codes, macros, *, pool, relu, keep, scale, after=None):
    """As :func:`minifer.cuda.fused_conv.forward`; ``macros`` are those of the layer."""
    N, H, W, C = x.shape
    rows, columns = (n * (1 + pool) for n in out.shape[1:3])
    size = chunk(N, rows, columns, macros["KW"])
    layer = {name: value for name, value in macros.items()
             if not name.startswith(("FORWARD", "BACK", "TF32"))}
    grid = -(-N // IMAGES), -(-rows // 2), -(-columns // size)
    kernel(FILE, "wide_conv_forward", x, CHUNK=size, STAGES=STAGES, **layer)(
        TensorMap(x, (C, H * W, N), (CHANNELS, 1, IMAGES)), packed, b, keep, out, codes,
        after, N, relu, scale, grid=grid, block=THREADS,
        shared=shared((macros["KH"], macros["KW"])))
