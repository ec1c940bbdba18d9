"""Batches with an augmentation: changed ahead, by threads, and handed out in order."""

import threading

import numpy as np
import pytest

from helpers.batches import N, assert_batch, augment, data, expected, squared
from helpers.devices import DEVICES
from minifer.device import arrays
from minifer.errors import ShapeError
from minifer.faces.preprocessing import Preprocessing
from minifer.training import streaming as module
from minifer.training.batches import Batches

everywhere = pytest.mark.parametrize("device", ["cpu", *DEVICES])
on_devices = pytest.mark.parametrize("device", DEVICES)


def shaded(images, numbers, epoch):
    """Another image for each number and epoch; also changes what it was given."""
    images += images.dtype.type(epoch)
    return images * (1 + numbers % 3).astype(images.dtype)[:, None, None, None]


@pytest.fixture(params=[1, 3])
def threads(request, monkeypatch):
    """So many of them augment for a device."""
    monkeypatch.setattr(module, "augmenting_threads", lambda: request.param)


@everywhere
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("dtype, prepare", [
    ("uint8", Preprocessing()), ("uint8", None), ("float32", squared)])
def test_augmented_batches_are_what_the_function_gives(
        device, threads, flip, dtype, prepare):
    images, labels = data(dtype)
    before = images.copy()
    batches = Batches(images, labels, device, 4, prepare, augment(3) if flip else None,
                augment=shaded)
    assert batches.streams
    for epoch in (3, 4):
        order = np.random.default_rng(epoch).permutation(N)
        changed = np.empty_like(images)
        changed[order] = shaded(images[order], order, epoch)
        mirrored = (augment(epoch).keep_mask((N,), 0.5) if flip
                    else np.zeros(N, bool))
        batches.begin(order, epoch)
        for number, batch in enumerate(
                expected(changed, labels, order, prepare, mirrored, 4)):
            assert_batch(batches.batch(number), batch, device)
    np.testing.assert_array_equal(images, before)


@everywhere
def test_augmented_batches_in_any_order_and_again(device, threads):
    images, labels = data()
    batches = Batches(images, labels, device, 3, augment=shaded)
    for epoch, numbers in enumerate(([5, 6, 7, 0], [1, 7, 3], [4, 4, 2, 5, 0, 2, 1])):
        batches.begin(np.arange(N), epoch)
        for number in numbers:
            rows = np.arange(N)[3 * number:][:3]
            assert_batch(batches.batch(number),
                         (shaded(images[rows], rows, epoch), labels[rows]), device)


@everywhere
def test_a_batch_is_augmented_while_the_one_before_is_used(device):
    began = threading.Event()

    def note(images, numbers, epoch):
        assert threading.current_thread() is not threading.main_thread()
        if 4 in numbers:
            began.set()
        return images

    batches = Batches(*data(), device, 4, augment=note)
    batches.begin(np.arange(N))
    batches.batch(0)
    assert began.wait(10)


def test_a_batch_on_the_cpu_stays_when_the_next_one_comes():
    images, labels = data()
    batches = Batches(images, labels, "cpu", 4, augment=shaded)
    batches.begin(np.arange(N))
    batches = [batches.batch(number)[0] for number in range(batches.count)]
    np.testing.assert_array_equal(np.concatenate(batches),
                                  shaded(images.copy(), np.arange(N), 0))


@on_devices
def test_images_on_the_device_are_augmented_on_the_host(device):
    images, labels = data()
    there = arrays.to_device(images, device)
    batches = Batches(there, labels, device, N, augment=shaded)
    batches.begin(np.arange(N), 1)
    assert_batch(batches.batch(0), (shaded(images, np.arange(N), 1), labels), device)


@everywhere
def test_an_error_of_the_augmentation_comes_as_itself(device, threads):
    def fail(images, numbers, epoch):
        if epoch == 0 and 9 in numbers:
            raise ZeroDivisionError("number 9")
        return images

    images, labels = data()
    batches = Batches(images, labels, device, 4, augment=fail)
    batches.begin(np.arange(N))
    batches.batch(0), batches.batch(1)
    with pytest.raises(ZeroDivisionError, match="number 9"):
        batches.batch(2)
    assert_batch(batches.batch(3), (images[12:16], labels[12:16]), device)
    batches.begin(np.arange(N), 1)
    assert_batch(batches.batch(2), (images[8:12], labels[8:12]), device)


@everywhere
@pytest.mark.parametrize("wrong, got", [
    (lambda images, *_: images[:, :, 1:], r"got uint8 \(4, 1, 3, 5\)"),
    (lambda images, *_: images[1:], r"got uint8 \(3, 1, 4, 5\)"),
    (lambda images, *_: images / 255, r"got float64 \(4, 1, 4, 5\)"),
    (lambda images, *_: None, r"got NoneType \(\)"),
    (lambda images, *_: [images.tolist(), 0], "got list")])
def test_an_augmentation_that_returns_something_else_is_refused(device, wrong, got):
    batches = Batches(*data(), device, 4, augment=wrong)
    batches.begin(np.arange(N))
    with pytest.raises(ShapeError, match=r"uint8 \(4, 1, 4, 5\) back.*" + got) as error:
        batches.batch(0)
    assert "\n" not in str(error.value)


@everywhere
def test_no_thread_is_left_when_a_feed_is_gone(device):
    before = set(threading.enumerate())
    batches = Batches(*data(), device, 4, augment=shaded)
    batches.begin(np.arange(N))
    batches.batch(0)
    ours = set(threading.enumerate()) - before
    assert ours
    del batches
    for thread in ours:
        thread.join(10)
        assert not thread.is_alive()


@everywhere
def test_an_epoch_begins_when_the_last_one_is_over(device, threads):
    """Else a batch that nobody waits for would be written over one of the new."""
    begun, ended, go_on = [], [], threading.Event()

    def hold(images, numbers, epoch):
        begun.append(numbers[0])
        assert numbers[0] == 0 or go_on.wait(10)
        ended.append(numbers[0])
        return images

    batches = Batches(*data(), device, 4, augment=hold)
    batches.begin(np.arange(N))
    batches.batch(0)
    threading.Timer(0.2, go_on.set).start()
    batches.begin(np.arange(N), 1)
    assert not set(begun) - set(ended)


@on_devices
def test_several_threads_augment_for_a_device(device, monkeypatch):
    monkeypatch.setattr(module.os, "cpu_count", lambda: 6)
    three = threading.Barrier(3)

    def together(images, numbers, epoch):
        if numbers[0] < 12:
            three.wait(10)
        return images

    batches = Batches(*data(), device, 4, augment=together)
    batches.begin(np.arange(N))
    batches.batch(0)


@pytest.mark.parametrize("cores, threads", [(1, 1), (2, 1), (5, 2), (64, 4)])
def test_half_of_the_cores_augment_and_at_most_four(cores, threads, monkeypatch):
    monkeypatch.setattr(module.os, "cpu_count", lambda: cores)
    assert module.augmenting_threads() == threads
