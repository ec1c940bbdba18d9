"""LSTM and GRU against loops and numerical gradients."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import reference
from helpers.checking import RANDOM_SHAPES, check_op, normal
from minifer import nonlinearities as f
from minifer.ops.gru import gru_backward, gru_forward
from minifer.ops.lstm import lstm_backward, lstm_forward

SIZES = [pytest.param(*sizes, id=name) for name, *sizes in [
    ("plain", 3, 4, 2, 3), ("1 step", 2, 1, 3, 2), ("1 unit", 2, 3, 2, 1),
    ("1 sequence", 1, 4, 2, 3), ("all 1", 1, 1, 1, 1), ("1 number", 2, 3, 1, 2)]]

#: Nonlinearities that are not the usual ones, and what they are in loops.
OTHER = {"scaled_tanh": (f.ScaledTanH(0.5, 1.5), lambda z: 1.5 * math.tanh(z / 2)),
         "softplus": (f.softplus, lambda z: math.log1p(math.exp(z))),
         "identity": (f.identity, lambda z: z),
         "sigmoid": (f.sigmoid, lambda z: 1 / (1 + math.exp(-z))),
         "tanh": (f.tanh, math.tanh)}
OTHERS = ["scaled_tanh", "sigmoid", "softplus", "tanh", "identity"]


def lstm_inputs(N, T, D, H, peepholes=True, starts=None):
    starts = starts or N
    return [normal((N, T, D), 1), normal((D, 4 * H), 2), normal((H, 4 * H), 3) / 2,
            normal((4 * H,), 4), normal((starts, H), 5), normal((starts, H), 6),
            normal((3, H), 7) if peepholes else None]


def gru_inputs(N, T, D, H, starts=None):
    return [normal((N, T, D), 1), normal((D, 3 * H), 2), normal((H, 3 * H), 3) / 2,
            normal((3 * H,), 4), normal((starts or N, H), 5)]


def mask_of(N, T, seed=0):
    """Steps left out at the end, in the middle, at the start; a row of nothing."""
    mask = np.random.default_rng(seed).integers(0, 2, (N, T)).astype(float)
    mask[0] = 0
    return mask


# --- against loops ------------------------------------------------------------

@pytest.mark.parametrize("N, T, D, H", SIZES)
@pytest.mark.parametrize("peepholes", [True, False])
@pytest.mark.parametrize("masked, backwards", [(False, False), (True, False),
                                               (True, True), (False, True)])
def test_lstm(N, T, D, H, peepholes, masked, backwards):
    check_op(lstm_forward, lstm_backward, lstm_inputs(N, T, D, H, peepholes),
             reference.lstm, backwards=backwards,
             mask=mask_of(N, T) if masked else None)


@pytest.mark.parametrize("N, T, D, H", SIZES)
@pytest.mark.parametrize("masked, backwards", [(False, False), (True, False),
                                               (True, True), (False, True)])
def test_gru(N, T, D, H, masked, backwards):
    check_op(gru_forward, gru_backward, gru_inputs(N, T, D, H), reference.gru,
             backwards=backwards, mask=mask_of(N, T) if masked else None)


def test_one_start_for_all_sequences():
    check_op(lstm_forward, lstm_backward, lstm_inputs(3, 2, 2, 2, starts=1),
             reference.lstm)
    check_op(gru_forward, gru_backward, gru_inputs(3, 2, 2, 2, starts=1), reference.gru)


@pytest.mark.parametrize("peepholes", [True, False])
def test_any_nonlinearities_in_an_lstm(peepholes):
    check_op(lambda *a, functions: lstm_forward(
                 *a, nonlinearities=[OTHER[one][0] for one in OTHERS]),
             lstm_backward, lstm_inputs(2, 3, 2, 2, peepholes), reference.lstm,
             functions=[OTHER[one][1] for one in OTHERS])


def test_any_nonlinearities_in_a_gru():
    check_op(lambda *a, functions: gru_forward(
                 *a, nonlinearities=[OTHER[one][0] for one in OTHERS[:3]]),
             gru_backward, gru_inputs(2, 3, 2, 2), reference.gru,
             functions=[OTHER[one][1] for one in OTHERS[:3]])


@RANDOM_SHAPES
@given(N=st.integers(1, 3), T=st.integers(1, 4), D=st.integers(1, 3),
       H=st.integers(1, 3), seed=st.integers(0, 99), backwards=st.booleans())
def test_random_shapes_and_masks(N, T, D, H, seed, backwards):
    options = {"mask": mask_of(N, T, seed), "backwards": backwards}
    check_op(lstm_forward, lstm_backward, lstm_inputs(N, T, D, H, seed % 2),
             reference.lstm, seed, **options)
    check_op(gru_forward, gru_backward, gru_inputs(N, T, D, H), reference.gru, seed,
             **options)


# --- limits of gradients ------------------------------------------------------

@pytest.mark.parametrize("clip", [0, 0.2])
def test_a_gru_of_many_steps_is_many_of_one(clip):
    x, *weights, h = gru_inputs(3, 5, 2, 3)
    dy, mask = 3 * normal((3, 5, 3), 9), mask_of(3, 5)
    _, cache = gru_forward(x, *weights, h, mask)
    found = gru_backward(dy, cache, clip)
    caches, dh, dx, expected = [], 0, np.empty_like(x), 0
    for t in range(5):
        y, cache = gru_forward(x[:, t:t + 1], *weights, h, mask[:, t:t + 1])
        h = y[:, 0]
        caches.append(cache)
    for t in reversed(range(5)):
        step, *of_weights, dh = gru_backward((dy[:, t] + dh)[:, None], caches[t], clip)
        dx[:, t] = step[:, 0]
        expected = [a + b for a, b in zip(expected or [0] * 3, of_weights)]
    for a, b in zip(found, [dx, *expected, dh]):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("forward, backward, inputs", [
    (lstm_forward, lstm_backward, lstm_inputs(1, 1, 2, 3)),
    (gru_forward, gru_backward, gru_inputs(1, 1, 2, 3))])
def test_each_element_of_what_enters_the_gates_is_limited(forward, backward, inputs):
    y, cache = forward(*inputs)
    free, small = (backward(10 * np.ones_like(y), cache, clip=clip)
                   for clip in (0, 0.1))
    if forward is lstm_forward:  # of one sequence and step, db is what is limited
        np.testing.assert_allclose(small[3], np.clip(free[3], -0.1, 0.1))
        np.testing.assert_array_equal(small[6], free[6])  # but not at the peepholes
        np.testing.assert_allclose(small[2], np.outer(inputs[4][0], small[3]))
    assert np.abs(small[3]).max() == 0.1 < np.abs(free[3]).max()
    np.testing.assert_allclose(small[1], np.outer(inputs[0][0, 0], small[3]))


@pytest.mark.parametrize("forward, backward, inputs, states", [
    (lstm_forward, lstm_backward, lstm_inputs(2, 5, 2, 3), 2),
    (gru_forward, gru_backward, gru_inputs(2, 5, 2, 3), 1)])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 4, 5, 6])
def test_the_gradient_goes_back_through_so_many_steps(forward, backward, inputs, states,
                                                      steps, backwards):
    y, cache = forward(*inputs, backwards=backwards)
    dy = normal(y.shape, 9)
    found = backward(dy, cache, gradient_steps=steps)
    if steps >= 5:
        expected = backward(dy, cache)
    else:  # the last steps alone, from the states that they met
        last = slice(0, steps) if backwards else slice(5 - steps, 5)
        met = ([cache[8][5 - steps], cache[9][5 - steps]] if states == 2
               else [cache[6][5 - steps]])
        _, part = forward(inputs[0][:, last], *inputs[1:4], *met, *inputs[4 + states:],
                          backwards=backwards)
        expected = list(backward(dy[:, last], part))
        dx = np.zeros_like(inputs[0])
        dx[:, last] = expected[0]
        expected[0] = dx
        for k in range(states):
            expected[4 + k] = np.zeros_like(met[k])
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_what_is_not_wanted_is_not_computed():
    y, cache = lstm_forward(*lstm_inputs(2, 3, 2, 2))
    assert lstm_backward(y, cache, need_dx=False)[0] is None
    y, cache = gru_forward(*gru_inputs(2, 3, 2, 2))
    assert gru_backward(y, cache, need_dx=False)[0] is None
