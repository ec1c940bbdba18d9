"""Dropout against loops and numerical gradients, and the masks it is given."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import reference
from helpers.checking import RANDOM_SHAPES, check_op, normal
from minifer.ops.dropout import dropout_backward, dropout_forward
from minifer.random import Stream


def check_dropout(x, mask, p, **options):
    check_op(dropout_forward, dropout_backward, [x], reference.dropout,
             mask=mask, p=p, **options)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("shape, mask_shape", [
    pytest.param((4, 5), (4, 5), id="dense"),
    pytest.param((2, 3, 4, 5), (2, 3, 4, 5), id="convolution"),
    pytest.param((2, 3, 4, 5), (2, 3, 1, 1), id="whole channels"),
    pytest.param((2, 3, 4, 5), (4, 5), id="one mask for all"),
    pytest.param((1, 1), (1, 1), id="one number"),
    pytest.param((5, 3, 6, 5), (5, 3, 6, 5), id="many")])
def test_dropout(shape, mask_shape, p, rescale):
    mask = Stream(1, "dropout").keep_mask(mask_shape, p)
    check_dropout(normal(shape, 1), mask, p, rescale=rescale)


@pytest.mark.parametrize("kept", [True, False])
def test_all_kept_and_all_dropped(kept):
    check_dropout(normal((3, 4)), np.full((3, 4), kept), 0.5)


def test_views():
    mask = Stream(1, "dropout").keep_mask((4, 6), 0.5)
    check_dropout(normal((8, 5), 1)[::2], mask[:, ::-1][:, 1:], 0.5)


@RANDOM_SHAPES
@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
       p=st.floats(0, 0.95), rescale=st.booleans(), seed=st.integers(0, 99))
def test_random_shapes(shape, p, rescale, seed):
    mask = Stream(seed, "dropout").keep_mask(tuple(shape), p)
    check_dropout(normal(tuple(shape), 1), mask, p, rescale=rescale)


def test_numpy_numbers_as_p_do_not_widen_float32():
    x = normal((3, 4)).astype(np.float32)
    y, cache = dropout_forward(x, np.ones((3, 4), bool), np.float64(0.5))
    assert y.dtype == np.float32
    assert dropout_backward(y, cache).dtype == np.float32


# --- masks ------------------------------------------------------------------

@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.75])
def test_masks_drop_the_asked_share(p):
    size = 200_000
    mask = Stream(7, "dropout").keep_mask((size,), p)
    assert mask.dtype == bool
    deviation = np.sqrt(p * (1 - p) / size)
    assert abs((1 - mask.mean()) - p) <= 4 * deviation


def test_masks_keep_the_mean():
    x = np.ones(200_000)
    y, _ = dropout_forward(x, Stream(7, "dropout").keep_mask(x.shape, 0.5), 0.5)
    assert abs(y.mean() - 1) < 4 / np.sqrt(x.size)


def test_a_step_gives_the_same_mask_whatever_came_before():
    stream = Stream(3, "dropout", "layer 1")
    masks = [stream.keep_mask((10, 10), 0.5) for _ in range(3)]
    resumed = Stream(3, "dropout", "layer 1")
    resumed.step = 2
    np.testing.assert_array_equal(resumed.keep_mask((10, 10), 0.5), masks[2])
    assert not np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[1], masks[2])


def test_seeds_and_names_give_independent_masks():
    streams = [Stream(3, "dropout", 0), Stream(4, "dropout", 0),
               Stream(3, "dropout", 1), Stream(3, "shuffle", 0)]
    masks = [stream.keep_mask((100, 100), 0.5) for stream in streams]
    for i in range(4):
        for j in range(i):
            agreement = (masks[i] == masks[j]).mean()
            assert abs(agreement - 0.5) < 0.02  # four deviations of 1/200
