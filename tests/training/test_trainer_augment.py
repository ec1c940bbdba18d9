"""Training on changed images: which, when, and the same again after a stop."""

import threading

import numpy as np
import pytest

from helpers import runs
from helpers.devices import DEVICES
from minifer.data import Augmentation
from minifer.errors import SettingError, ShapeError
from minifer.training.trainer import Trainer, TrainingInterrupted

ALL = Augmentation(rotation=20, shift=.1, zoom=(.9, 1.2), brightness=.3, erase=.5)
everywhere = pytest.mark.parametrize("device", ["cpu", *DEVICES])


def shade(images, numbers, epoch):
    """A function of one's own."""
    return images // (1 + (numbers + epoch) % 3).astype(np.uint8)[:, None, None, None]


@pytest.mark.parametrize("augment", [ALL, shade])
@pytest.mark.parametrize("flip", [False, True])
def test_each_image_changes_by_its_number_and_the_epoch(augment, flip):
    """As a loop would train that changes the whole data set before each epoch."""
    images, labels = runs.pictures(20)
    net, seen = runs.network(), []

    def note(batch):
        seen.append(batch.copy())
        return runs.STEPS(batch)

    trainer = Trainer(net, batch_size=8, seed=2, prepare=note, flip=flip,
                      augment=augment)
    trainer.fit(images, labels, valid=(images[:5], labels[:5]), epochs=2)
    *first, valid_first = seen[:4]
    *second, valid_second = seen[4:]
    for epoch, batches in enumerate((first, second)):
        order = trainer.order.generator(epoch).permutation(20)
        expected = augment(images.copy(), np.arange(20), epoch)[order]
        if flip:
            trainer.flip.step = epoch
            mirrored = trainer.flip.keep_mask((20,), 0.5)
            expected[mirrored] = expected[mirrored][..., ::-1]
        np.testing.assert_array_equal(np.concatenate(batches), expected)
    for valid in valid_first, valid_second:
        np.testing.assert_array_equal(valid, images[:5])
    seen.clear()
    trainer.evaluate(images[:5], labels[:5])
    np.testing.assert_array_equal(seen[0], images[:5])


@everywhere
def test_devices_train_on_the_same_changed_images(device):
    def train(device, augment):
        net = runs.network()
        result = Trainer(net, batch_size=8, prepare=runs.STEPS, flip=True,
                         augment=augment, device=device).fit(
                             *runs.pictures(20), epochs=2)
        return [row["train_loss"] for row in result.history]

    losses = train(device, ALL)
    np.testing.assert_allclose(losses, train("cpu", ALL), rtol=1e-5)
    assert not np.allclose(losses, train("cpu", None), rtol=1e-3)


# --- a stop ----------------------------------------------------------------------

@pytest.mark.parametrize("augment", [ALL, shade])
@pytest.mark.parametrize("call", [1, 7, 8, 12, 15])
def test_ctrl_c_at_any_batch(tmp_path, call, augment):
    """An epoch has 8 batches of training and 3 of validation."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    runs.train(whole, 2, augment=augment, flip=True)
    before = set(threading.enumerate())
    with pytest.raises(TrainingInterrupted):
        runs.train(parts, 2, augment=augment, flip=True,
                   hook=runs.at_call(call, runs.interrupt))
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()
    runs.train(parts, 2, augment=augment, flip=True)
    runs.assert_same_run(parts, whole)


@pytest.mark.parametrize("first, second", [
    (ALL, None), (None, ALL), (ALL, Augmentation(rotation=20)), (ALL, shade),
    (Augmentation(seed=0), Augmentation(seed=1))])
def test_another_augmentation_cannot_continue(tmp_path, first, second):
    runs.train(tmp_path, 1, augment=first)
    before = (tmp_path / "checkpoint.npz").read_bytes()
    with pytest.raises(SettingError, match="with augment = .*, got ") as error:
        runs.train(tmp_path, 2, augment=second)
    assert "\n" not in str(error.value)
    assert (tmp_path / "checkpoint.npz").read_bytes() == before


# --- what is wrong ---------------------------------------------------------------

@pytest.mark.parametrize("augment, flip, said", [
    ("rotation", False, "augment: expected a function.*got 'rotation'"),
    (Augmentation(flip=True), True, "flip: expected once, got it here and in augment")])
def test_settings_that_do_not_fit_are_refused_at_once(augment, flip, said):
    with pytest.raises(SettingError, match=said) as error:
        Trainer(runs.network(), augment=augment, flip=flip)
    assert "\n" not in str(error.value)


def test_an_error_of_the_augmentation_keeps_the_epoch_before(tmp_path):
    def fail(images, numbers, epoch):
        if epoch == 1 and 30 in numbers:
            raise ZeroDivisionError("number 30")
        return images

    with pytest.raises(ZeroDivisionError, match="number 30"):
        runs.train(tmp_path, 3, augment=fail)
    with np.load(tmp_path / "checkpoint.npz") as archive:
        assert archive.files


def test_numbers_that_are_no_pixels_are_refused():
    images, labels = runs.pictures(12)
    with pytest.raises(ShapeError, match="before they are scaled"):
        Trainer(runs.network(), augment=ALL).fit(runs.STEPS(images), labels, epochs=1)
