"""What a network for colour photos is given: size, channels, scale; on every device."""

import json

import cv2
import numpy as np
import pytest

from helpers.devices import DEVICES
from minifer.device.arrays import device_of, to_device, to_host
from minifer.errors import SettingError, WeightsError
from minifer.faces.cropping import CropSettings
from minifer.faces.preprocessing import ColourPreprocessing, Preprocessing


def crops(side, n=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 1, side, side), np.uint8)


def plain(size):
    """Only the size changes."""
    return ColourPreprocessing(size=size)


# --- size -------------------------------------------------------------------------

@pytest.mark.parametrize("side, size", [(48, 224), (7, 12), (5, 5), (1, 3)])
def test_a_larger_picture_is_opencv_s(side, size):
    x = crops(side)
    theirs = [cv2.resize(one.astype("f"), (size, size), interpolation=cv2.INTER_LINEAR)
              for one in x[:, 0]]
    np.testing.assert_allclose(plain(size)(x)[:, 0], theirs, rtol=1e-5, atol=1e-3)


def test_the_same_size_changes_nothing():
    x = crops(9)
    np.testing.assert_array_equal(plain(9)(x), np.repeat(x, 3, axis=1))


def test_a_smaller_picture_takes_means():
    stripes = np.zeros((1, 1, 64, 64), np.uint8)
    stripes[..., ::2] = 200  # any choice of single columns would give 0 or 200
    small = plain(16)(stripes)
    assert small.shape == (1, 3, 16, 16)
    np.testing.assert_allclose(small[..., 1:-1], 100, atol=1e-3)


@pytest.mark.parametrize("side, size", [(64, 16), (50, 33), (48, 224)])
def test_any_other_size_is_pytorch_s_with_antialias(side, size):
    torch = pytest.importorskip("torch")
    x = crops(side)
    theirs = torch.nn.functional.interpolate(
        torch.tensor(x.astype("f")), (size, size), mode="bilinear", antialias=True)
    np.testing.assert_allclose(plain(size)(x)[:, :1], theirs, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("side, size", [(10, 23), (23, 10), (3, 224)])
def test_an_even_picture_stays_even(side, size):
    even = np.full((2, 1, side, side), 77, np.uint8)
    np.testing.assert_allclose(plain(size)(even), 77, rtol=1e-6)


# --- channels ---------------------------------------------------------------------

def test_torchvision_s_channels_are_red_green_and_blue():
    x = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    y = ColourPreprocessing.imagenet("torch", size=1)(x)[:, :, 0, 0]
    mean, deviation = np.array([.485, .456, .406]), np.array([.229, .224, .225])
    np.testing.assert_allclose(y, [-mean / deviation, (1 - mean) / deviation],
                               rtol=1e-5)


def test_keras_s_channels_are_blue_green_and_red():
    x = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    y = ColourPreprocessing.imagenet("keras", size=1)(x)[:, :, 0, 0]
    mean = np.array([103.939, 116.779, 123.68])
    np.testing.assert_allclose(y, [-mean, 255 - mean], rtol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_devices_agree(device):
    steps, x = ColourPreprocessing.imagenet("torch", size=20), crops(8)
    here, there = steps(x), steps(to_device(x, device))
    assert device_of(there) == device and there.dtype == here.dtype == np.float32
    np.testing.assert_allclose(to_host(there), here, rtol=1e-5, atol=1e-6)


# --- in the model file ------------------------------------------------------------

@pytest.mark.parametrize("steps", [
    Preprocessing(CropSettings(size=48), 1 / 128, -1.),
    ColourPreprocessing.imagenet("torch", CropSettings(size=48, mode="whole"), 64),
    ColourPreprocessing.imagenet("keras")], ids=["grey", "torch", "keras"])
def test_settings_come_back_from_json(steps):
    back = Preprocessing.from_dict(json.loads(json.dumps(steps.to_dict())))
    assert back == steps and type(back) is type(steps)
    np.testing.assert_array_equal(back(crops(48)), steps(crops(48)))


def test_files_written_before_there_were_colours_are_read():
    old = {"crop": CropSettings().to_dict(), "scale": 1 / 255, "shift": -.5}
    assert Preprocessing.from_dict(old) == Preprocessing()
    assert Preprocessing().to_dict() == old


@pytest.mark.parametrize("change", [
    {"scale": [1, 2]}, {"scale": 1.0}, {"scale": ["a", "b", "c"]}, {"size": 0},
    {"shift": [0, 0, float("nan")]}, {"size": 1025}, {"size": 3.5}, {"size": None}])
def test_a_file_with_wrong_settings_is_refused(change):
    values = ColourPreprocessing().to_dict() | change
    with pytest.raises(WeightsError, match="preprocessing"):
        Preprocessing.from_dict(values)


def test_wrong_settings_are_refused():
    with pytest.raises(SettingError, match="3 numbers as scale"):
        ColourPreprocessing(scale=1.0)
    with pytest.raises(SettingError, match="'torch' or 'keras', got 'caffe'"):
        ColourPreprocessing.imagenet("caffe")
