"""A feed hands out what indexing gives, on every device, from memory or in a stream."""

import threading

import numpy as np
import pytest

from devices import DEVICES
from minifer import backend, feed as feeds
from minifer.capture import capture
from minifer.data import Augmentation
from minifer.errors import CaptureError, LabelError, SettingError, ShapeError
from minifer.feed import Feed
from minifer.preprocessing import Preprocessing
from minifer.random import Stream

everywhere = pytest.mark.parametrize("device", ["cpu", *DEVICES])
on_devices = pytest.mark.parametrize("device", DEVICES)
N = 23


def data(dtype="uint8", shape=(1, 4, 5), soft=False):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (N, *shape)).astype(dtype)
    if images.dtype.kind == "f":
        images = images / images.dtype.type(7)
    labels = rng.random((N, 3)) if soft else rng.integers(0, 7, N)
    return images, labels


def augment(step=0):
    stream = Stream(4, "augment")
    stream.step = step
    return stream


def expected(images, labels, order, prepare, mirrored, size):
    """Batch by batch, by the definition."""
    for first in range(0, len(order), size):
        rows = order[first:first + size]
        x = np.stack([images[row][..., ::-1] if mirror else images[row]
                      for row, mirror in zip(rows, mirrored[first:first + size])])
        yield x if prepare is None else prepare(x), labels[rows]


def assert_batch(found, expected, device):
    for there, here in zip(found, expected):
        assert backend.device_of(there) == device
        there = backend.to_host(there)
        assert there.shape == here.shape
        np.testing.assert_array_equal(there, here.astype(there.dtype))


class Inverted(Preprocessing):
    """A subclass, which only itself knows how to work out."""

    def __call__(self, crops):
        return np.subtract(1, super().__call__(crops), dtype=np.float32)


def squared(x):
    """A function of one's own; it changes the shape and works on any device."""
    x = x.astype(np.float32).reshape(len(x), -1)
    return x * x


@everywhere
@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("dtype, prepare", [
    ("uint8", Preprocessing()), ("uint8", Preprocessing(scale=0.3, shift=0.1)),
    ("float32", Preprocessing()), ("float64", Preprocessing()), ("uint8", None),
    ("float32", None), ("float64", None), ("uint8", squared), ("float32", squared),
    ("uint8", Inverted(shift=0.25))])
def test_batches_are_what_indexing_gives(device, limit, flip, dtype, prepare):
    images, labels = data(dtype)
    feed = Feed(images, labels, device, 5, prepare, augment(3) if flip else None, limit)
    assert feed.streams == (limit == 0 and device != "cpu")
    for epoch in (3, 4):
        order = np.random.default_rng(epoch).permutation(N)[:N - epoch]
        feed.begin(order)
        mirrored = (augment(epoch).keep_mask((len(order),), 0.5) if flip
                    else np.zeros(len(order), bool))
        wanted = list(expected(images, labels, order, prepare, mirrored, 5))
        assert feed.batches == len(wanted) == 4 and mirrored.any() == flip
        for number, batch in enumerate(wanted):
            found = feed.batch(number)
            assert_batch(found, batch, device)
            assert found[0].dtype == batch[0].dtype
            assert device == "cpu" or found[1].dtype == np.int32
    assert not flip or feed.flip.step == 5


@everywhere
@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize("shape", [(6,), (3, 4), (2, 3, 4)])
def test_soft_labels_and_other_shapes(device, limit, shape):
    images, labels = data("float32", shape, soft=True)
    feed, order = Feed(images, labels, device, 8, limit=limit), np.arange(N)[::-1]
    feed.begin(order)
    for number, batch in enumerate(
            expected(images, labels, order, None, np.zeros(N, bool), 8)):
        found = feed.batch(number)
        assert_batch(found, batch, device)
        assert device == "cpu" or found[1].dtype == np.float32


@everywhere
@pytest.mark.parametrize("limit", [None, 0])
def test_batches_in_any_order_and_again(device, limit):
    images, labels = data()
    feed, order = Feed(images, labels, device, 3, limit=limit), np.arange(N)
    for numbers in ([5, 6, 7, 0], [1, 7, 3], [4, 4, 2, 5, 0, 2, 1]):
        feed.begin(order)
        for number in numbers:
            found = feed.batch(number)
            rows = order[3 * number:][:3]
            assert_batch(found, (images[rows], labels[rows]), device)
        order = np.roll(order, 4)


@everywhere
@pytest.mark.parametrize("limit", [None, 0])
def test_one_large_batch_and_numbers_that_repeat(device, limit):
    images, labels = data()
    feed = Feed(images, labels, device, 100, limit=limit)
    order = np.array([0, 0, 22] * 11, np.uint8)
    feed.begin(order)
    assert feed.batches == 1
    assert_batch(feed.batch(0), (images[order], labels[order]), device)


@on_devices
@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize("prepare", [None, Preprocessing(), squared])
def test_batches_lie_in_the_same_place(device, limit, prepare):
    """A graph that was captured for one batch works on the next."""
    images, labels = data()
    feed = Feed(images, labels, device, 10, prepare, limit=limit)
    feed.begin(np.arange(N))
    x, y = feed.batch(0)
    graph = capture(device, lambda: (x.astype(np.float64).sum(), y.sum()))
    for number in (1, 0, 1):
        places = feed.batch(number)
        graph.launch()
        for there, array in zip(graph.result, places):
            assert float(there) == backend.to_host(array).astype(float).sum()


@on_devices
def test_the_data_set_stays_as_it_came(device):
    images, labels = data()
    images = np.asfortranarray(images)
    feed = Feed(images, labels, device, 4, Preprocessing())
    assert feed._images.dtype == np.uint8 and not feed.streams
    images[...], labels[...] = 0, 0  # it is a copy
    feed.begin(np.arange(N))
    assert backend.to_host(feed.batch(0)[0]).max() > -0.5


def test_what_fits_into_half_of_the_free_memory_is_resident(monkeypatch):
    images, labels = data()
    size = images.nbytes + 4 * N
    for free, streams in [(2 * size, False), (2 * size - 2, True)]:
        monkeypatch.setattr(feeds, "memory_free", lambda device, free=free: free)
        assert Feed(images, labels, "emu", 4).streams == streams
        assert not Feed(backend.to_device(images, "emu"), labels, "emu", 4).streams
        assert not Feed(images, labels, "cpu", 4).streams


@on_devices
def test_a_data_set_in_a_file_streams(device, tmp_path):
    images, labels = data()
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    feed = Feed(mapped, labels, device, 8, limit=100)
    feed.begin(np.arange(N))
    assert_batch(feed.batch(2), (images[16:], labels[16:]), device)


# --- augmentation ---------------------------------------------------------------

def shaded(images, numbers, epoch):
    """Another image for each number and epoch; also changes what it was given."""
    images += images.dtype.type(epoch)
    return images * (1 + numbers % 3).astype(images.dtype)[:, None, None, None]


@pytest.fixture(params=[1, 3])
def threads(request, monkeypatch):
    """So many of them augment for a device."""
    monkeypatch.setattr(feeds, "augmenting_threads", lambda: request.param)


@everywhere
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("dtype, prepare", [
    ("uint8", Preprocessing()), ("uint8", None), ("float32", squared)])
def test_augmented_batches_are_what_the_function_gives(
        device, threads, flip, dtype, prepare):
    images, labels = data(dtype)
    before = images.copy()
    feed = Feed(images, labels, device, 4, prepare, augment(3) if flip else None,
                augment=shaded)
    assert feed.streams
    for epoch in (3, 4):
        order = np.random.default_rng(epoch).permutation(N)
        changed = np.empty_like(images)
        changed[order] = shaded(images[order], order, epoch)
        mirrored = (augment(epoch).keep_mask((N,), 0.5) if flip
                    else np.zeros(N, bool))
        feed.begin(order, epoch)
        for number, batch in enumerate(
                expected(changed, labels, order, prepare, mirrored, 4)):
            assert_batch(feed.batch(number), batch, device)
    np.testing.assert_array_equal(images, before)


@everywhere
def test_augmented_batches_in_any_order_and_again(device, threads):
    images, labels = data()
    feed = Feed(images, labels, device, 3, augment=shaded)
    for epoch, numbers in enumerate(([5, 6, 7, 0], [1, 7, 3], [4, 4, 2, 5, 0, 2, 1])):
        feed.begin(np.arange(N), epoch)
        for number in numbers:
            rows = np.arange(N)[3 * number:][:3]
            assert_batch(feed.batch(number),
                         (shaded(images[rows], rows, epoch), labels[rows]), device)


@everywhere
def test_a_batch_is_augmented_while_the_one_before_is_used(device):
    began = threading.Event()

    def note(images, numbers, epoch):
        assert threading.current_thread() is not threading.main_thread()
        if 4 in numbers:
            began.set()
        return images

    feed = Feed(*data(), device, 4, augment=note)
    feed.begin(np.arange(N))
    feed.batch(0)
    assert began.wait(10)


def test_a_batch_on_the_cpu_stays_when_the_next_one_comes():
    images, labels = data()
    feed = Feed(images, labels, "cpu", 4, augment=shaded)
    feed.begin(np.arange(N))
    batches = [feed.batch(number)[0] for number in range(feed.batches)]
    np.testing.assert_array_equal(np.concatenate(batches),
                                  shaded(images.copy(), np.arange(N), 0))


@on_devices
def test_images_on_the_device_are_augmented_on_the_host(device):
    images, labels = data()
    feed = Feed(backend.to_device(images, device), labels, device, N, augment=shaded)
    feed.begin(np.arange(N), 1)
    assert_batch(feed.batch(0), (shaded(images, np.arange(N), 1), labels), device)


@everywhere
def test_an_error_of_the_augmentation_comes_as_itself(device, threads):
    def fail(images, numbers, epoch):
        if epoch == 0 and 9 in numbers:
            raise ZeroDivisionError("number 9")
        return images

    images, labels = data()
    feed = Feed(images, labels, device, 4, augment=fail)
    feed.begin(np.arange(N))
    feed.batch(0), feed.batch(1)
    with pytest.raises(ZeroDivisionError, match="number 9"):
        feed.batch(2)
    assert_batch(feed.batch(3), (images[12:16], labels[12:16]), device)
    feed.begin(np.arange(N), 1)
    assert_batch(feed.batch(2), (images[8:12], labels[8:12]), device)


@everywhere
@pytest.mark.parametrize("wrong, got", [
    (lambda images, *_: images[:, :, 1:], r"got uint8 \(4, 1, 3, 5\)"),
    (lambda images, *_: images[1:], r"got uint8 \(3, 1, 4, 5\)"),
    (lambda images, *_: images / 255, r"got float64 \(4, 1, 4, 5\)"),
    (lambda images, *_: None, r"got NoneType \(\)"),
    (lambda images, *_: images.tolist(), "got list")])
def test_an_augmentation_that_returns_something_else_is_refused(device, wrong, got):
    feed = Feed(*data(), device, 4, augment=wrong)
    feed.begin(np.arange(N))
    with pytest.raises(ShapeError, match=r"uint8 \(4, 1, 4, 5\) back.*" + got) as error:
        feed.batch(0)
    assert "\n" not in str(error.value)


@everywhere
def test_no_thread_is_left_when_a_feed_is_gone(device):
    before = set(threading.enumerate())
    feed = Feed(*data(), device, 4, augment=shaded)
    feed.begin(np.arange(N))
    feed.batch(0)
    ours = set(threading.enumerate()) - before
    assert ours
    del feed
    for thread in ours:
        thread.join(10)
        assert not thread.is_alive()


# --- what is wrong is said early ------------------------------------------------

@everywhere
@pytest.mark.parametrize("change, error, said", [
    (dict(labels=np.zeros(5, int)), ShapeError, "as many labels, got images"),
    (dict(images=np.zeros((0, 2, 2)), labels=np.zeros(0, int)), ShapeError, "one"),
    (dict(images=np.zeros(N)), ShapeError, "images .N, ...."),
    (dict(labels=np.int64(3)), ShapeError, "labels [(][)]"),
    (dict(images=np.zeros((N, 2)), flip=augment()), ShapeError, "to mirror"),
    (dict(labels=np.zeros(N)), LabelError, r"soft labels \(N, K\), got float64"),
    (dict(labels=np.zeros((N, 2), int)), LabelError, "whole numbers"),
    (dict(labels=np.zeros((N, 0))), LabelError, "whole numbers"),
    (dict(batch_size=0), SettingError, "batch size"),
    (dict(batch_size=2.0), SettingError, "batch size"),
    (dict(augment="rotation"), SettingError, "images, numbers and epoch.*got 'rotat"),
    (dict(augment=Augmentation(flip=True), flip=augment()), SettingError, "twice"),
    (dict(device="gpu"), SettingError, "device")])
def test_data_that_does_not_fit_is_refused(device, change, error, said):
    images, labels = data()
    options = dict(images=images, labels=labels, device=device, batch_size=4)
    with pytest.raises(error, match=said) as caught:
        Feed(**(options | change))
    assert "\n" not in str(caught.value)


@on_devices
def test_types_that_no_kernel_takes_are_refused(device):
    images, labels = data()
    with pytest.raises(SettingError, match="float32 or float64 on .*, got int16"):
        Feed(images.astype(np.int16), labels, device, 4)
    with pytest.raises(LabelError, match="32 bits, got 0 to 4294967296"):
        Feed(images, np.where(np.arange(N) == 3, 2 ** 32, 0), device, 4)


@everywhere
@pytest.mark.parametrize("order", [
    [0, N], [-1, 0], [], np.zeros(0, int), [[1, 2]], [0.5], np.zeros(N, bool)])
def test_an_order_that_does_not_fit_is_refused(device, order):
    feed = Feed(*data(), device, 4)
    with pytest.raises(ShapeError, match="feed: expected"):
        feed.begin(order)


@everywhere
def test_batches_that_are_not_there_are_refused(device):
    feed = Feed(*data(), device, 10)
    with pytest.raises(SettingError, match="begin"):
        feed.batch(0)
    feed.begin(np.arange(N))
    for number in (-1, 3):
        with pytest.raises(SettingError, match=f"from 0 to 2, got {number}"):
            feed.batch(number)


@on_devices
def test_a_prepare_that_leaves_the_device_is_refused(device):
    for prepare in (backend.to_host, lambda x: x[:1]):
        feed = Feed(*data(), device, 4, prepare)
        feed.begin(np.arange(N))
        with pytest.raises(ShapeError, match="prepare to return 4 images"):
            feed.batch(0)


@on_devices
@pytest.mark.parametrize("limit", [None, 0])
def test_a_batch_is_not_captured(device, limit):
    feed = Feed(*data(), device, 4, limit=limit)
    feed.begin(np.arange(N))
    feed.batch(0)
    with pytest.raises(CaptureError, match="a batch of a feed"):
        capture(device, lambda: feed.batch(1))


@on_devices
def test_what_goes_wrong_on_the_way_is_raised(device):
    class Broken(np.ndarray):
        def __getitem__(self, key):
            raise OSError("the disk is gone")

        def take(self, *args, **kwargs):
            raise OSError("the disk is gone")

    images, labels = data()
    feed = Feed(images, labels, device, 4, limit=0)
    feed._stream.images = images.view(Broken)
    feed.begin(np.arange(N))
    with pytest.raises(OSError, match="the disk is gone"):
        feed.batch(0)
