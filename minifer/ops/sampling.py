"""Images read at places between their pixels.

Jaderberg et al. (2015), "Spatial transformer networks", arXiv:1506.02025. A place is
(x, y), both from -1 at the middle of the first pixel to 1 at the middle of the last.
"""

import numpy as np

from ..cuda import sampling as sampling_kernels
from .dispatch import on_device

__all__ = ["BORDERS", "affine_points_forward", "affine_points_backward",
           "bilinear_forward", "bilinear_backward", "sampling_grid"]

#: What lies outside of an image: its nearest pixel, its mirror image, itself again.
BORDERS = ("nearest", "mirror", "wrap")


def sampling_grid(rows, columns):
    """The places of an image's pixels.

    Returns
    -------
    array, shape (2, rows * columns), float64
        x and y of every pixel, row by row.
    """
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns),
                       indexing="ij")
    return np.stack([x.ravel(), y.ravel()])


def affine_points_forward(theta, grid):
    r"""Places under an affine map for each image.

    .. math:: x'_p = \theta_1 x_p + \theta_2 y_p + \theta_3, \qquad
              y'_p = \theta_4 x_p + \theta_5 y_p + \theta_6

    Parameters
    ----------
    theta : array, shape (N, 6)
    grid : array, shape (2, P)

    Returns
    -------
    points : array, shape (N, 2, P)
    cache : tuple
    """
    x, y = grid[:1], grid[1:]  # (1, P)
    points = np.stack([theta[:, i:i + 1] * x + theta[:, i + 1:i + 2] * y
                       + theta[:, i + 2:i + 3] for i in (0, 3)], axis=1)
    return points, (grid,)


def affine_points_backward(dpoints, cache):
    """Gradient of :func:`affine_points_forward` with respect to theta, (N, 6)."""
    (grid,) = cache
    x, y = grid[:1], grid[1:]
    return np.stack([total for d in (dpoints[:, 0], dpoints[:, 1])  # (N, P)
                     for total in ((d * x).sum(axis=1), (d * y).sum(axis=1),
                                   d.sum(axis=1))], axis=1)


@on_device(sampling_kernels)
def bilinear_forward(x, points, border="nearest"):
    """Read each image at places, as the mean of the four pixels around by nearness.

    Parameters
    ----------
    x : array, shape (N, C, H, W)
    points : array, shape (N, 2, P)
        x and y, see :func:`sampling_grid`.
    border : {'nearest', 'mirror', 'wrap'}
        Pixels outside of the image.

    Returns
    -------
    y : array, shape (N, C, P)
    cache : tuple
    """
    with np.errstate(invalid="ignore"):  # a place that is no number gives none
        corners = _corners(points, x.shape[2:], border)
        y = sum(_read(x, index) * weight for index, weight, _, _ in corners)
    return y, (x, corners)


@on_device(sampling_kernels)
def bilinear_backward(dy, cache):
    """Gradients of :func:`bilinear_forward`.

    A pixel learns by its weights, a place by the differences of the pixels around.

    Returns
    -------
    dx : array, shape (N, C, H, W)
    dpoints : array, shape (N, 2, P)
    """
    x, corners = cache
    N, C, H, W = x.shape
    planes = (np.arange(N * C) * (H * W)).reshape(N, C, 1)
    dx = np.zeros(x.size)
    slopes = [0, 0]
    for index, weight, *of_place in corners:
        np.add(dx, np.bincount((planes + index).ravel(), (dy * weight).ravel(), x.size),
               out=dx)
        pixels = (dy * _read(x, index)).sum(axis=1)  # (N, P)
        slopes = [total + pixels * slope for total, slope in zip(slopes, of_place)]
    return dx.reshape(x.shape).astype(dy.dtype), np.stack(slopes, axis=1)


def _read(x, index):
    """Pixels (N, C, P) by their numbers in a plane, (N, 1, P)."""
    return np.take_along_axis(x.reshape(*x.shape[:2], x.shape[2] * x.shape[3]), index,
                              axis=2)


def _corners(points, size, border):
    """The four pixels around each place.

    Returns
    -------
    list of tuples
        Their numbers (N, 1, P), weights (N, 1, P), and the slopes of the weights along
        the place's x and y, (N, P).
    """
    axes = []
    for place, length in zip((points[:, 1], points[:, 0]), size):
        at = (place + 1) * ((length - 1) / 2)
        low = np.floor(at)
        axes.append([(_pixel(low, length, border), low + 1 - at, -(length - 1) / 2),
                     (_pixel(low + 1, length, border), at - low, (length - 1) / 2)])
    return [((row * size[1] + column)[:, None], (by_row * by_column)[:, None],
             by_row * along_x, by_column * along_y)
            for row, by_row, along_y in axes[0]
            for column, by_column, along_x in axes[1]]


def _pixel(at, length, border):
    """Which pixel stands at a whole number, inside or outside."""
    if border == "mirror":
        period = max(1, 2 * (length - 1))
        at = np.mod(at, period)
        at = np.minimum(at, period - at)
    elif border == "wrap":
        at = np.mod(at, length)
    return np.fmax(np.fmin(at, length - 1), 0).astype(np.int64)
