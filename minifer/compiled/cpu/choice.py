"""Which algorithm computes a convolution, by its shape alone."""

from ...errors import SettingError

__all__ = ["ALGORITHMS", "choose", "few_channels"]

ALGORITHMS = ("auto", "im2col", "row", "winograd")

# Windows of an image up to which all images share a product, rather than one each.
FEW_WINDOWS = 64

#: Sides of Winograd's tiles of outputs, by the side of the filters.
TILES = {2: (3, 4, 5, 7), 3: (2, 3, 4, 6), 5: (2, 4)}


def choose(layer, pool, algorithm="auto", read_as_tiles=False):
    """Pick the algorithm for a convolution by its shape.

    Winograd needs stride 1 and square filters of side 2, 3 or 5, and pays where
    there are enough channels for its products to outweigh its transforms. Its tiles
    are those that need the fewest products to cover the output, and of these the
    smallest, which are the most accurate.

    Parameters
    ----------
    layer : Conv2DLayer
    pool : bool
        Whether a 2×2 max-pooling follows.
    algorithm : {'auto', 'im2col', 'row', 'winograd'}
        A wish; 'winograd' falls back to 'row' where it is not possible.
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
    if fits and (algorithm == "winograd" or (algorithm == "auto" and pays)):
        return "winograd", _side(kh, Ho, Wo, pool)
    suits = (C * kw < 32 or kh * kw == 1 or layer.stride != (1, 1)
             or Ho * Wo <= FEW_WINDOWS)
    if algorithm == "im2col" or (algorithm == "auto" and suits):
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
    """That of the tiles that need the fewest products for filters of side r."""
    def products(m):
        return (m + r - 1) ** 2 * -(-Ho // m) * -(-Wo // m)

    return min((m for m in TILES[r] if not (pool and m % 2)), key=products)
