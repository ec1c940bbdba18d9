"""Inputs cut to one size, so that they can be merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._types import Array
from ..errors import ShapeError

__all__ = ["autocrop", "autocrop_array_shapes", "crop_slices"]

#: Which part of an axis stays: where a length of ``size`` begins among ``n``.
BEGINS = {"lower": lambda n, size: 0, "center": lambda n, size: (n - size) // 2,
          "upper": lambda n, size: n - size}


def autocrop(inputs: Sequence[Array], cropping: Sequence[str | None] | None
             ) -> list[Array]:
    """Cut arrays, axis by axis, to the length of the shortest.

    Parameters
    ----------
    inputs : list of arrays
        Arrays of as many axes each.
    cropping : list of {None, 'lower', 'center', 'upper'}, or None
        For each axis, which part of the longer ones stays: the first elements, those in
        the middle, the last. None leaves the axis as it is, and so are axes beyond the
        list. A whole cropping of None leaves all as it is.

    Returns
    -------
    list of arrays
        Views.

    Examples
    --------
    >>> import numpy as np
    >>> a, b = np.arange(6).reshape(1, 6), np.zeros((1, 3))
    >>> autocrop([a, b], [None, "center"])[0]
    array([[1, 2, 3]])
    """
    if cropping is None:
        return list(inputs)
    return [x[place] for x, place
            in zip(inputs, crop_slices([x.shape for x in inputs], cropping))]


def autocrop_array_shapes(input_shapes: Sequence[Sequence[int | None]],
                          cropping: Sequence[str | None] | None
                          ) -> list[tuple[Any, ...]]:
    """The shapes that :func:`autocrop` makes of arrays of these shapes.

    Parameters
    ----------
    input_shapes : list of tuples
        None where a length is not known; then that of the shortest is not, either.
    cropping
        As for :func:`autocrop`.

    Returns
    -------
    list of tuples
    """
    if cropping is None:
        return [tuple(shape) for shape in input_shapes]
    each = _for_each_axis(input_shapes, cropping)
    shortest = [None if None in lengths else min(lengths)
                for lengths in zip(*input_shapes)]
    return [tuple(n if how is None else size
                  for n, size, how in zip(shape, shortest, each))
            for shape in input_shapes]


def crop_slices(shapes, cropping):
    """For each of these known shapes, the slices that cut it."""
    each = _for_each_axis(shapes, cropping)
    cropped = autocrop_array_shapes(shapes, cropping)
    result = []
    for shape, sizes in zip(shapes, cropped):
        begins = [0 if how is None else BEGINS[how](n, size)
                  for n, size, how in zip(shape, sizes, each)]
        result.append(tuple(slice(at, at + size) for at, size in zip(begins, sizes)))
    return result


def _for_each_axis(shapes, cropping):
    """The cropping of every axis, checked."""
    ndim = len(shapes[0])
    if any(len(shape) != ndim for shape in shapes):
        raise ShapeError("autocrop: expected inputs of as many axes each, got "
                         f"{', '.join(str(tuple(shape)) for shape in shapes)}.")
    if isinstance(cropping, str) or len(cropping) > ndim or any(
            how is not None and how not in BEGINS for how in cropping):
        raise ShapeError(
            f"autocrop: expected for each of {ndim} axes None, 'lower', 'center' or "
            f"'upper', got {cropping!r}.")
    return list(cropping) + [None] * (ndim - len(cropping))
