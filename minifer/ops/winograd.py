r"""Winograd convolution: fewer multiplications, from polynomial algebra.

A tile of m outputs of a correlation with r taps needs m·r products when worked
out directly. Winograd needs n = m + r - 1, one for each of n points at which the
polynomials behind it are evaluated:

.. math:: y = A^T\,[(G g) \odot (B^T d)]

and in two dimensions, nested, n² in place of m²r²: F(4×4, 5×5) takes 64 products
in place of 400. The transforms are small matrices of exact fractions; what is
paid is accuracy, since large and small points are mixed.

References
----------
* Winograd (1980): Arithmetic complexity of computations. SIAM.
* Lavin & Gray (2016): Fast algorithms for convolutional neural networks.
  CVPR, arXiv:1509.09308.
"""

import functools
import math
from fractions import Fraction

import numpy as np

__all__ = ["matrices", "filter_transform", "filter_gradient"]

# Points close to 1 in size keep the transforms well-conditioned; the point at
# infinity always comes last.
HALF = Fraction(1, 2)
POINTS = {4: (0, 1, -1), 5: (0, 1, -1, 2), 6: (0, 1, -1, HALF, -2),
          8: (0, 1, -1, 2, -2, HALF, -HALF)}


@functools.lru_cache(maxsize=None)
def matrices(m, r):
    """The transforms of F(m, r), by Cook and Toom's construction.

    Parameters
    ----------
    m : int
        Outputs of a tile.
    r : int
        Taps of the filter: 2, 3 or 5; n = m + r - 1 must be 4, 5, 6 or 8.

    Returns
    -------
    A : array, shape (n, m)
    G : array, shape (n, r)
    B : array, shape (n, n)
        float64, with ``y = A.T @ ((G @ g) * (B.T @ d))``.
    """
    points = [Fraction(p) for p in POINTS[m + r - 1]]
    A, G, B_rows = [], [], []
    for j, p in enumerate(points):
        others = points[:j] + points[j + 1:]
        # Lagrange's polynomial of this point; its denominator goes into G.
        row = _polynomial(others) + [Fraction(0)]
        norm = math.prod((p - q for q in others), start=Fraction(1))
        scale = _power_of_two(row)
        A.append([p ** i for i in range(m)])
        G.append([p ** k / norm / scale for k in range(r)])
        B_rows.append([x * scale for x in row])
    row = _polynomial(points)  # the point at infinity
    scale = _power_of_two(row)
    A.append([Fraction(int(i == m - 1)) for i in range(m)])
    G.append([Fraction(0)] * (r - 1) + [1 / scale])
    B_rows.append([x * scale for x in row])
    A, G, B_rows = (np.array(M, dtype=float) for M in (A, G, B_rows))
    return A, G, np.ascontiguousarray(B_rows.T)


def filter_transform(W, m):
    """Filters in the space of points.

    Parameters
    ----------
    W : array, shape (F, C, r, r)
        Filters of a correlation.
    m : int
        Outputs of a tile.

    Returns
    -------
    U : array, shape (n*n, C, F)
        ``G W G^T`` for each pair of filter and channel.
    """
    F, C, r, _ = W.shape
    G = matrices(m, r)[1].astype(W.dtype)
    return _both_ways(G, W.transpose(2, 3, 1, 0)).reshape(-1, C, F)


def filter_gradient(dU, m, r):
    """Gradient of :func:`filter_transform`: ``dW = G^T dU G``, shape (F, C, r, r)."""
    n, (_, C, F) = m + r - 1, dU.shape
    G = matrices(m, r)[1].astype(dU.dtype)
    dW = _both_ways(G.T, dU.reshape(n, n, -1)).reshape(r, r, C, F)
    return dW.transpose(3, 2, 0, 1)


def _both_ways(M, x):
    """M along the first two axes of x: two products with long rows, which are fast."""
    rows = M @ x.reshape(len(x), -1)
    return M @ rows.reshape(len(M), x.shape[1], -1)


def _polynomial(roots):
    """Coefficients, lowest first, of the product of (x - root)."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0)] + coefficients
        coefficients = [a - root * b for a, b in
                        zip(shifted, coefficients + [Fraction(0)])]
    return coefficients


def _power_of_two(row):
    """The power of two that brings the row's largest element next to 1: exact."""
    return Fraction(2) ** -round(math.log2(max(abs(x) for x in row)))
