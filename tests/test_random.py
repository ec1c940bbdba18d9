"""Random streams: by step, by name, and the same on every machine for good."""

import itertools

import numpy as np
import pytest

from minifer import random
from minifer.errors import SettingError
from minifer.random import Stream, as_rng, draw_seed, get_rng, set_rng


@pytest.fixture(autouse=True)
def same_rng_afterwards(monkeypatch):
    monkeypatch.setattr(random, "_rng", None)


# --- pinned: a run of today repeats in five years ---------------------------

@pytest.mark.parametrize("names, key", [
    ((42, "dropout", 0), [8174909673327863399, 1694972159970518664]),
    ((1234, "dropout"), [1108779315360739972, 16976908323044328983])])
def test_keys_are_pinned(names, key):
    assert Stream(*names).key.tolist() == key


@pytest.mark.parametrize("step, rows", [
    (0, ["10100000", "11111000", "01001001"]),
    (5, ["01001110", "10011100", "01010010"])])
def test_masks_are_pinned(step, rows):
    stream = Stream(7, "dropout", 3)
    stream.step = step
    mask = stream.keep_mask((3, 8), 0.5)
    assert ["".join(map(str, row.astype(int))) for row in mask] == rows


def test_generators_are_pinned():
    bits = Stream(7, "shuffle").generator(2).bit_generator
    assert bits.random_raw(2).tolist() == [2330772254612103304, 10548373833442206886]


def test_initial_numbers_are_pinned():
    np.testing.assert_allclose(Stream(0, "init").generator().uniform(size=3),
                               [0.89112753, 0.76575758, 0.19036338], atol=5e-9)


# --- steps ------------------------------------------------------------------

def test_a_step_does_not_depend_on_the_steps_before():
    stream = Stream(5, "dropout", 1)
    masks = [stream.keep_mask((4, 7), 0.5) for _ in range(4)]
    assert stream.step == 4
    for step in (3, 0, 2):
        again = Stream(5, "dropout", 1)
        again.step = step
        np.testing.assert_array_equal(again.keep_mask((4, 7), 0.5), masks[step])
        assert again.step == step + 1


def test_a_longer_mask_begins_with_the_shorter():
    short, long = Stream(1, "x"), Stream(1, "x")
    np.testing.assert_array_equal(long.keep_mask((5, 3), 0.3).ravel()[:7],
                                  short.keep_mask((7,), 0.3))


def test_parts_of_a_mask_can_be_drawn_alone():
    stream = Stream(1, "x")
    whole = Stream(1, "x").keep_mask((1000,), 0.3)
    for start, stop in [(0, 1000), (0, 1), (15, 17), (16, 32), (333, 999), (5, 5)]:
        part = stream.keep_part(start, stop, 0.3)
        np.testing.assert_array_equal(part, whole[start:stop])
    assert stream.step == 0


def test_generators_are_by_step():
    stream = Stream(5, "shuffle")
    stream.step = 2
    one = stream.generator().permutation(50)
    again = Stream(5, "shuffle").generator(2).permutation(50)
    np.testing.assert_array_equal(again, one)
    assert (stream.generator(3).permutation(50) != one).any()
    assert stream.step == 2  # asking for a generator is no step


# --- independence -----------------------------------------------------------

def test_generators_in_turn_are_those_one_by_one():
    stream = Stream(5, "shuffle")
    for step, generator in zip([3, 0, 2 ** 40], stream.generators([3, 0, 2 ** 40])):
        alone = stream.generator(step)
        # 3 bytes leave words over, which the next step must not see
        for draw in (lambda rng: rng.random(11), lambda rng: rng.bytes(3)):
            np.testing.assert_array_equal(draw(generator), draw(alone))


def test_streams_of_other_seeds_names_places_and_steps_are_independent():
    n, masks = 4096, []
    for seed, name, place, step in itertools.product(
            (0, 1), ("dropout", "augment"), (0, 1), (0, 1)):
        stream = Stream(seed, name, place)
        stream.step = step
        masks.append(stream.keep_mask((n,), 0.5))
    agreement = [np.mean(a == b) for a, b in itertools.combinations(masks, 2)]
    # two fair coins agree in half of n throws, give or take 5 sigma
    assert np.abs(np.array(agreement) - 0.5).max() < 5 * 0.5 / np.sqrt(n)


def test_the_same_names_give_the_same_stream():
    assert (Stream(3, "a", 1).key == Stream(3, "a", 1).key).all()
    others = [Stream(4, "a", 1), Stream(3, "b", 1), Stream(3, "a", 2), Stream(3, "a")]
    assert len({tuple(s.key) for s in others} | {tuple(Stream(3, "a", 1).key)}) == 5


@pytest.mark.parametrize("p", [0.01, 0.1, 0.3, 0.5, 0.9])
def test_units_are_dropped_with_probability_p(p):
    kept = Stream(0, "dropout").keep_mask((400, 1000), p).mean()
    assert abs(kept - (1 - p)) < 5 * np.sqrt(p * (1 - p) / 400_000)


@pytest.mark.parametrize("axis", [0, 1])
def test_neighbours_are_independent(axis):
    mask = Stream(0, "dropout").keep_mask((600, 600), 0.5)
    left, right = np.take(mask, range(599), axis), np.take(mask, range(1, 600), axis)
    assert abs(np.mean(left == right) - 0.5) < 5 * 0.5 / 600


@pytest.mark.parametrize("p, kept", [(0.0, True), (1e-9, True), (1 - 1e-9, False)])
def test_probabilities_are_rounded_to_the_65536th(p, kept):
    assert (Stream(0, "x").keep_mask((1000, 1000), p) == kept).all()


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (3, 1, 2)])
def test_masks_have_the_shape_asked_for(shape):
    mask = Stream(0, "x").keep_mask(shape, 0.5)
    assert mask.shape == shape and mask.dtype == bool


# --- seeds and the common generator -----------------------------------------

@pytest.mark.parametrize("seed", [-1, 1.0, "1", None, True])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(SettingError, match="seed: expected a whole number >= 0, got"):
        Stream(seed, "x")


def test_the_common_generator_starts_with_seed_0():
    one = get_rng().uniform(size=3)
    set_rng(0)
    np.testing.assert_array_equal(get_rng().uniform(size=3), one)
    assert get_rng() is get_rng()


def test_any_numpy_generator_may_be_set():
    for rng in (np.random.default_rng(1), np.random.RandomState(1)):
        set_rng(rng)
        assert get_rng() is rng and as_rng(None) is rng
        assert 1 <= draw_seed() < 2147462579


def test_as_rng_takes_a_seed_or_a_generator():
    rng = np.random.default_rng(1)
    assert as_rng(rng) is rng
    assert as_rng(5).uniform() == as_rng(np.int64(5)).uniform() != as_rng(6).uniform()


def test_an_int_is_itself_the_seed_of_a_noise_layer():
    assert draw_seed(7) == 7
    with pytest.raises(SettingError):
        draw_seed(-7)


def test_a_legacy_generator_draws_the_seed_as_lasagne_did():
    seed = draw_seed(np.random.RandomState(3))
    assert seed == np.random.RandomState(3).randint(1, 2147462579)
