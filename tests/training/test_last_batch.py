"""The images that fill no batch: dealt out, kept or dropped, and never forgotten."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import runs
from helpers.checking import RANDOM_SHAPES
from helpers.devices import DEVICES
from minifer import layers, nonlinearities, random
from minifer.errors import SettingError
from minifer.training.batches import Batches
from minifer.training.checkpoint import begun_with
from minifer.training.trainer import Trainer
from minifer.weights.model_file import read_arrays, write_arrays


def batches(n, size, last, device="cpu", **more):
    images = np.arange(4 * n, dtype=np.float32).reshape(n, 1, 2, 2)
    return Batches(images, np.arange(n), device, size, last=last, **more)


@RANDOM_SHAPES
@given(st.integers(1, 300), st.integers(1, 70))
def test_dealt_batches_differ_by_one_and_are_as_many_as_kept_ones(n, size):
    kept, dealt = (batches(n, size, last).sizes(n) for last in ("keep", "deal"))
    assert sum(kept) == sum(dealt) == n and len(kept) == len(dealt)
    assert max(dealt) <= size and max(dealt) - min(dealt) <= 1
    assert set(kept[:-1]) <= {size} and 1 <= kept[-1] <= size
    if n >= size:
        dropped = batches(n, size, "drop").sizes(n)
        assert set(dropped) == {size} and len(dropped) == n // size


@pytest.mark.parametrize("device", ["cpu", *DEVICES])
@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize("last", ["keep", "deal", "drop"])
def test_every_image_has_its_batch(device, limit, last):
    one = batches(13, 5, last, device, limit=limit)
    order = np.random.default_rng(0).permutation(13)
    one.begin(order)
    found = [[np.array(y.tolist()) for y in one.batch(number)]
             for number in range(one.count)]
    rows = np.concatenate([y for _, y in found])
    assert rows.tolist() == order[:one.used].tolist()
    assert one.used == (10 if last == "drop" else 13)
    assert (np.concatenate([x for x, _ in found])[:, 0, 0, 0] == 4 * rows).all()
    assert [len(y) for _, y in found] == {"keep": [5, 5, 3], "deal": [4, 4, 5],
                                          "drop": [5, 5]}[last]


def normed():
    """A perceptron whose batch norm sees one value an image."""
    random.set_rng(0)
    net = layers.InputLayer((None, 1, 8, 8))
    net = layers.batch_norm(layers.DenseLayer(net, 32))
    return layers.DenseLayer(net, 3, nonlinearity=nonlinearities.softmax)


@pytest.mark.parametrize("extra", [1, 2])
def test_one_image_too_many_does_not_spoil_batch_norm(extra):
    seen = []

    def prepare(images):
        seen.append(len(images))
        return runs.STEPS(images)

    def loss(n):
        trainer = Trainer(normed(), batch_size=32, prepare=prepare, learning_rate=.05)
        seen.clear()
        return trainer.fit(*runs.pictures(n), valid=runs.pictures(64, seed=1),
                           epochs=4).history[-1]["valid_loss"]

    even = loss(128)
    assert loss(128 + extra) < 2 * even + .1
    assert min(seen[:5]) >= 25 and sum(seen[:5]) == 128 + extra


def test_dropped_images_are_others_in_each_epoch_and_not_in_the_loss():
    seen, (images, labels) = [], runs.pictures(13)
    images[:, 0, 0, 0] = np.arange(13)

    def note(batch):
        seen.append(batch[:, 0, 0, 0].tolist())
        return np.zeros_like(batch, np.float32)

    net = layers.DenseLayer(layers.InputLayer((None, 1, 8, 8)), 3,
                            nonlinearity=nonlinearities.softmax)
    result = Trainer(net, batch_size=5, prepare=note, last_batch="drop",
                     learning_rate=1e-9).fit(images, labels, epochs=2)
    assert [len(one) for one in seen] == [5] * 4
    first, second = (set(itertools.chain(*seen[i:i + 2])) for i in (0, 2))
    assert len(first) == 10 and first != second
    for row in result.history:  # each image has the loss of a uniform guess
        assert row["train_loss"] == pytest.approx(np.log(3), rel=1e-4)
    assert result.made_with["last_batch"] == "drop"


@pytest.mark.parametrize("last, n, message", [
    ("drop", 4, "last batch: expected 5 images or more.*got 4"),
    ("dealt", 9, "last batch: expected deal, keep, drop, got 'dealt'")])
def test_what_cannot_be_is_refused(last, n, message):
    with pytest.raises(SettingError, match=message):
        Trainer(runs.network(), batch_size=5, last_batch=last).fit(
            *runs.pictures(n), epochs=1)


def train(folder, epochs, **options):
    return runs.train(folder, epochs, **options)[0]


def test_the_checkpoint_keeps_what_was_chosen(tmp_path):
    assert train(tmp_path / "a", 1).made_with["last_batch"] == "deal"
    assert begun_with(tmp_path / "a" / "checkpoint.npz")[0]["last_batch"] == "deal"
    train(tmp_path / "b", 1, last_batch="drop")
    assert train(tmp_path / "b", 2).made_with["last_batch"] == "drop"
    with pytest.raises(SettingError, match="last_batch = drop, got deal"):
        train(tmp_path / "b", 3, last_batch="deal")


def test_a_run_from_before_there_was_a_choice_goes_on_as_it_began(tmp_path):
    train(tmp_path / "straight", 3, last_batch="keep")
    train(tmp_path / "old", 1, last_batch="keep")
    path = tmp_path / "old" / "checkpoint.npz"
    arrays, meta = read_arrays(path)
    for name in ("last_batch", "prepare", "arrays", "constraints", "penalised"):
        meta["settings"].pop(name)
    meta.pop("surroundings")
    write_arrays(path, arrays, meta)
    with pytest.raises(SettingError, match="last_batch = keep, got deal"):
        train(tmp_path / "old", 3, last_batch="deal")
    with pytest.warns(UserWarning, match="unknown number of threads"):
        assert train(tmp_path / "old", 3).made_with["last_batch"] == "keep"
    runs.assert_same_run(tmp_path / "old", tmp_path / "straight")
