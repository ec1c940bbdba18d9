"""The sizes of one convolution, its pooling, and the tiles it is computed in.

A kernel computes convolution outputs in tiles of m×m, stored as ``(m, m, k, th,
tw, F)``: row and column inside the tile, image, tile row, tile column, filter.
Neighbours in a tile are then whole arrays apart, so that pooling and its
gradient are a few operations on long contiguous arrays.
"""

import math
from dataclasses import dataclass, replace

__all__ = ["Geometry", "meetings", "pairs"]


def meetings(k, s, p, length, count):
    """Outputs of an axis from which each of a filter's k elements meets a pixel.

    Parameters
    ----------
    k, s, p : int
        Elements of the filter, stride and padding before the first pixel.
    length, count : int
        Pixels and outputs of the axis.

    Returns
    -------
    list of (range, range)
        For each element the outputs, and the pixels, which are as many.
    """
    found = []
    for u in range(k):
        pixels = [i * s + u - p for i in range(count)]
        met = [i for i, pixel in enumerate(pixels) if 0 <= pixel < length]
        outputs = range(met[0], met[-1] + 1) if met else range(0)
        first = pixels[met[0]] if met else 0
        found.append((outputs, range(first, first + len(outputs) * s, s)))
    return found


def pairs(axes):
    """How many pairs of a filter's element and a pixel that it meets there are.

    Parameters
    ----------
    axes : iterable of (int, int, int, int, int)
        Arguments of :func:`meetings`, for each axis.
    """
    return math.prod(sum(len(pixels) for _, pixels in meetings(*axis))
                     for axis in axes)


@dataclass(frozen=True)
class Geometry:
    """Sizes of a convolution with an optional 2×2 max-pooling behind it.

    Parameters
    ----------
    H, W, C : int
        Input height, width and channels.
    F, kh, kw : int
        Filters and their size.
    sh, sw, ph, pw : int
        Stride and padding.
    pool : bool
        Whether a 2×2 max-pooling of stride 2 follows.
    m : int
        Side of a tile.
    """

    H: int
    W: int
    C: int
    F: int
    kh: int
    kw: int
    sh: int
    sw: int
    ph: int
    pw: int
    pool: bool
    m: int

    @property
    def conv_size(self):
        """Rows and columns of the convolution's output."""
        return ((self.H + 2 * self.ph - self.kh) // self.sh + 1,
                (self.W + 2 * self.pw - self.kw) // self.sw + 1)

    @property
    def out_size(self):
        """Rows and columns after pooling."""
        Ho, Wo = self.conv_size
        return (Ho // 2, Wo // 2) if self.pool else (Ho, Wo)

    @property
    def step(self):
        """Side of a tile after pooling."""
        return self.m // 2 if self.pool else self.m

    @property
    def axes(self):
        """Arguments of :func:`meetings`, of rows and of columns."""
        return [*zip((self.kh, self.kw), (self.sh, self.sw), (self.ph, self.pw),
                     (self.H, self.W), self.conv_size)]

    @property
    def tiles(self):
        """Tile rows and columns: as many as cover the output."""
        return tuple(-(-n // self.step) for n in self.out_size)

    @property
    def padded(self):
        """Rows and columns of the padded input: all that the tiles read, and all
        of the image even where they read less."""
        th, tw = self.tiles
        return (max((th * self.m - 1) * self.sh + self.kh, self.ph + self.H),
                max((tw * self.m - 1) * self.sw + self.kw, self.pw + self.W))

    def band(self, rows):
        """The sizes of so many rows of tiles, whose input lies in the padded image."""
        return replace(self, H=(rows * self.m - 1) * self.sh + self.kh, ph=0)

    @property
    def mflop(self):
        """Millions of operations a direct convolution of one image takes."""
        Ho, Wo = self.conv_size
        return 2e-6 * Ho * Wo * self.F * self.C * self.kh * self.kw
