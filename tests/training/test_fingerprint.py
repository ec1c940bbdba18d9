"""What a run was made with: told apart where it differs, the same in any process."""

import functools
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import minifer
from helpers import runs
from minifer import updates
from minifer.data import Augmentation
from minifer.errors import SettingError
from minifer.files import digest
from minifer.regularization import (l1, l2, regularize_layer_params_weighted,
                                    regularize_network_params)
from minifer.training import schedules
from minifer.training.trainer import Trainer
from minifer.training.fingerprint import (describe_constraints, describe_data,
                                          describe_function, describe_penalty,
                                          describe_terms, describe_update, same)

FACTOR = 2.0


def test_own_functions_and_objects_are_called_what_they_are():
    """As older checkpoints have them."""
    assert describe_function(None) is None
    assert describe_function(describe_update) == "describe_update"
    assert describe_function(schedules.by_name("step:3")) == "step:3, factor 0.1"
    assert describe_function(np.sqrt) == "sqrt"
    assert describe_function(abs) == "abs"
    text = describe_function(Augmentation(rotation=15, seed=3))
    assert text.startswith("Augmentation(") and "rotation=15, " in text
    assert text.endswith("seed=3)")


class Scaled:
    """A callable with state, and what it is made of."""

    offset = 1

    def __init__(self, factor, **more):
        self.factor = factor
        vars(self).update(more)

    def __call__(self, x):
        return self.scale(x)

    def scale(self, x):
        return x * self.factor + self.offset


class Moved(Scaled):
    offset = 2


class Slotted:
    __slots__ = ("factor",)

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return x * self.factor


class Told:
    """Says itself what counts."""

    def __init__(self, factor, seen=0):
        self.factor, self.seen = factor, seen

    def __call__(self, x):
        return x

    def to_dict(self):
        return {"factor": self.factor}


def closure(factor):
    def function(x):
        return x * factor
    return function


def twice(factor):
    inner = closure(factor)
    return lambda x: inner(inner(x))


def default(factor):
    def function(x, factor=factor):
        return x * factor
    return function


def keyword(factor):
    def function(x, *, factor=factor):
        return x * factor
    return function


def reading(factor):
    """A function that reads a global variable, which has this value."""
    names = {}
    exec("def function(x):\n    return [x * FACTOR for _ in x]", names)
    names["FACTOR"] = factor
    return names["function"]


def recursive(factor):
    def function(x):
        return function(x - 1) * factor if x else 1
    return function


def multiply(x, factor):
    return x * factor


def cached(factor):
    return functools.lru_cache(closure(factor))


def vectorised(factor):
    return np.vectorize(closure(factor))


def of_values(make):
    """A closure over what ``make(factor)`` returns."""
    return lambda factor: closure(make(factor))


MAKERS = [
    closure, twice, default, keyword, reading, recursive, cached, vectorised, Scaled,
    Slotted, Told, lambda factor: Scaled(factor).scale,
    lambda factor: Slotted(factor).__call__,
    lambda factor: functools.partial(multiply, factor=factor),
    lambda factor: functools.partial(np.multiply, factor),
    lambda factor: functools.partial(closure(factor)),
    *map(of_values, [
        lambda factor: {"a": [factor]}, lambda factor: {factor, "b"},
        lambda factor: np.full(3, factor), closure, Scaled,
        lambda factor: np.random.default_rng(int(2 * factor)),
        lambda factor: schedules.step if factor == 2 else schedules.constant])]


@pytest.mark.parametrize("make", MAKERS)
def test_what_a_function_works_with_is_part_of_it(make):
    one, again, other = (describe_function(make(factor)) for factor in (2.0, 2.0, 2.5))
    assert one == again and one != other
    assert same(one, again) and not same(one, other)
    assert " at 0x" not in one and len(one) < 200


@pytest.mark.parametrize("one, other", [
    (lambda x: x + 1, lambda x: x - 1), (lambda x: x + 1, lambda x: x + 1.0),
    (lambda x: [i + 1 for i in x], lambda x: [i + 2 for i in x]),
    (lambda x: x.min(), lambda x: x.max()), (lambda x: abs(x), lambda x: sum(x)),
    (Scaled(2), Moved(2)), (closure(np.zeros(4)), closure(np.zeros((2, 2)))),
    (closure(np.zeros(4, "f4")), closure(np.zeros(4, "i4"))),
    (closure(1), closure(True)), (closure(0.0), closure(-0.0)),
    (closure(1), closure("1")), (closure([1, 2]), closure((1, 2))),
    (Scaled(2), Scaled(2, more=1))])
def test_what_a_function_does_is_part_of_it(one, other):
    assert not same(describe_function(one), describe_function(other))


def test_a_comment_a_docstring_and_a_place_are_not():
    def made(text):
        names = {}
        exec(textwrap.dedent(text), names)
        return describe_function(names["f"])

    plain = made("def f(x):\n    return x + 1")
    assert plain == made('''

        def f(x):
            """Add one."""
            # as it should be
            return (x
                    + 1)''')
    assert plain != made("def f(x):\n    return x + 2")


def test_a_subclass_of_an_own_class_is_known_by_its_code():
    class Brighter(type(runs.STEPS)):
        def __call__(self, crops):
            return super().__call__(crops) + 0.1

    one = describe_function(Brighter())
    Brighter.__call__ = lambda self, crops: crops
    assert one != describe_function(Brighter())
    assert describe_function(Brighter(shift=.1)) != describe_function(Brighter())


def test_what_is_trained_and_what_goes_round_in_a_circle_does_not_matter():
    net = runs.network()
    params = minifer.layers.get_all_params(net)
    before = describe_function(closure(net), params)
    params[0].value[...] += 1
    assert describe_function(closure(net), params) == before
    assert describe_function(closure(net)) != before
    ring = []
    ring.append(ring)
    assert describe_function(closure(ring)) == describe_function(closure(ring))
    deep = []
    for _ in range(5000):
        deep = [deep]
    assert describe_function(closure(deep))


SCRIPT = """
import numpy as np, sys, threading, logging, functools
from minifer.training.trainer import Trainer
from minifer.training.fingerprint import describe_function
names = {"happy", "sad", "angry", "fear"}
class Steps:
    def __init__(self):
        self.names, self.lock, self.log = names, threading.Lock(), logging.getLogger()
        self.file, self.self = sys.stderr, self
    def __call__(self, x):
        return x if "happy" in names and x in {"a", "b", "c"} else np.sqrt(x)
print(describe_function(Steps()), describe_function(lambda x: Steps()(x)),
      describe_function(functools.partial(Steps().__call__, names)), sep="\\n")
"""


def test_it_is_the_same_in_every_process(tmp_path):
    found = set()
    for seed in "12":
        folder = tmp_path / seed
        folder.mkdir()
        (folder / "script.py").write_text(SCRIPT)
        found.add(subprocess.run(
            [sys.executable, folder / "script.py"], text=True, check=True,
            capture_output=True, env=runs.environment(PYTHONHASHSEED=seed)).stdout)
    assert len(found) == 1 and found.pop().count("\n") == 3


def test_code_of_another_python_cannot_be_compared():
    one = "f, code 01ab (cpython-39-O0), values 77"
    assert same(one, "f, code 02cd (cpython-312-O0), values 77")
    assert not same(one, "f, code 02cd (cpython-39-O0), values 77")
    assert not same(one, "f, code 02cd (cpython-312-O0), values 78")
    assert not same(one, "g, code 02cd (cpython-312-O0), values 77")
    assert same(["Adam", {"a": 1}, None], ["Adam", {"a": 1}, None])
    assert not same(["Adam"], ["Adam", None])


def test_of_older_checkpoints_names_are_compared():
    now = describe_function(closure(2))
    assert same("closure.<locals>.function", now, noted=False)
    assert not same("closure.<locals>.function", now)
    assert not same("constant", now, noted=False)


def unchanged(images, numbers, epoch, by):
    return images


# --- rules, penalties, data --------------------------------------------------

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


def test_a_rule_of_ones_own_is_known_by_its_code_and_limits_by_their_numbers():
    def made(sign, limit):
        class Own(updates.Update):
            def rule(self, p, g):
                p -= sign * self.learning_rate * g
        rule = Own(minifer.layers.get_all_params(runs.network()), .1)
        return rule.constrain(rule.params[0], limit)

    assert describe_update(made(1, 2)) == describe_update(made(1, 3))
    assert describe_update(made(1, 2)) != describe_update(made(-1, 2))
    assert describe_constraints(made(1, 2)) == describe_constraints(made(1, 2))
    assert describe_constraints(made(1, 2)) != describe_constraints(made(1, 3))


def test_a_penalty_is_known_by_its_terms_and_factors():
    one, two = (describe_penalty(factor * regularize_network_params(runs.network(), l2))
                for factor in (1e-4, 1e-3))
    other = describe_penalty(1e-4 * regularize_network_params(runs.network(), l1))
    assert one != two and one != other and two != other
    net = runs.network()
    terms = [describe_terms(regularize_layer_params_weighted({one: weight}, l2))
             for one, weight in ((net, 1), (net, 2), (net.input_layer, 1))]
    assert terms[0] != terms[1] and terms[0] != terms[2] and terms[1] != terms[2]


def test_the_same_bytes_of_another_kind_are_other_data():
    images = np.arange(16, dtype=np.uint8).reshape(4, 1, 2, 2)
    labels = np.zeros(4, int)
    kinds = [(images, labels), (images.view(np.int8), labels),
             (images.reshape(4, 1, 1, 4), labels), (images, labels.view(float)),
             (images.reshape(4, 1, 4, 1), labels)]
    found = [describe_data(*kind) for kind in kinds]
    assert len({one["data"] for one in found}) == 1
    assert len({str(one) for one in found}) == len(kinds)
    assert describe_data(images, labels, kinds[0]) != describe_data(images, labels,
                                                                    kinds[1])


@pytest.mark.parametrize("name, was, now", [
    ("prepare", lambda batch: runs.STEPS(batch), lambda batch: 2 * runs.STEPS(batch)),
    ("schedule", lambda initial, *where: initial / 2,
     lambda initial, *where: initial / 3),
    ("augment", functools.partial(unchanged, by=2),
     functools.partial(unchanged, by=3))])
def test_a_run_does_not_go_on_with_another_function(tmp_path, name, was, now):
    runs.train(tmp_path, 1, **{name: was})
    runs.train(tmp_path, 2, **{name: was})
    with pytest.raises(SettingError, match=f"continue with {name} = .*, code"):
        runs.train(tmp_path, 3, **{name: now})


def test_a_run_does_not_go_on_with_the_same_bytes_of_another_kind(tmp_path):
    images, labels = runs.pictures(12)

    def train(images, resume=True):
        Trainer(runs.network()).fit(images, labels, epochs=1, folder=tmp_path,
                                    resume=resume)

    train(images)
    train(images)
    with pytest.raises(SettingError, match="arrays = .*u1.*, got .*i1"):
        train(images.view(np.int8))


def test_a_digest_is_that_of_the_bytes_in_a_row():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert digest(array) == digest(b"\0\1\2", b"\3\4\5") == digest(bytes(range(6)))
    assert digest(array) != digest(array[::-1].copy())
    assert len(digest(b"")) == 16
