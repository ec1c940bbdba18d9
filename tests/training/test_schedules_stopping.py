"""Learning-rate schedules and rules for when to stop."""

import math

import pytest

from minifer.errors import SettingError
from minifer.training import schedules, stopping


def rates(schedule, epochs, batches=10, initial=0.5, end="known"):
    """The rate at the first batch of each epoch."""
    return [schedule(initial, iteration=epoch * batches, epoch=epoch,
                     epochs=epochs if end == "known" else None)
            for epoch in range(epochs)]


# --- schedules --------------------------------------------------------------

def test_constant():
    assert rates(schedules.constant, 5, end="open") == [0.5] * 5


@pytest.mark.parametrize("epochs, powers", [
    (8, [0, 0, 1, 1, 2, 2, 3, 3]), (4, [0, 1, 2, 3]), (5, [0, 0, 1, 2, 3]),
    (1, [0]), (2, [0, 2])])
def test_quarters(epochs, powers):
    assert rates(schedules.quarters, epochs) == pytest.approx(
        [0.5 / 10 ** k for k in powers])


def test_quarters_do_not_fall_further_when_training_goes_on():
    assert schedules.quarters(1.0, 0, epoch=100, epochs=8) == pytest.approx(1e-3)


def test_inverse_time_counts_batches():
    found = rates(schedules.inverse_time(0.1), 3, end="open")
    assert found == pytest.approx([0.5, 0.25, 0.5 / 3])


@pytest.mark.parametrize("every, factor, expected", [
    (1, 0.5, [8, 4, 2, 1]), (2, 0.5, [8, 8, 4, 4]), (3, 0.1, [8, 8, 8, 0.8])])
def test_step(every, factor, expected):
    found = rates(schedules.step(every, factor), 4, initial=8.0, end="open")
    assert found == pytest.approx(expected)


def test_step_divides_by_ten_unless_told():
    assert rates(schedules.step(1), 2) == pytest.approx([0.5, 0.05])


def test_cosine():
    assert rates(schedules.cosine, 4) == pytest.approx(
        [0.5, 0.25 * (1 + math.sqrt(0.5)), 0.25, 0.25 * (1 - math.sqrt(0.5))])
    assert schedules.cosine(0.5, 0, epoch=4, epochs=4) == pytest.approx(0)


@pytest.mark.parametrize("schedule", [schedules.quarters, schedules.cosine])
@pytest.mark.parametrize("epochs", [None, 0])
def test_some_need_an_end(schedule, epochs):
    with pytest.raises(SettingError, match="fixed number of epochs, got none"):
        schedule(0.5, 0, 0, epochs)


@pytest.mark.parametrize("name, same", [
    ("constant", schedules.constant), ("quarters", schedules.quarters),
    ("cosine", schedules.cosine), ("inverse_time:1e-2", schedules.inverse_time(0.01)),
    ("step:3", schedules.step(3))])
def test_schedules_by_name(name, same):
    assert rates(schedules.by_name(name), 8) == rates(same, 8)


@pytest.mark.parametrize("name", [
    "", "Constant", "constant:1", "linear", "step", "step:", "step:x", "step:0",
    "step:-1", "step:1.5", "inverse_time", "inverse_time:x", "cosine:3"])
def test_other_names_are_refused(name):
    with pytest.raises(SettingError, match=f"constant, quarters, .+ got '{name}'"):
        schedules.by_name(name)


@pytest.mark.parametrize("every", [0, -1])
def test_step_refuses(every):
    with pytest.raises(SettingError, match=f"every >= 1, got {every}"):
        schedules.step(every)


@pytest.mark.parametrize("decay", [-1.0, -1e-6, math.nan, math.inf])
def test_inverse_time_refuses(decay):
    with pytest.raises(SettingError, match="decay"):
        schedules.inverse_time(decay)


# --- stopping ---------------------------------------------------------------

def stops_at(rule, losses, valid=None):
    """Number of epochs after which the rule stops, or None."""
    valid = [None] * len(losses) if valid is None else valid
    history = []
    for train_loss, valid_loss in zip(losses, valid):
        history.append({"train_loss": train_loss, "valid_loss": valid_loss})
        if rule(history):
            return len(history)
    return None


@pytest.mark.parametrize("epochs", [1, 3])
def test_after(epochs):
    assert stops_at(stopping.after(epochs), [1.0] * 5) == epochs


@pytest.mark.parametrize("losses, expected", [
    ([1.0, 0.5, 0.25], None), ([1.0, 0.5, 0.49995], 3), ([1.0, 0.5, 0.50005], 3),
    ([1.0], None), ([0.3, 0.3], 2), ([1.0, 0.4999, 0.5001, 0.5001], 4)])
def test_settled_when_two_losses_are_within_a_ten_thousandth(losses, expected):
    assert stops_at(stopping.settled(), losses) == expected


def test_settled_includes_the_difference_itself():
    assert stops_at(stopping.settled(0.25), [1.0, 0.75]) == 2
    assert stops_at(stopping.settled(0.25), [1.0, 0.625]) is None


def test_settled_looks_at_the_training_loss():
    assert stops_at(stopping.settled(), [3.0, 2.0, 1.0], [0.5, 0.5, 0.5]) is None


@pytest.mark.parametrize("epochs, valid, expected", [
    (2, [3.0, 2.0, 2.5, 2.1, 1.0], 4), (1, [3.0, 2.0, 1.0], None),
    (1, [3.0, 3.0], 2), (3, [1.0, 2.0, 2.0, 0.5, 2.0, 2.0, 2.0], 7)])
def test_patience(epochs, valid, expected):
    falling = [1.0 / n for n in range(1, len(valid) + 1)]
    assert stops_at(stopping.patience(epochs), falling, valid) == expected
    # without validation the training loss is what counts
    assert stops_at(stopping.patience(epochs), valid) == expected
    assert stops_at(stopping.patience(epochs), falling) is None


@pytest.mark.parametrize("make", [stopping.after, stopping.patience])
@pytest.mark.parametrize("epochs", [0, -1])
def test_a_number_of_epochs_is_at_least_1(make, epochs):
    with pytest.raises(SettingError, match=f"whole number >= 1, got {epochs}"):
        make(epochs)
