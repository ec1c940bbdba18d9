"""What a run was made with: told apart where it differs, the same in any process."""

import functools

import numpy as np
import pytest

import minifer
from helpers import runs
from minifer import updates
from minifer.data import Augmentation
from minifer.files import digest
from minifer.regularization import l1, l2, regularize_network_params
from minifer.training.fingerprint import (describe_function, describe_penalty,
                                          describe_update)


class Plain:
    def __call__(self):
        pass


def test_functions_and_objects_are_called_what_they_are():
    assert describe_function(describe_update) == "describe_update"
    assert describe_function(Plain().__call__) == "Plain.__call__"
    assert describe_function(Plain()) == "Plain"
    assert describe_function(functools.partial(max, 3, key=None)) == "max(3, key=None)"
    assert describe_function(functools.partial(Plain(), 1)) == "Plain(1)"
    text = describe_function(Augmentation(rotation=15, seed=3))
    assert text.startswith("Augmentation(") and "rotation=15, " in text
    assert text.endswith("seed=3)")


@pytest.mark.parametrize("change", [
    lambda *given: updates.nesterov_momentum(*given, momentum=.5),
    lambda *given: updates.momentum(*given, momentum=.9), updates.adam])
def test_an_update_is_known_by_its_rule_and_numbers_but_not_by_its_rate(change):
    params = minifer.layers.get_all_params(runs.network())
    loss = regularize_network_params(runs.network(), l2)

    def describe(rate, rule=updates.nesterov_momentum):
        return describe_update(rule(loss, params, rate))

    assert describe(.1) == describe(.2)
    assert describe(.1, change) != describe(.1)


def test_a_penalty_is_known_by_its_terms_and_factors():
    one, two = (describe_penalty(factor * regularize_network_params(runs.network(), l2))
                for factor in (1e-4, 1e-3))
    other = describe_penalty(1e-4 * regularize_network_params(runs.network(), l1))
    assert one != two and one != other and two != other


def test_a_digest_is_that_of_the_bytes_in_a_row():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert digest(array) == digest(b"\0\1\2", b"\3\4\5") == digest(bytes(range(6)))
    assert digest(array) != digest(array[::-1].copy())
    assert len(digest(b"")) == 16
