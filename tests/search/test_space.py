"""Ranges of settings: what is drawn lies in them, and what is no range is refused."""

import math

import numpy as np
import pytest

from minifer.errors import SettingError
from minifer.search import Choice, Float, Int, parse_space
from minifer.search.space import check_space, space_size

RANGES = {"float": Float(-2, 3), "log": Float(1e-4, .3, log=True), "int": Int(5, 52, 5),
          "one int": Int(5, 7, 5), "choice": Choice(["a", 1, True, None])}


def values(one, count=400, seed=0):
    rng = np.random.default_rng(seed)
    return [one.draw(rng) for _ in range(count)]


def is_in(value, one):
    if isinstance(one, Float):
        return isinstance(value, float) and one.low <= value <= one.high
    return any(value is other or (value == other and type(value) is type(other))
               for other in one.values)


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("step", [.01, .2, 1.])
def test_draws_and_neighbours_stay_in_the_range(name, step):
    one, rng = RANGES[name], np.random.default_rng(1)
    for value in [*values(one), *one.ends]:
        assert is_in(value, one)
        near = one.neighbour(value, rng, step)
        assert is_in(near, one)
        if isinstance(one, Float):
            assert near != value
            assert abs(one._place(near) - one._place(value)) <= step + 1e-9
        elif one.size > 1:
            assert repr(near) != repr(value)  # True is not 1


def test_every_value_is_drawn():
    assert set(values(Int(5, 52, 5))) == set(range(5, 51, 5))
    assert {repr(value) for value in values(RANGES["choice"])} == {
        "'a'", "1", "True", "None"}


def test_a_logarithmic_range_is_uniform_in_the_logarithm():
    logs = np.log10(values(Float(1e-4, 1, log=True), 4000))
    shares = np.histogram(logs, bins=4, range=(-4, 0))[0] / 4000
    np.testing.assert_allclose(shares, .25, atol=.03)  # four standard errors
    linear = np.array(values(Float(1e-4, 1), 4000))
    assert abs((linear < .5).mean() - .5) < .03


def test_neighbours_move_by_whole_steps_and_stay_near_at_the_ends():
    rng = np.random.default_rng(0)
    one = Int(0, 100, 10)
    assert {one.neighbour(50, rng, .2) for _ in range(200)} == {30, 40, 60, 70}
    assert {one.neighbour(0, rng, .2) for _ in range(200)} == {10, 20}
    assert {one.neighbour(50, rng, .001) for _ in range(50)} == {40, 60}
    near = [Float(0, 10).neighbour(9.9, rng, .1) for _ in range(300)]
    assert 8.9 <= min(near) < 9.0 and 9.9 < max(near) <= 10
    assert Int(5, 7, 5).neighbour(5, rng, .2) == 5


def test_rounding_does_not_lead_out_of_a_range():
    for k in range(1, 200):
        for one in (Float(k / 7e3, k / 3, log=True), Float(k / 7, k / 3)):
            assert one._at(0.) >= one.low and one._at(1.) <= one.high


def test_the_size_of_a_space():
    assert space_size({"a": Int(5, 50, 5), "b": Choice([1, 2, 3])}) == 30
    assert space_size({"a": Int(5, 50, 5), "b": Float(0, 1)}) == math.inf


def test_a_space_in_words():
    space = parse_space(["lr=log:1e-4:1e-1", "epochs=int:5:50:5", "batch=32,64,128",
                         "rotation=-5:20", "n=int:1:3", "flip=true,false",
                         "schedule=constant,step:10", "drop=.25,0.5"])
    assert {name: repr(one) for name, one in space.items()} == {
        "lr": "Float(0.0001, 0.1, log=True)", "epochs": "Int(5, 50, 5)",
        "batch": "Choice([32, 64, 128])", "rotation": "Float(-5.0, 20.0)",
        "n": "Int(1, 3, 1)", "flip": "Choice([True, False])",
        "schedule": "Choice(['constant', 'step:10'])", "drop": "Choice([0.25, 0.5])"}
    for one in space.values():  # a repr is the way to write it again
        assert repr(eval(repr(one), {"Float": Float, "Int": Int,
                                     "Choice": Choice})) == repr(one)


@pytest.mark.parametrize("word", [
    "", "lr", "lr=", "=1:2", "lr=1", "lr=a:b", "lr=2:1", "lr=1:1", "lr=log:0:1",
    "lr=log:1", "lr=1:2:3", "lr=nan:1", "lr=0:inf", "n=int:1.5:3", "n=int:1:5:0",
    "n=int:5:1", "n=int:1", "n=int:1:2:3:4", "b=32,32", "b=1,nan", "b=inf,2",
    "lr=log:-1:1"])
def test_words_that_are_no_range_are_refused_in_one_line(word):
    with pytest.raises(SettingError) as error:
        parse_space([word])
    assert "expected" in str(error.value) and "\n" not in str(error.value)
    assert word in str(error.value)


def test_a_name_stands_once():
    with pytest.raises(SettingError, match="'lr' twice"):
        parse_space(["lr=0:1", "lr=1,2"])


@pytest.mark.parametrize("make", [
    lambda: Float("0", 1), lambda: Float(True, 2), lambda: Float(0, 1, log=True),
    lambda: Int(0, 2.5), lambda: Int(0, True), lambda: Choice("ab"),
    lambda: Choice([1]), lambda: Choice([1, 1]), lambda: Choice([[1], [2]]),
    lambda: Choice(7), lambda: Float(-1e308, 1e308)])
def test_ranges_that_make_no_sense_are_refused(make):
    with pytest.raises(SettingError, match="expected"):
        make()


@pytest.mark.parametrize("space", [{}, None, [Float(0, 1)], {"lr": (0, 1)},
                                   {1: Float(0, 1)}])
def test_what_is_no_space_is_refused(space):
    with pytest.raises(SettingError, match="space: expected"):
        check_space(space)
