"""A small drawing board: soft masks of polygons, lines and discs.

A :class:`Canvas` is a rectangle of the face plane, in face units (see
:mod:`minifer.data.drawn.people`), sampled at :data:`SCALE` pixels per unit.
Everything drawn on it is a mask: an array (rows, columns) from 0 to 1 with
smooth edges, through which :func:`paint` lays a colour on a picture.
"""

import functools
import math

import numpy as np

from ...faces.images import load_cv2

__all__ = ["SCALE", "Canvas", "ramp", "paint", "bezier", "texture"]

SCALE = 100         # pixels per face unit
_SHIFT = 4          # fractional bits of the points cv2's drawing functions take
_STRONGEST = 1.6    # the strength of a line that 8 bits hold as 255


class Canvas:
    """The rectangle from (left, top) to (right, bottom), in face units.

    Attributes
    ----------
    x, y : ndarray
        (1, columns) and (rows, 1), face units: formulas of x and y broadcast to
        pictures of the canvas.
    """

    def __init__(self, left, top, right, bottom):
        self.left, self.top = round(left * SCALE), round(top * SCALE)
        columns = np.arange(self.left, round(right * SCALE), dtype=np.float32)
        rows = np.arange(self.top, round(bottom * SCALE), dtype=np.float32)
        self.x, self.y = columns[None, :] / SCALE, rows[:, None] / SCALE
        self.shape = len(rows), len(columns)

    def cut(self, picture, board):
        """The part (a view) of a ``picture`` on canvas ``board`` that lies here."""
        row, column = self.top - board.top, self.left - board.left
        rows, columns = self.shape
        return picture[row:row + rows, column:column + columns]

    def fill(self, polygons, blur=0.0):
        """Mask of filled polygons (points, 2), blurred by ``blur`` face units."""
        cv2 = load_cv2()

        image = np.zeros(self.shape, np.uint8)
        for polygon in polygons:
            cv2.fillPoly(image, [self._points(polygon)], 255, cv2.LINE_AA, _SHIFT)
        return self._soft(image, blur) / 255

    def stroke(self, curves, width, blur=0.0, strengths=None):
        """Mask of lines along ``curves``; strengths above 1 stay above 1."""
        cv2 = load_cv2()

        image = np.zeros(self.shape, np.uint8)
        strengths = [1.0] * len(curves) if strengths is None else strengths
        for curve, strength in zip(curves, strengths):
            level = round(255 * min(strength / _STRONGEST, 1))
            cv2.polylines(image, [self._points(curve)], False, level,
                          max(1, round(width * SCALE)), cv2.LINE_AA, _SHIFT)
        return self._soft(image, blur) * np.float32(_STRONGEST / 255)

    def disc(self, centre, width, height=None, soft=0.15):
        """Mask of an ellipse with half axes ``width`` and ``height``."""
        height = width if height is None else height
        square = ((self.x - centre[0]) / width) ** 2 + (
            (self.y - centre[1]) / height) ** 2
        return ramp(1 - square, 2 * soft)

    def _points(self, curve):
        points = np.asarray(curve) * SCALE - (self.left, self.top)
        return np.round(points * 2 ** _SHIFT).astype(np.int32)

    def _soft(self, image, blur):
        cv2 = load_cv2()

        if blur:
            image = cv2.GaussianBlur(image, (0, 0), blur * SCALE)
        return image.astype(np.float32)


def ramp(value, width):
    """0 below ``-width``, 1 above ``width``, and a smooth step between."""
    t = np.clip(value * np.float32(0.5 / width) + np.float32(0.5), 0, 1)
    return t * t * (3 - 2 * t)


def paint(picture, colour, mask):
    """Blend ``colour`` (number or array) into ``picture`` where ``mask`` is 1."""
    picture += (colour - picture) * mask


def bezier(points):
    """Smooth curve (16, 2) from the first of ``points`` (n, 2) to the last.

    The points between are the control points of a Bezier curve: they pull.
    """
    return _bernstein(len(points)) @ np.asarray(points)


@functools.lru_cache
def _bernstein(n):
    """(16, n): the n polynomials that weigh the control points, at 16 places."""
    t = np.linspace(0, 1, 16)[:, None]
    k = np.arange(n)
    choose = np.array([math.comb(n - 1, i) for i in k])
    return choose * t ** k * (1 - t) ** (n - 1 - k)


def texture(rng, shape, across, along):
    """Noise of mean 0 and deviation 1, its grain ``across`` x ``along`` pixels."""
    cv2 = load_cv2()

    coarse = max(1, int(min(across, along) / 2))    # wide grain needs few samples
    size = [-(-length // coarse) for length in shape]
    noise = rng.standard_normal(size, dtype=np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=across / coarse,
                             sigmaY=along / coarse)
    return cv2.resize(noise / noise.std(), shape[::-1])
