"""Image files: what is read, what is refused and with which words."""

import os
import pathlib
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest

from minifer.errors import BackendUnavailable, ImageError, ShapeError
from minifer.faces import images

cv2 = pytest.importorskip("cv2")


def ramp(height=40, width=60):
    """A smooth grey picture whose every row and column differs."""
    rows, columns = np.mgrid[:height, :width]
    return (2 * rows + columns).astype(np.uint8)


def encode(picture, ending, *options):
    return cv2.imencode(ending, picture, list(options))[1].tobytes()


def with_exif(jpeg, orientation, thumbnail=b""):
    """Put an EXIF header with one tag (and a thumbnail behind it) into a JPEG."""
    tiff = (b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0))
    body = b"Exif\0\0" + tiff + thumbnail
    return (jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:])


@pytest.fixture
def write(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.write_bytes(data)
        return path
    return write


@pytest.mark.parametrize("ending, error", [
    (".png", 0), (".bmp", 0), (".jpg", 3), (".jpeg", 3), (".webp", 4)])
def test_reads_grey_in_every_format(write, ending, error):
    picture = ramp()
    image = images.read_image(write("zażółć 顔" + ending, encode(picture, ending)))
    assert image.dtype == np.uint8 and image.shape == picture.shape
    assert np.abs(image.astype(int) - picture).max() <= error


def test_reads_colour_as_red_green_blue_and_weighs_it_to_grey(write):
    picture = np.zeros((30, 30, 3), np.uint8)
    picture[..., 0] = 200  # red
    path = write("red.png", images.encode_png(picture))
    np.testing.assert_array_equal(images.read_colour(path), picture)
    assert (images.read_image(path) == 59).all()  # libpng rounds 59.8 down


def test_the_content_counts_not_the_ending(write):
    path = write("really-a.jpg", encode(ramp(), ".png"))
    np.testing.assert_array_equal(images.read_image(path), ramp())


def test_sixteen_bits_and_transparency_become_eight_bit_grey(write):
    deep = encode(ramp().astype(np.uint16) * 257, ".png")
    np.testing.assert_array_equal(images.decode(deep, "deep"), ramp())
    clear = encode(np.dstack([ramp()] * 4), ".png")
    np.testing.assert_array_equal(images.decode(clear, "clear"), ramp())


def test_exif_orientation_turns_the_photo_upright():
    jpeg = encode(ramp(), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 100)
    lying = images.decode(with_exif(jpeg, 6), "lying.jpg")  # 6: turn right
    upright = images.decode(jpeg, "upright.jpg")
    np.testing.assert_array_equal(lying, np.rot90(upright, -1))
    assert images.decode(with_exif(jpeg, 6), "lying.jpg", colour=True).shape[:2] \
        == (60, 40)


def test_missing_folder_empty_and_pipe(tmp_path, write):
    with pytest.raises(ImageError, match="none.png: no such file"):
        images.read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="got a folder"):
        images.read_image(tmp_path)
    with pytest.raises(ImageError, match=r"empty \(0 bytes\)"):
        images.read_image(write("empty.png", b""))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ImageError, match="pipe or a device"):
            images.read_image(tmp_path / "pipe")


@pytest.mark.parametrize("data", [b"hello", b"\0" * 5000, b"%PDF-1.4 ..."])
def test_not_an_image(write, data):
    with pytest.raises(ImageError, match="notes.jpg: expected a JPEG.*cannot be"):
        images.read_image(write("notes.jpg", data))


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".bmp"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.999])
def test_a_cut_file_is_refused_wherever_it_is_cut(ending, share, capfd):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    data = encode(noise, ending)
    with pytest.raises(ImageError, match="cut"):
        images.decode(data[:int(len(data) * share)], "cut")
    assert capfd.readouterr().err == ""  # OpenCV keeps silent


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_truncated_is_said_to_be_truncated(ending):
    data = encode(ramp(), ending)
    with pytest.raises(ImageError, match="a: the image is truncated"):
        images.decode(data[:-2], "a")


@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp"])
def test_junk_behind_the_end_is_tolerated(ending):
    data = encode(ramp(), ending) + b"junk"
    assert images.decode(data, "a").shape == (40, 60)


def test_the_end_of_the_thumbnail_is_not_the_end_of_the_photo():
    thumbnail = encode(ramp(24, 24), ".jpg")
    whole = with_exif(encode(ramp(), ".jpg"), 1, thumbnail)
    assert images.decode(whole, "whole").shape == (40, 60)
    with pytest.raises(ImageError, match="truncated"):
        images.decode(whole[:-100], "cut")


def test_progressive_and_restart_markers_are_whole():
    for option in (cv2.IMWRITE_JPEG_PROGRESSIVE, cv2.IMWRITE_JPEG_RST_INTERVAL):
        data = encode(ramp(), ".jpg", option, 1)
        assert images.decode(data, "a").shape == (40, 60)


def test_too_small_to_hold_a_face():
    assert images.decode(encode(ramp(24, 24), ".png"), "a").shape == (24, 24)
    with pytest.raises(ImageError, match="60x23 pixels: too small to hold a face"):
        images.decode(encode(ramp(23, 60), ".png"), "a")
    with pytest.raises(ImageError, match="1x1 pixels"):
        images.decode(encode(ramp(1, 1), ".png"), "a")


def test_write_png_round_trip(tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (30, 31, 3), dtype=np.uint8)
    images.write_png(tmp_path / "c.png", colour)
    np.testing.assert_array_equal(images.read_colour(tmp_path / "c.png"), colour)
    images.write_png(tmp_path / "g.png", colour[..., 0])
    np.testing.assert_array_equal(images.read_image(tmp_path / "g.png"),
                                  colour[..., 0])


@pytest.mark.parametrize("wrong", [np.zeros((9, 9)), np.zeros((9, 9, 4), np.uint8),
                                   np.zeros((0, 9), np.uint8)])
def test_encode_png_wants_uint8_pictures(wrong):
    with pytest.raises(ShapeError, match=r"expected uint8 pixels of shape \(H, W\)"):
        images.encode_png(wrong)


def test_the_log_level_of_opencv_is_put_back_when_threads_overlap():
    logging = getattr(cv2.utils, "logging", cv2)  # up to OpenCV 4.12 in cv2 itself
    warnings = 3
    before = logging.setLogLevel(warnings)
    inside, leave = threading.Event(), threading.Event()

    def stay():
        with images.quiet(cv2):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=stay)
    thread.start()
    inside.wait(10)
    images.decode(encode(ramp(), ".png"), "a")
    assert logging.getLogLevel() == images.SILENT
    leave.set()
    thread.join()
    assert logging.setLogLevel(before) == warnings


def test_without_opencv_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(BackendUnavailable, match="pip install .opencv.*headless<5"):
        images.decode(b"any", "a")


def test_no_thread_gets_opencv_while_another_imports_it(tmp_path):
    # As OpenCV's loader does: a module that is not ready takes the first one's place.
    (tmp_path / "cv2.py").write_text(
        "import sys, time, types\n"
        "other = sys.modules[__name__] = types.ModuleType('cv2')\n"
        "time.sleep(0.3)\n"
        "other.data = 'there'\n")
    program = ("import sys, threading, time; from minifer.data import images\n"
               f"sys.path.insert(0, {str(tmp_path)!r})\n"
               "threading.Thread(target=images.load_cv2).start(); time.sleep(0.1)\n"
               "print(images.load_cv2().data)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True,
                          text=True, cwd=pathlib.Path(images.__file__).parents[2])
    assert done.stdout.strip() == "there", done.stderr


def test_to_grey_weighs_colours_and_keeps_the_type():
    batch = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 4), dtype=np.uint8)
    grey = images.to_grey(batch)
    assert grey.shape == (2, 1, 5, 4) and grey.dtype == np.uint8
    luma = np.einsum("k,nkhw->nhw", [0.299, 0.587, 0.114], batch)
    assert np.abs(grey[:, 0] - luma).max() <= 0.5
    floats = images.to_grey((batch / 255).astype(np.float32))
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats * 255, grey, atol=0.51)
    np.testing.assert_array_equal(images.to_grey(batch[:, :1]), batch[:, :1])


@pytest.mark.parametrize("shape", [(2, 2, 5, 5), (2, 4, 5, 5), (3, 5, 5)])
def test_to_grey_refuses_other_channel_counts(shape):
    with pytest.raises(ShapeError, match=r"K = 1 \(grey\) or 3"):
        images.to_grey(np.zeros(shape, np.uint8))


def test_all_unreadable_images_in_one_message():
    errors = [ImageError(f"{name}.png: no such file.") for name in "abcd"]
    images.raise_unreadable([], 9)
    with pytest.raises(ImageError, match="^a.png: no such file.$"):
        images.raise_unreadable(errors[:1], 9)
    with pytest.raises(ImageError, match=r"4 of 9 images.*a.png.*c.png.*…") as caught:
        images.raise_unreadable(errors, 9)
    assert "d.png" not in str(caught.value) and "\n" not in str(caught.value)
