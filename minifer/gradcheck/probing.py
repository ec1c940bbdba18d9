"""Claimed gradients of any function against slopes that are measured."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..errors import NotFiniteError, SettingError, ShapeError
from .report import Report, Row

__all__ = ["compare"]

#: Steps to try: a kink (of ReLU, of max-pooling) spoils the difference only
#: while a step crosses it, so what fails is tried again closer by.
STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
#: A direction that is off by more, relative to a typical element, is looked into.
SUSPICIOUS = 1e-9
#: How often that is done for an array at most: kinks make many suspicious.
MOST_SEARCHES = 2
#: Rounding of a slope: so many times that of the loss, over the step.
ROUNDING = 20

#: What is the matter with an element that is no plain error: the claimed slope lies
#: between those left and right, or it does not.
KINK, OUTSIDE = "kink", "outside of the slopes of a kink"


def compare(loss: Callable[[], float],
            arrays: dict[str, tuple[np.ndarray, np.ndarray | None]],
            rng: int | np.random.Generator = 0, tolerance: float = 1e-6,
            directions: int = 4, elementwise_up_to: int = 200,
            elements: int = 20) -> Report:
    """Compare claimed gradients of any function with measured ones.

    Parameters
    ----------
    loss : function
        Without arguments; returns a float that depends on ``arrays``.
    arrays : dict of name -> (array, gradient)
        float64 arrays that ``loss`` reads (they are changed in place while
        measuring, and restored) and their claimed gradients; None claims 0.
    rng : int or numpy.random.Generator
        Draws the directions.
    tolerance, directions, elementwise_up_to, elements
        As in :func:`check`.

    Returns
    -------
    Report
    """
    rng = np.random.default_rng(rng)
    rows = []
    for name, (array, gradient) in arrays.items():
        if array.dtype != np.float64:
            raise SettingError(
                f"gradcheck: expected float64 for '{name}', got {array.dtype}. "
                "In float32 a difference is mostly rounding.")
        gradient = np.zeros_like(array) if gradient is None else gradient
        if gradient.shape != array.shape:
            raise ShapeError(
                f"gradcheck: expected a gradient of shape {array.shape} for "
                f"'{name}', got {gradient.shape}.")
        row = Row(name, array.shape, 0, 0, 0, 0.0, tolerance)
        probed = _Probed(loss, array, gradient, tolerance, rng)
        if array.size <= elementwise_up_to:
            found = [probed.element(i) for i in range(array.size)]
        else:
            found = [probed.element(i) for i in _chosen(gradient, elements, rng)]
            for _ in range(directions):
                row = row.joined(probed.direction(row))
        for one in found:
            row = row.joined(one)
        rows.append(row)
    return Report(tuple(rows))


def _chosen(gradient, count, rng):
    """Elements of the largest and the smallest claimed gradients, and any."""
    size = np.abs(gradient).reshape(-1)
    few = min(3, count, size.size // 2)
    shuffled = rng.permutation(size.size)  # of equals, any
    ends = shuffled[:0] if not few else shuffled[
        np.argpartition(size[shuffled], (few - 1, size.size - few))]
    return [*ends[:few], *ends[len(ends) - few:],
            *rng.integers(0, size.size, count if size.size else 0)]


class _Probed:
    """An array whose gradient is measured, part by part in the order of memory."""

    def __init__(self, loss, array, gradient, tolerance, rng):
        self.loss, self.array, self.tolerance, self.rng = loss, array, tolerance, rng
        self.flat = array.reshape(-1) if array.flags.c_contiguous else array.flat
        self.gradient = gradient.reshape(-1)
        with np.errstate(over="ignore", invalid="ignore"):
            self.typical = float(np.sqrt((self.gradient ** 2).mean() if array.size
                                         else 0.0))
        self.searches, self.found = 0, False
        self.rounding = self._rounding()

    def element(self, i):
        """A row for one element."""
        return self._row(0, 1, *self._judge(i), i)

    def direction(self, so_far):
        """A row for a direction of random signs through all elements.

        A wrong element, of however many, makes it suspicious: its share of the slope
        is its deviation over √size. Halving what is wrong leads to the element, which
        is judged by itself.
        """
        signs = self.rng.choice([-1.0, 1.0], self.array.size)
        whole = slice(0, self.array.size)
        off, scale, h = self._screen(whole, signs)
        if h is None:
            return self._row(1, 0, off / scale if scale else 0.0, "")
        if self.searches < MOST_SEARCHES and not so_far.error > self.tolerance:
            self.searches += 1
            i = self._search(whole, signs, h)
            if i is not None:
                error, how = self._judge(i)
                if error > self.tolerance and how != KINK:
                    return self._row(1, 0, error, how, i)
        error = off / scale if scale else 0.0
        # Where it is off and no element is to blame, kinks were crossed.
        return self._row(1, 0, error, "" if error <= self.tolerance else KINK)

    def _row(self, directions, elements, error, how, place=None):
        note = how if how != KINK else ""
        if place is not None and error > self.tolerance and how != KINK:
            where = np.unravel_index(place, self.array.shape)
            note = f"{how or 'as'} at [{', '.join(map(str, where))}]"
        return Row("", self.array.shape, directions, elements, int(how == KINK),
                   0.0 if how == KINK else error, self.tolerance, note)

    def _screen(self, part, signs):
        """How far off a direction is, its scale, and the step to look closer with.

        The step is None if nothing is suspicious.
        """
        offs, scale = {}, 1.0
        for h in STEPS:
            off, scale, rounding = self._off(part, signs, h)
            if rounding > self.tolerance * scale and h != STEPS[0]:
                break
            if off <= max(SUSPICIOUS * scale, rounding):
                return (min(off, self.tolerance * scale), scale, None)
            offs[h] = off if off == off else math.inf
        least = min(offs.values())
        return least, scale, max(h for h, off in offs.items() if off <= 1.5 * least)

    def _search(self, part, signs, h):
        """The element that a suspicious direction leads to; None if it fades away."""
        while part.stop - part.start > 1:
            middle = (part.start + part.stop) // 2
            halves = slice(part.start, middle), slice(middle, part.stop)
            sizes = []
            for half in halves:
                off, scale, rounding = self._off(half, signs, h)
                fine = off <= max(SUSPICIOUS * scale, rounding)
                sizes.append(0.0 if fine else off * math.sqrt(half.stop - half.start))
            if not any(sizes):
                return None
            part = halves[not sizes[0] >= sizes[1]]
        return part.start

    def _judge(self, i):
        """Relative error of an element, and '', KINK (no answer) or OUTSIDE."""
        part, claimed = slice(i, i + 1), float(self.gradient[i])
        if not math.isfinite(claimed):
            return math.inf, ""
        best, tried = math.inf, []
        for h in STEPS:
            measured = self._slope(part, np.ones(1), h)
            scale = max(abs(claimed), abs(measured), self.typical)
            rounding = ROUNDING * self.rounding / h
            off = abs(measured - claimed)
            if off <= self.tolerance * scale:
                return (off / scale if scale else 0.0), ""
            if off <= rounding and (h == STEPS[0]
                                    or rounding <= 100 * self.tolerance * scale):
                return min(off / scale, self.tolerance), ""
            best = min(best, off / scale)
            tried.append((h, measured, off))
        (_, first, off), (_, second, also_off) = _last_two(tried, self.rounding)
        if not abs(first - second) <= 0.1 * min(off, also_off):
            return best, KINK  # still changing: many of them, or too much rounding
        return best, self._kink(part, claimed, max(abs(claimed), abs(first),
                                                   self.typical))

    def _kink(self, part, claimed, scale):
        """KINK if the claim is between the slopes left and right, OUTSIDE if they
        differ without that, '' if they are one."""
        how, here = KINK, self.loss()
        for h in (1e-5, 1e-6):  # a curve's one-sided slopes meet as h shrinks
            right, left = self._at(part, np.ones(1), (h, -h))
            right, left = (right - here) / h, (here - left) / h
            slack = 1e-3 * scale
            if abs(right - left) < slack:
                return ""
            if not min(left, right) - slack <= claimed <= max(left, right) + slack:
                how = OUTSIDE
        return how

    def _off(self, part, signs, h):
        """|measured − claimed| along signs of a part, its scale, and its rounding."""
        direction = signs[part] / math.sqrt(part.stop - part.start)
        with np.errstate(invalid="ignore", over="ignore"):
            claimed = float((self.gradient[part] * direction).sum())
        measured = self._slope(part, direction, h)
        scale = max(abs(claimed), abs(measured), self.typical)
        return abs(measured - claimed), scale, ROUNDING * self.rounding / h

    def _slope(self, part, direction, h):
        right, left, far_right, far_left = self._at(part, direction,
                                                    (h, -h, 2 * h, -2 * h))
        return (8 * (right - left) - (far_right - far_left)) / (12 * h)

    def _at(self, part, direction, steps):
        """The loss at steps along a direction of a part of the array."""
        before, losses = self.flat[part].copy(), []
        try:
            for step in steps:
                self.flat[part] = before + step * direction
                losses.append(self.loss())
        finally:
            self.flat[part] = before
        return losses

    def _rounding(self):
        """How much the loss varies where it should not: by steps of rounding size."""
        if not self.array.size:
            return 0.0
        whole, here = slice(0, self.array.size), float(self.loss())
        if not math.isfinite(here):
            raise NotFiniteError(f"gradcheck: expected a finite loss, got {here}. See "
                                 "to the inputs and parameters.")
        again = float(self.loss())
        if not abs(again - here) <= 1e-9 * abs(here):
            raise SettingError(
                f"gradcheck: expected the same loss twice, got {here}, {again}. Draw "
                "random numbers from the same seed at each call.")
        size = 4 * np.finfo(float).eps * max(float(np.abs(self.array).max()), 1e-3)
        moves = [self._at(whole, self.rng.choice([-1.0, 1.0], self.array.size), (size,))
                 for _ in range(2)]
        return max([abs(loss - here) for loss, in moves]
                   + [np.finfo(float).eps * abs(here)])


def _last_two(tried, rounding):
    """The two of smallest steps that are no noise; each is (step, slope, off)."""
    sure = [one for one in tried if ROUNDING * rounding / one[0] <= 0.1 * one[2]]
    return (sure if len(sure) > 1 else tried)[-2:]
