"""Batches hold what indexing gives, on every device, from memory or in a stream."""

import numpy as np
import pytest

from helpers.batches import N, assert_batch, augment, data, expected, squared
from helpers.devices import DEVICES
from minifer.data import Augmentation
from minifer.device import arrays
from minifer.device.graphs import capture
from minifer.errors import CaptureError, LabelError, SettingError, ShapeError
from minifer.faces.preprocessing import Preprocessing
from minifer.training import batches as module
from minifer.training.batches import Batches

everywhere = pytest.mark.parametrize("device", ["cpu", *DEVICES])
on_devices = pytest.mark.parametrize("device", DEVICES)


class Inverted(Preprocessing):
    """A subclass, which only itself knows how to work out."""

    def __call__(self, crops):
        return np.subtract(1, super().__call__(crops), dtype=np.float32)


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
    batches = Batches(images, labels, device, 5, prepare,
                      augment(3) if flip else None, limit)
    assert batches.streams == (limit == 0 and device != "cpu")
    for epoch in (3, 4):
        order = np.random.default_rng(epoch).permutation(N)[:N - epoch]
        batches.begin(order)
        mirrored = (augment(epoch).keep_mask((len(order),), 0.5) if flip
                    else np.zeros(len(order), bool))
        wanted = list(expected(images, labels, order, prepare, mirrored, 5))
        assert batches.count == len(wanted) == 4 and mirrored.any() == flip
        for number, batch in enumerate(wanted):
            found = batches.batch(number)
            assert_batch(found, batch, device)
            assert found[0].dtype == batch[0].dtype
            assert device == "cpu" or found[1].dtype == np.int32
    assert not flip or batches.flip.step == 5


@everywhere
@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize("shape", [(6,), (3, 4), (2, 3, 4)])
def test_soft_labels_and_other_shapes(device, limit, shape):
    images, labels = data("float32", shape, soft=True)
    batches, order = Batches(images, labels, device, 8, limit=limit), np.arange(N)[::-1]
    batches.begin(order)
    for number, batch in enumerate(
            expected(images, labels, order, None, np.zeros(N, bool), 8)):
        found = batches.batch(number)
        assert_batch(found, batch, device)
        assert device == "cpu" or found[1].dtype == np.float32


@everywhere
@pytest.mark.parametrize("limit", [None, 0])
def test_batches_in_any_order_and_again(device, limit):
    images, labels = data()
    batches, order = Batches(images, labels, device, 3, limit=limit), np.arange(N)
    for numbers in ([5, 6, 7, 0], [1, 7, 3], [4, 4, 2, 5, 0, 2, 1]):
        batches.begin(order)
        for number in numbers:
            found = batches.batch(number)
            rows = order[3 * number:][:3]
            assert_batch(found, (images[rows], labels[rows]), device)
        order = np.roll(order, 4)


@everywhere
@pytest.mark.parametrize("limit", [None, 0])
def test_one_large_batch_and_numbers_that_repeat(device, limit):
    images, labels = data()
    batches = Batches(images, labels, device, 100, limit=limit)
    order = np.array([0, 0, 22] * 11, np.uint8)
    batches.begin(order)
    assert batches.count == 1
    assert_batch(batches.batch(0), (images[order], labels[order]), device)


@on_devices
@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize("prepare", [None, Preprocessing(), squared])
def test_batches_lie_in_the_same_place(device, limit, prepare):
    """A graph that was captured for one batch works on the next."""
    images, labels = data()
    batches = Batches(images, labels, device, 10, prepare, limit=limit)
    batches.begin(np.arange(N))
    x, y = batches.batch(0)
    graph = capture(device, lambda: (x.astype(np.float64).sum(), y.sum()))
    for number in (1, 0, 1):
        places = batches.batch(number)
        graph.launch()
        for there, array in zip(graph.result, places):
            assert float(there) == arrays.to_host(array).astype(float).sum()


@on_devices
def test_the_data_set_stays_as_it_came(device):
    images, labels = data()
    images = np.asfortranarray(images)
    batches = Batches(images, labels, device, 4, Preprocessing())
    assert batches._images.dtype == np.uint8 and not batches.streams
    images[...], labels[...] = 0, 0  # it is a copy
    batches.begin(np.arange(N))
    assert arrays.to_host(batches.batch(0)[0]).max() > -0.5


def test_what_fits_into_half_of_the_free_memory_is_resident(monkeypatch):
    images, labels = data()
    size = images.nbytes + 4 * N
    for free, streams in [(2 * size, False), (2 * size - 2, True)]:
        monkeypatch.setattr(module, "memory_free", lambda device, free=free: free)
        assert Batches(images, labels, "emu", 4).streams == streams
        assert not Batches(arrays.to_device(images, "emu"), labels, "emu", 4).streams
        assert not Batches(images, labels, "cpu", 4).streams


@on_devices
def test_a_data_set_in_a_file_streams(device, tmp_path):
    images, labels = data()
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    batches = Batches(mapped, labels, device, 8, limit=100)
    batches.begin(np.arange(N))
    assert_batch(batches.batch(2), (images[16:], labels[16:]), device)


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
        Batches(**(options | change))
    assert "\n" not in str(caught.value)


@on_devices
def test_types_that_no_kernel_takes_are_refused(device):
    images, labels = data()
    with pytest.raises(SettingError, match="float32 or float64 on .*, got int16"):
        Batches(images.astype(np.int16), labels, device, 4)
    with pytest.raises(LabelError, match="32 bits, got 0 to 4294967296"):
        Batches(images, np.where(np.arange(N) == 3, 2 ** 32, 0), device, 4)


@everywhere
@pytest.mark.parametrize("order", [
    [0, N], [-1, 0], [], np.zeros(0, int), [[1, 2]], [0.5], np.zeros(N, bool)])
def test_an_order_that_does_not_fit_is_refused(device, order):
    batches = Batches(*data(), device, 4)
    with pytest.raises(ShapeError, match="batches: expected"):
        batches.begin(order)


@everywhere
def test_batches_that_are_not_there_are_refused(device):
    batches = Batches(*data(), device, 10)
    with pytest.raises(SettingError, match="begin"):
        batches.batch(0)
    batches.begin(np.arange(N))
    for number in (-1, 3):
        with pytest.raises(SettingError, match=f"from 0 to 2, got {number}"):
            batches.batch(number)


@on_devices
def test_a_prepare_that_leaves_the_device_is_refused(device):
    for prepare in (arrays.to_host, lambda x: x[:1]):
        batches = Batches(*data(), device, 4, prepare)
        batches.begin(np.arange(N))
        with pytest.raises(ShapeError, match="prepare to return 4 images"):
            batches.batch(0)


@on_devices
@pytest.mark.parametrize("limit", [None, 0])
def test_a_batch_is_not_captured(device, limit):
    batches = Batches(*data(), device, 4, limit=limit)
    batches.begin(np.arange(N))
    batches.batch(0)
    with pytest.raises(CaptureError, match="a batch of images"):
        capture(device, lambda: batches.batch(1))


@on_devices
def test_what_goes_wrong_on_the_way_is_raised(device):
    class Broken(np.ndarray):
        def __getitem__(self, key):
            raise OSError("the disk is gone")

        def take(self, *args, **kwargs):
            raise OSError("the disk is gone")

    images, labels = data()
    batches = Batches(images, labels, device, 4, limit=0)
    batches._stream.images = images.view(Broken)
    batches.begin(np.arange(N))
    with pytest.raises(OSError, match="the disk is gone"):
        batches.batch(0)
