"""Features of a frozen body: as the whole network has them, and kept on disk."""

import functools
import hashlib
import io
import shutil
from unittest import mock

import numpy as np
import pytest

from helpers.devices import DEVICES
from helpers.tolerances import assert_close
from minifer import layers, models, nonlinearities, random, updates
from minifer.errors import OutputError, SettingError
from minifer.faces.cropping import CropSettings
from minifer.faces.preprocessing import ColourPreprocessing, Preprocessing
from minifer.layers import (BatchNormLayer, Conv2DLayer, DenseLayer, DropoutLayer,
                            ElemwiseSumLayer, GlobalPoolLayer, InputLayer, freeze)
from minifer.training.frozen import frozen_features, trainable_head
from minifer.training.trainer import Trainer

STEPS = ColourPreprocessing.imagenet("torch", CropSettings(size=12), size=32)


def resnet(frozen="layer1.0.relu_2", seed=0):
    """A tiny residual network of two stages, its averages set, the first one frozen."""
    random.set_rng(seed)
    network = models.resnet((1, 1), width=4, num_classes=3, size=32)
    rng = np.random.default_rng(seed)
    for param in layers.get_all_params(network, batch_norm_stat=True):
        param.set_value(rng.uniform(.5, 1.5, param.shape))
    freeze(named(network, frozen))
    return network


def with_dropout(seed=0):
    """A frozen body without anything but convolutions, and a head that drops."""
    random.set_rng(seed)
    body = InputLayer((None, 1, 12, 12), name="input")
    body = BatchNormLayer(Conv2DLayer(body, 4, 3, name="conv"), name="bn")
    freeze(body)
    top = GlobalPoolLayer(body, name="pool")
    top = DenseLayer(DropoutLayer(top, name="drop1"), 8, name="dense1")
    return DenseLayer(DropoutLayer(top, name="drop2"), 3, name="output",
                      nonlinearity=nonlinearities.softmax)


def named(network, name):
    return next(one for one in layers.get_all_layers(network) if one.name == name)


@functools.cache
def pictures(n=10, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 1, 12, 12), np.uint8), np.arange(n) % 3


def values(network):
    return {p.name: p.get_value() for p in layers.get_all_params(network)}


def close(a, b):
    assert_close(a, b, "reference", np.float32, "features")


# --- what they are ----------------------------------------------------------------

def test_features_are_what_the_network_has_there():
    network = resnet()
    features = frozen_features(network, pictures()[0], STEPS, batch_size=4)
    top = named(network, "layer1.0.relu_2")
    assert features.shape == (10, 16, 8, 8) and features.dtype == np.float32
    close(features, layers.get_output(top, STEPS(pictures()[0]), deterministic=True))


def test_the_head_makes_of_features_what_the_network_makes_of_images():
    for network, steps in (resnet(), STEPS), (with_dropout(), Preprocessing()):
        head = trainable_head(network)
        features = frozen_features(network, pictures()[0], steps)
        close(layers.get_output(head, features, deterministic=True),
              layers.get_output(network, steps(pictures()[0]), deterministic=True))


def test_layers_without_parameters_above_the_body_are_worked_out_too():
    """Pooling gives the same in every epoch, dropout does not."""
    network = with_dropout()
    assert frozen_features(network, pictures()[0]).shape == (10, 4)
    assert [one.name for one in layers.get_all_layers(trainable_head(network))] == [
        "features", "drop1", "dense1", "drop2", "output"]


def test_the_head_has_the_network_s_parameters_and_leaves_its_layers_alone():
    network = resnet()
    order = layers.get_all_layers(network)
    head = trainable_head(network)
    assert layers.get_all_layers(network) == order
    assert not set(layers.get_all_layers(head)) & set(order)
    assert layers.get_all_params(head, trainable=True) == (
        layers.get_all_params(network, trainable=True))
    assert set(layers.get_all_params(head)) < set(layers.get_all_params(network))


@pytest.mark.parametrize("make, steps", [(resnet, STEPS),
                                         (with_dropout, Preprocessing())])
def test_training_the_head_trains_the_network(make, steps):
    """Two epochs of either give the same network, to rounding."""
    whole, parted = make(), make()
    images, labels = pictures()
    rule = functools.partial(updates.momentum, momentum=.5)
    head = trainable_head(parted)
    options = dict(update=rule, learning_rate=.05, batch_size=4, seed=1)
    one = Trainer(whole, prepare=steps, **options)
    two = Trainer(head, **options)
    streams = [[layer.stream for layer in layers.get_all_layers(network)
                if isinstance(layer, DropoutLayer)] for network in (whole, head)]
    for ours, theirs in zip(*streams, strict=True):
        theirs.key = ours.key  # masks are drawn by the place in the network
    before = values(parted)
    first = one.fit(images, labels, epochs=2)
    second = two.fit(frozen_features(parted, images, steps), labels, epochs=2)
    close([row["train_loss"] for row in first.history],
          [row["train_loss"] for row in second.history])
    ours, theirs = values(whole), values(parted)
    learning = {p.name for p in layers.get_all_params(head)}
    for name in ours:
        close(ours[name], theirs[name])
        assert np.array_equal(theirs[name], before[name]) == (name not in learning)


def test_several_frozen_layers_may_be_read():
    random.set_rng(0)
    source = InputLayer((None, 1, 12, 12), name="input")
    one, two = (Conv2DLayer(source, 2, size, name=f"conv{size}") for size in (3, 5))
    freeze([one, two])
    network = DenseLayer(ElemwiseSumLayer([DenseLayer(one, 6, name="a"),
                                           DenseLayer(two, 6, name="b")]), 3)
    x = pictures()[0]
    features = frozen_features(network, x)
    assert [part.shape for part in features] == [(10, 2, 10, 10), (10, 2, 8, 8)]
    head = trainable_head(network)
    sources = [layer for layer in layers.get_all_layers(head)
               if isinstance(layer, InputLayer)]
    close(layers.get_output(head, dict(zip(sources, features))),
          layers.get_output(network, x))


@pytest.mark.parametrize("device", DEVICES)
def test_devices_agree(device):
    x = pictures(3)[0]
    here = frozen_features(with_dropout(), x, Preprocessing(), batch_size=2)
    there = frozen_features(with_dropout(), x, Preprocessing(), batch_size=2,
                            device=device)
    assert type(there) is np.ndarray
    close(there, here)


def test_progress_counts_images():
    seen = []
    frozen_features(with_dropout(), pictures()[0], batch_size=4,
                    progress=lambda *numbers: seen.append(numbers))
    assert seen == [(4, 10), (8, 10), (10, 10)]


# --- what has no features ---------------------------------------------------------

def refused(network, words):
    for call in trainable_head, lambda one: frozen_features(one, pictures()[0]):
        with pytest.raises(SettingError, match=words) as error:
            call(network)
        assert "\n" not in str(error.value)


def test_a_network_without_a_frozen_part():
    refused(DenseLayer(InputLayer((None, 1, 12, 12)), 3), "nothing is frozen")


def test_a_network_in_which_nothing_learns():
    network = with_dropout()
    freeze(network)
    refused(network, "below <DenseLayer 'dense1'")
    network = DenseLayer(InputLayer((None, 1, 12, 12)), 3)
    freeze(network)
    refused(network, "nothing learns")


def test_dropout_inside_the_frozen_part():
    body = Conv2DLayer(InputLayer((None, 1, 12, 12)), 2, 3)
    body = Conv2DLayer(DropoutLayer(body), 2, 3, name="above")
    freeze(body)
    refused(DenseLayer(body, 3), "without dropout and the like, got one below "
                                 "<Conv2DLayer 'above'")


def test_a_batch_norm_that_goes_on_normalising_by_the_batch():
    body = BatchNormLayer(Conv2DLayer(InputLayer((None, 1, 12, 12)), 2, 3), beta=None,
                          gamma=None)
    body = Conv2DLayer(body, 2, 3, name="above")
    for one in layers.get_all_layers(body):
        for tags in one.params.values():
            tags.discard("trainable")
    refused(DenseLayer(body, 3), "below <Conv2DLayer 'above'")


# --- on disk ----------------------------------------------------------------------

@pytest.fixture
def worked_out(monkeypatch):
    """How many batches went through a body."""
    count, batches = [], ColourPreprocessing.__call__

    def counted(steps, crops):
        count.append(len(crops))
        return batches(steps, crops)

    monkeypatch.setattr(ColourPreprocessing, "__call__", counted)
    return count


def kept(tmp_path, network=None, x=None, steps=STEPS):
    return frozen_features(network or resnet(), pictures()[0] if x is None else x,
                           steps, tmp_path / "features")


def test_features_are_worked_out_once(tmp_path, worked_out):
    first = kept(tmp_path)
    assert worked_out == [10]
    again = kept(tmp_path)
    assert worked_out == [10]
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(first, frozen_features(resnet(), pictures()[0],
                                                         STEPS))
    assert not again.flags.writeable and type(again) is np.ndarray
    path, = (tmp_path / "features").iterdir()
    np.testing.assert_array_equal(np.load(path), first)


def heavier(network):
    named(network, "conv1").W.value[0, 0, 0, 0] += 1e-6


def other_averages(network):
    named(network, "bn1").mean.value[0] += 1e-6


def other_nonlinearity(network):
    named(network, "relu").nonlinearity = nonlinearities.leaky_rectify


def other_head(network):
    network.W.value += 1


@pytest.mark.parametrize("change, new", [
    (heavier, True), (other_averages, True), (other_nonlinearity, True),
    (other_head, False)])
def test_a_changed_body_has_features_of_its_own_and_a_changed_head_has_not(
        change, new, tmp_path, worked_out):
    kept(tmp_path)
    network = resnet()
    change(network)
    features = kept(tmp_path, network)
    assert len(worked_out) == 1 + new
    assert len(list((tmp_path / "features").iterdir())) == 1 + new
    close(features, layers.get_output(named(network, "layer1.0.relu_2"),
                                      STEPS(pictures()[0]), deterministic=True))


def test_so_have_other_images_and_another_preprocessing(tmp_path, worked_out):
    x = pictures()[0]
    kept(tmp_path)
    for other in x[::-1], x[:9], x.view(np.int8), x ^ (np.arange(12) == 5):
        kept(tmp_path, x=other)
    kept(tmp_path, steps=ColourPreprocessing.imagenet("keras", STEPS.crop, 32))
    assert len(worked_out) == len(list((tmp_path / "features").iterdir())) == 6


@pytest.mark.parametrize("damage", [
    lambda content: content[:-1], lambda content: content[:200], lambda content: b"",
    lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
    lambda content: content + b"x"],
    ids=["cut", "short", "empty", "a bit", "longer"])
def test_a_damaged_file_is_written_anew(damage, tmp_path, worked_out):
    first = np.array(kept(tmp_path))
    path, = (tmp_path / "features").iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    np.testing.assert_array_equal(kept(tmp_path), first)
    assert len(worked_out) == 2 and path.read_bytes() == whole


@pytest.mark.parametrize("array", [
    np.ones((10, 3), np.float32), np.ones((9, 8, 8), np.float32), np.ones(3, int),
    np.array([{}], object), np.zeros((2, 2), complex)], ids=str)
def test_a_whole_file_of_something_else_is_written_over(array, tmp_path, worked_out):
    """Its sum is right, yet it is not the features of these images."""
    first = np.array(kept(tmp_path))
    path, = (tmp_path / "features").iterdir()
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    content = content.getvalue()
    path.write_bytes(content + hashlib.sha256(content).digest())
    np.testing.assert_array_equal(kept(tmp_path), first)
    assert len(worked_out) == 2


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        frozen_features(resnet(), pictures()[0], STEPS, tmp_path, 4, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed(tmp_path):
    kept(tmp_path)
    path, = (tmp_path / "features").iterdir()
    path.rename(path.with_name(f".{path.name}.0123abcd.tmp"))
    kept(tmp_path)
    assert [one.name for one in (tmp_path / "features").iterdir()] == [path.name]


def test_a_function_whose_settings_are_unknown_is_kept_in_no_folder(tmp_path):
    with pytest.raises(SettingError, match="Leave out the folder"):
        kept(tmp_path, steps=lambda x: STEPS(x))
    frozen_features(resnet(), pictures()[0], lambda x: STEPS(x))


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "features").write_text("a file")
    with pytest.raises(OutputError, match="expected a folder"):
        kept(tmp_path)


def test_a_disk_without_room(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: mock.Mock(free=10_000))
    with pytest.raises(OutputError, match="got 0.0 GB. Choose another folder"):
        kept(tmp_path)
    assert list((tmp_path / "features").iterdir()) == []
