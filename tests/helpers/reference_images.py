"""What operations on pixels and their surroundings mean, in loops.

Like :mod:`helpers.reference`: slow, plain, in float64, and nothing from minifer.
"""

import math

import numpy as np


def response_norm(x, alpha, k, beta, n):
    """Each number over (k + alpha * sum of squares of n channels around) ** beta."""
    N, C = x.shape[:2]
    y = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        total = 0.0
        for c in range(at[1] - n // 2, at[1] + n // 2 + 1):
            if 0 <= c < C:
                total += float(x[(at[0], c, *at[2:])]) ** 2
        y[at] = float(x[at]) / (k + alpha * total) ** beta
    return y


def sloped_rectify(x, slope):
    """x where positive, else x times the slope that stands over it."""
    slope = np.broadcast_to(slope, x.shape)
    y = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        v = float(x[at])
        y[at] = v if v > 0 else v * float(slope[at])
    return y


def pixel(at, length, border):
    """The pixel that stands at a whole number inside or outside of a row."""
    if border == "nearest":
        return min(max(at, 0), length - 1)
    if border == "wrap":
        return at % length
    while not 0 <= at < length:  # mirrored at the middle of the outermost pixels
        at = -at if at < 0 else 2 * (length - 1) - at
        if length == 1:
            return 0
    return at


def bilinear(x, points, border="nearest"):
    """Images (N, C, H, W) read at places (N, 2, P): x and y, -1 … 1 over the pixels."""
    N, C, H, W = x.shape
    y = np.zeros((N, C, points.shape[2]))
    for n, c, p in np.ndindex(y.shape):
        column = (float(points[n, 0, p]) + 1) / 2 * (W - 1)
        row = (float(points[n, 1, p]) + 1) / 2 * (H - 1)
        left, top = math.floor(column), math.floor(row)
        for i in (top, top + 1):
            for j in (left, left + 1):
                weight = (1 - abs(row - i)) * (1 - abs(column - j))
                y[n, c, p] += weight * float(
                    x[n, c, pixel(i, H, border), pixel(j, W, border)])
    return y


def grid(rows, columns):
    """Places of the pixels of an image, row by row."""
    def at(i, length):
        return -1.0 if length == 1 else -1 + 2 * i / (length - 1)
    return [(at(j, columns), at(i, rows)) for i in range(rows) for j in range(columns)]


def affine(x, theta, rows, columns, border="nearest"):
    """Each pixel of the output read where its image's matrix (2, 3) sends it."""
    N, C = x.shape[:2]
    points = np.zeros((N, 2, rows * columns))
    for n in range(N):
        for p, (u, v) in enumerate(grid(rows, columns)):
            for axis in (0, 1):
                a, b, c = (float(t) for t in theta[n, 3 * axis:3 * axis + 3])
                points[n, axis, p] = a * u + b * v + c
    return bilinear(x, points, border).reshape(N, C, rows, columns)


def thin_plate(x, offsets, side, rows, columns, border="nearest"):
    """Each pixel read where the spline through side * side moved points sends it."""
    def bent(a, b):
        r2 = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
        return r2 * math.log(r2) if r2 else 0.0

    N, C = x.shape[:2]
    sources = grid(side, side)
    K = len(sources)
    points = np.zeros((N, 2, rows * columns))
    for n, axis in np.ndindex(N, 2):
        # f = w_k U(.., s_k) + a + b u + c v goes through each moved point, and the
        # weights w have neither a sum nor a moment.
        matrix, right = np.zeros((K + 3, K + 3)), np.zeros(K + 3)
        for i, s in enumerate(sources):
            for k, other in enumerate(sources):
                matrix[i, k] = bent(s, other)
            matrix[i, K:] = matrix[K:, i] = 1, s[0], s[1]
            right[i] = s[axis] + float(offsets[n, axis * K + i])
        w = np.linalg.solve(matrix, right)
        for p, (u, v) in enumerate(grid(rows, columns)):
            points[n, axis, p] = w[K] + w[K + 1] * u + w[K + 2] * v + sum(
                w[k] * bent((u, v), s) for k, s in enumerate(sources))
    return bilinear(x, points, border).reshape(N, C, rows, columns)
