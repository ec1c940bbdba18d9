"""Which algorithm computes a convolution, by its shape alone."""

from ...errors import SettingError
from .geometry import pairs

__all__ = ["ALGORITHMS", "choose", "few_channels"]

ALGORITHMS = ("auto", "elements", "im2col", "row", "winograd")

# Windows of an image up to which all images share a product, rather than one each.
FEW_WINDOWS = 64

# Channels, and filters, from which on each element of the filters is worth a product of
# its own, and the part of windows that may lie inside of images then.
MANY, INSIDE = 64, 0.8

#: What it costs more to compute outputs beyond the edges, and to leave them out.
HANGING = 1 / 8
#: Sides of Winograd's tiles of outputs, by the side of the filters.
TILES = {2: (3, 4, 5, 7), 3: (2, 3, 4, 6), 5: (2, 4)}


def choose(layer, pool, algorithm="auto", read_as_tiles=False):
    """Pick the algorithm for a convolution by its shape.

    Winograd needs stride 1 and square filters of side 2, 3 or 5, and pays where
    there are enough channels for its products to outweigh its transforms. Its tiles
    are those that need the fewest products to cover the output, where some that hang
    over its edges count for an eighth more, and of these the smallest, which are the
    most accurate. Where so much of the windows is padding that
    the pairs of a filter's element and a pixel are no more than Winograd's products, or
    than four fifths of the windows where no Winograd is possible, each element is
    multiplied by its pixels alone.

    Parameters
    ----------
    layer : Conv2DLayer
    pool : bool
        Whether a 2×2 max-pooling follows.
    algorithm : {'auto', 'elements', 'im2col', 'row', 'winograd'}
        A wish; 'winograd' falls back to 'row' where it is not possible, 'elements' to
        'im2col' where pooling follows.
    read_as_tiles : bool
        Whether a 3×3 convolution may read the output as the tiles that it would choose
        itself. im2col of few channels computes any tiles, so it takes those.

    Returns
    -------
    name : str
    m : int
        Side of a tile.
    """
    if algorithm not in ALGORITHMS:
        raise SettingError(
            f"algorithm: expected one of {', '.join(ALGORITHMS)}, got {algorithm!r}.")
    C, (kh, kw) = layer.input_shape[1], layer.filter_size
    Ho, Wo = layer.output_shape[2:]
    fits = layer.stride == (1, 1) and kh == kw and kh in TILES
    pays = C >= 8 and layer.num_filters >= 8 and min(Ho, Wo) >= 2
    winograd = fits and (algorithm == "winograd" or (algorithm == "auto" and pays))
    m = _side(kh, Ho, Wo, pool) if winograd else None
    products = _products(m, kh, Ho, Wo) if winograd else INSIDE * kh * kw * Ho * Wo
    fewer = min(C, layer.num_filters) >= MANY and _pairs(layer) <= products
    if not pool and (algorithm == "elements" or (algorithm == "auto" and fewer)):
        return "elements", 1
    if winograd:
        return "winograd", m
    suits = (C * kw < 32 or kh * kw == 1 or layer.stride != (1, 1)
             or Ho * Wo <= FEW_WINDOWS)
    if algorithm in ("elements", "im2col") or (algorithm == "auto" and suits):
        m = _side(3, Ho, Wo, pool)
        if read_as_tiles and few_channels(layer) and not (Ho % m or Wo % m):
            return "im2col", m
        return "im2col", 2 if pool else 1
    return "row", 2 if pool else 1


def few_channels(layer):
    """Whether a row of a window is only a handful of numbers."""
    kh, kw = layer.filter_size
    return layer.input_shape[1] * kw < 32 and kh * kw > 1


def _side(r, Ho, Wo, pool):
    """That of the tiles that cost least for filters of side r."""
    def cost(m):
        hangs = Ho % m or Wo % m
        return _products(m, r, Ho, Wo) * (1 + HANGING * bool(hangs))

    return min((m for m in TILES[r] if not (pool and m % 2)), key=cost)


def _products(m, r, Ho, Wo):
    """Products of a channel and a filter, with tiles of side m, filters of side r."""
    return (m + r - 1) ** 2 * -(-Ho // m) * -(-Wo // m)


def _pairs(layer):
    """Pairs of an element of a filter and a pixel that it meets."""
    return pairs(zip(layer.filter_size, layer.stride, layer.pad, layer.input_shape[2:],
                     layer.output_shape[2:]))
