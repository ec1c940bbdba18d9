"""What is proposed next: by hand, by statistics, and against random search."""

import math
import sys

import numpy as np
import pytest

from helpers import searches
from minifer.errors import BackendUnavailable
from minifer.search import (Annealing, Choice, Float, Int, Optuna, RandomSearch, Trial,
                            acceptance, parse_space, search, strategies)
from minifer.search.strategies import START, STEP

SPACE = parse_space(searches.SPACE)


def trials(settings, scores, first=1):
    return [Trial(number, one, score, 0., "failed" if score is None else "ok", None, 0)
            for number, (one, score) in enumerate(zip(settings, scores), first)]


def begun(scores=(0., 4., 2., 1., 3.), seed=0, space=SPACE):
    """An annealing that has been told its random trials."""
    walk = Annealing(space, seed)
    told = trials(walk.ask(range(1, len(scores) + 1)), scores)
    walk.tell(told)
    return walk, told


def test_acceptance_by_hand():
    assert acceptance(0, 0) == acceptance(2, .1) == acceptance(0, 3) == 1
    assert acceptance(-.2, .1) == pytest.approx(math.exp(-2))
    assert acceptance(-.1 * math.log(4), .1) == pytest.approx(.25)
    assert acceptance(-1e-9, 0) == 0 and acceptance(-1e6, 1e-3) == 0


def test_the_walk_begins_at_the_best_and_the_temperature_at_the_deviation():
    walk, told = begun()
    assert walk.state is told[1]
    assert walk.temperature(6) == pytest.approx(math.sqrt(2))
    assert walk.temperature(7) == pytest.approx(.85 * math.sqrt(2))
    assert walk.temperature(30) == pytest.approx(.85 ** 24 * math.sqrt(2))


def test_failed_trials_do_not_count_among_the_first():
    walk, _ = begun((0., None, 2., None, 4.))
    assert walk.state is None and walk.begun is None
    walk.tell(trials(walk.ask([6, 7]), (6., 8.), first=6))
    assert walk.state.number == 7 and walk.begun == 8
    assert walk.temperature(8) == pytest.approx(np.std([0, 2, 4, 6, 8]))


def test_neighbours_are_near_where_the_walk_stands():
    moved = np.zeros(len(SPACE))
    for seed in range(300):
        walk, told = begun(seed=seed)
        here, (settings,) = told[1].settings, walk.ask([6])
        changed = [settings[name] != here[name] for name in SPACE]
        assert any(changed)
        moved += changed
        assert abs(math.log10(settings["lr"] / here["lr"])) <= 3 * STEP + 1e-9
        assert abs(settings["epochs"] - here["epochs"]) <= 10
        assert abs(settings["rotation"] - here["rotation"]) <= 20 * STEP
    # 1/2, and 1/4 of the other 1/2 that it is the one that must move: 4 deviations.
    np.testing.assert_allclose(moved / 300, .625, atol=.115)


def test_the_walk_goes_up_always_and_down_with_the_probability_of_metropolis():
    gone = {change: 0 for change in (.5, -.5, -2.)}
    for change in gone:
        for seed in range(300):
            walk, told = begun(seed=seed)
            there = trials(walk.ask([6]), [4 + change], first=6)
            walk.tell(there)
            gone[change] += walk.state is there[0]
    assert gone[.5] == 300
    for change in -.5, -2.:
        chance = math.exp(change / math.sqrt(2))
        assert abs(gone[change] / 300 - chance) < 4 * math.sqrt(
            chance * (1 - chance) / 300)


def test_a_round_is_accepted_in_the_order_of_its_numbers():
    walk, told = begun()
    a, b, c = trials(walk.ask([6, 7, 8]), (5., None, 6.), first=6)
    walk.tell([a, b, c])
    assert walk.state is c  # up twice, and never to a failed one
    d, = trials(walk.ask([9]), (-1e9,), first=9)
    walk.tell([d])
    assert walk.state is c


def test_equal_scores_leave_no_heat():
    walk, _ = begun((1.,) * START)
    assert walk.temperature(6) == 0
    down, = trials(walk.ask([6]), (.999,), first=6)
    walk.tell([down])
    assert walk.state.number == 1
    level, = trials(walk.ask([7]), (1.,), first=7)
    walk.tell([level])
    assert walk.state is level


@pytest.mark.parametrize("strategy", [RandomSearch, Annealing])
def test_proposals_depend_on_seed_and_number_alone(strategy):
    one, two, other = (strategy(SPACE, seed) for seed in (3, 3, 4))
    assert one.ask([1, 2, 3]) == two.ask([1]) + two.ask([2]) + two.ask([3])
    assert other.ask([1, 2, 3]) != one.asked


@pytest.mark.parametrize("strategy", ["random", "anneal"])
def test_nothing_is_tried_twice(strategy):
    space = {"n": Int(1, 12), "kind": Choice(["a", "b"])}
    result = search(lambda s: -abs(s["n"] - 4), space, strategy, trials=24)
    assert len({str(trial.settings) for trial in result.trials}) == 24


def test_annealing_beats_random_search():
    """On a smooth hill of four settings, with 40 trials, of 25 seeds."""
    def best(strategy, seed, at_once=1):
        return search(searches.hill, SPACE, strategy, 40, seed,
                      at_once=at_once).best_score

    drawn = [best("random", seed) for seed in range(25)]
    for at_once in 1, 4:
        walked = [best("anneal", seed, at_once) for seed in range(25)]
        assert sum(a > r for a, r in zip(walked, drawn)) >= 18
        assert sum(a > -.05 for a in walked) > 2 * sum(r > -.05 for r in drawn)


def height(x):
    """Peaks of 1 at x = 3 and 3 at x = 10, a valley of 0 at x = 6 between them."""
    return 1 - abs(x - 3) / 3 if x < 6 else 3 * (x - 6) / 4


def crosses(seed):
    """Does the walk get from the lower peak to the higher one in 40 steps?"""
    walk, first = Annealing({"x": Float(0, 10)}, seed), (0., 1., 3., 5., 6.)
    walk.tell(trials([{"x": x} for x in first], map(height, first)))
    for number in range(6, 46):
        settings, = walk.ask([number])
        walk.tell(trials([settings], [height(settings["x"])], first=number))
        if height(settings["x"]) > 2.5:
            return True
    return False


def crosses_by_definition(seed, steps=40, reach=2.):
    """The same, at one temperature, as the method is defined."""
    rng, x = np.random.default_rng(seed), 3.
    heat = np.std([height(x) for x in (0, 1, 3, 5, 6)])
    for _ in range(steps):
        y = abs(x + rng.uniform(-reach, reach))
        y = y if y < 10 else 20 - y
        if height(y) > 2.5:
            return True
        if rng.uniform() < min(1, math.exp((height(y) - height(x)) / heat)):
            x = y
    return False


def test_only_heat_crosses_a_valley(monkeypatch):
    monkeypatch.setattr(strategies, "COOLING", 1)
    hot, expected = (sum(map(walk, range(150))) for walk in (crosses,
                                                             crosses_by_definition))
    assert expected > 25 and abs(hot - expected) < 4 * math.sqrt(2 * expected)
    monkeypatch.setattr(strategies, "COOLING", 0)  # cold from the second step on
    assert sum(map(crosses, range(150))) <= 1


def test_optuna_finds_the_hill():
    pytest.importorskip("optuna")
    result = search(searches.hill, SPACE, "optuna", 30, seed=1)
    assert result.best_score > -.3
    again = search(searches.hill, SPACE, "optuna", 30, seed=1)
    assert [t.settings for t in again.trials] == [t.settings for t in result.trials]
    assert {type(value) for value in result.best_settings.values()} == {int, float}


def test_optuna_is_told_of_failures():
    pytest.importorskip("optuna")
    walk = Optuna(SPACE, 0)
    walk.tell(trials(walk.ask([1, 2]), (None, .5)))
    assert [one.state.name for one in walk.study.trials] == ["FAIL", "COMPLETE"]
    assert walk.study.best_value == .5


def test_without_optuna_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(BackendUnavailable, match=r"pip install minifer\[search\]"):
        Optuna(SPACE, 0)
