"""Softmax along any axis, stacks of matrices, maps with labels, kinds of GRU."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import reference_along as reference
from helpers.checking import RANDOM_SHAPES, check_op, normal
from minifer import nonlinearities as f
from minifer.errors import LabelError, ShapeError
from minifer.ops.gru_variants import gru_variant_backward, gru_variant_forward
from minifer.ops.label_loss import label_loss_backward, label_loss_forward
from minifer.ops.products import matmul_backward, matmul_forward
from minifer.ops.softmax import (log_softmax_backward, log_softmax_forward,
                                 softmax_along_backward, softmax_along_forward)


# --- softmax -------------------------------------------------------------------------

@RANDOM_SHAPES
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), data=st.data())
def test_softmax_along_any_axis(shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = normal(tuple(shape), 1) * 3
    check_op(softmax_along_forward, softmax_along_backward, [x],
             reference.softmax_along, axis=axis)
    check_op(log_softmax_forward, log_softmax_backward, [x], reference.log_softmax,
             axis=axis)


def test_nothing_overflows():
    x = np.array([[1e4, 0.0, -1e4]])
    assert softmax_along_forward(x, 1)[0].tolist() == [[1, 0, 0]]
    assert log_softmax_forward(x, 1)[0].tolist() == [[0, -1e4, -2e4]]


@pytest.mark.parametrize("shape, axis", [((2, 3), 2), ((2, 0), 1), ((), 0)])
def test_an_axis_that_is_not_there(shape, axis):
    with pytest.raises(ShapeError, match="softmax: expected something along axis"):
        softmax_along_forward(np.zeros(shape), axis)


# --- products ------------------------------------------------------------------------

@pytest.mark.parametrize("a, b", [
    ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((3,), (3, 4)),
    ((2, 3), (3,)), ((3,), (3,)), ((2, 1, 2, 3), (4, 3, 1)), ((1, 2, 3), (3,))])
def test_matmul(a, b):
    check_op(matmul_forward, matmul_backward, [normal(a, 1), normal(b, 2)],
             reference.matmul)


def test_matrices_that_do_not_fit():
    with pytest.raises(ShapeError, match="matmul: expected"):
        matmul_forward(np.zeros((2, 3)), np.zeros((2, 3)))


# --- labels --------------------------------------------------------------------------

@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (2, 3, 2, 2)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore", [None, 1, -1, 255])
def test_label_loss(shape, weighted, ignore):
    labels = np.random.default_rng(0).integers(0, 3, (shape[0], *shape[2:]))
    if ignore is not None:
        labels[0] = ignore
    weights = np.array([0.5, 2.0, 1.0]) if weighted else None
    check_op(lambda log_p: label_loss_forward(log_p, labels, weights, ignore),
             label_loss_backward, [normal(shape, 1)],
             lambda log_p: reference.label_loss(log_p, labels, weights, ignore))


def test_labels_that_are_none():
    with pytest.raises(LabelError, match="expected labels 0 to 2 or 9, got 0 to 3"):
        label_loss_forward(np.zeros((2, 3)), np.array([0, 3]), ignore=9)
    with pytest.raises(ShapeError, match="label loss: expected labels"):
        label_loss_forward(np.zeros((2, 3, 4)), np.array([0, 1]))


# --- gated recurrent units -----------------------------------------------------------

@pytest.mark.parametrize("N, T, D, H", [(3, 4, 2, 3), (2, 1, 3, 2), (1, 3, 1, 1)])
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("masked, backwards", [(False, False), (True, True)])
def test_gru_variants(N, T, D, H, reset_after, masked, backwards):
    mask = np.random.default_rng(0).integers(0, 2, (N, T)) if masked else None
    inputs = [normal((N, T, D), 1), normal((D, 3 * H), 2), normal((H, 3 * H), 3) / 2,
              normal((3 * H,), 4), normal((H,), 5), normal((N, H), 6)]
    check_op(lambda *a, **options: gru_variant_forward(
                 *a, nonlinearities=[f.sigmoid, f.sigmoid, f.tanh], **options),
             gru_variant_backward, inputs, reference.gru_variant, mask=mask,
             backwards=backwards, reset_after=reset_after)
