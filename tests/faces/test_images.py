"""Image files: what is read, what is refused and with which words."""

import os
import pathlib
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

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
    assert (images.read_image(path) == 60).all()  # 59.8


def test_the_content_counts_not_the_ending(write):
    path = write("really-a.jpg", encode(ramp(), ".png"))
    np.testing.assert_array_equal(images.read_image(path), ramp())


def test_sixteen_bits_and_transparency_become_eight_bit_grey(write):
    deep = encode(ramp().astype(np.uint16) * 257, ".png")
    np.testing.assert_array_equal(images.decode(deep, "deep"), ramp())
    clear = encode(np.dstack([ramp()] * 4), ".png")
    np.testing.assert_array_equal(images.decode(clear, "clear"), ramp())


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("ending", [".png", ".tiff", ".pgm"])
def test_of_16_bits_those_count_that_are_used(ending, bits):
    """Cameras that see 10 or 12 bits write them into 16: else it is nearly black."""
    picture = ramp().astype(np.uint16)
    picture[0, 0] = 255
    deep = encode(picture << (bits - 8), ending)
    np.testing.assert_array_equal(images.decode(deep, "deep"), picture)
    colour = images.decode(encode(np.dstack([picture << (bits - 8)] * 3), ".png"),
                           "deep", colour=True)
    np.testing.assert_array_equal(colour, np.dstack([picture] * 3))


@pytest.mark.parametrize("picture", [np.float32(ramp()) / 255,
                                     np.int16(ramp())], ids=["float", "signed"])
def test_numbers_without_black_and_white_are_refused(picture):
    with pytest.raises(ImageError, match="no black and white are agreed on"):
        images.decode(encode(picture, ".tiff"), "odd.tiff")


def test_exif_orientation_turns_the_photo_upright():
    jpeg = encode(ramp(), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 100)
    lying = images.decode(with_exif(jpeg, 6), "lying.jpg")  # 6: turn right
    upright = images.decode(jpeg, "upright.jpg")
    np.testing.assert_array_equal(lying, np.rot90(upright, -1))
    assert images.decode(with_exif(jpeg, 6), "lying.jpg", colour=True).shape[:2] \
        == (60, 40)


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".tiff", ".bmp"])
def test_more_pixels_than_a_cap_are_not_decoded(ending, monkeypatch):
    """Before anything is unpacked: a small file may ask for gigabytes."""
    data = encode(ramp(100, 90), ending)
    monkeypatch.setattr(images, "LARGEST", 8999)
    monkeypatch.setattr(images, "heard", lambda *given: pytest.fail("was decoded"))
    with pytest.raises(ImageError, match="a.x: 90x100 pixels: too many .* Scale it"):
        images.decode(data, "a.x")


def test_a_file_that_says_it_is_huge(write):
    data = bytearray(encode(ramp(), ".bmp"))
    data[18:26] = struct.pack("<ii", 30_000, 30_000)
    with pytest.raises(ImageError, match="30000x30000 pixels: too many"):
        images.read_image(write("b.bmp", bytes(data)))


def test_a_jpeg_that_goes_over_its_pixels_a_thousand_times(monkeypatch):
    data = encode(ramp(100, 90), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    monkeypatch.setattr(images, "LARGEST", 50_000)
    assert images.decode(data, "a").shape == (100, 90)
    scan = data.index(b"\xff\xda")
    many = data[:scan] + data[scan:-2] * 30 + data[-2:]
    with pytest.raises(ImageError, match="90x100 pixels: too many"):
        images.decode(many, "a")


def test_a_file_of_a_gigabyte_is_not_read(tmp_path):
    with open(tmp_path / "a.jpg", "wb") as file:
        file.truncate(images.LARGEST_FILE + 1)  # takes no place on the disk
    with pytest.raises(ImageError, match="a.jpg: 960 MB: too large"):
        images.read_image(tmp_path / "a.jpg")


def test_a_format_that_is_too_new_for_opencv(monkeypatch):
    monkeypatch.setattr(images, "heard", lambda cv2, work: (None, ""))
    gif = b"GIF89a" + struct.pack("<HH", 60, 40)
    with pytest.raises(ImageError, match="reads GIF from 4.12 on, this is 4.*JPEG"):
        images.decode(gif, "a.gif")


def test_a_photo_of_108_megapixels_is_not_too_large():
    assert 12_032 * 9_024 < images.LARGEST


def photo():
    """A picture that no two places of share their codes."""
    noise = np.random.default_rng(0).integers(0, 256, (120, 160), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1)


@pytest.mark.parametrize("change", [
    lambda data, at: data[:at] + bytes(300) + data[at + 300:],
    lambda data, at: data[:at] + data[at + 300:],
    lambda data, at: data[:at] + b"\xa7" * 300 + data[at + 300:]],
    ids=["zeros", "missing", "others"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("ending, words", [
    (".jpg", "damaged .Corrupt JPEG data: .*. Copy"),
    (".png", "damaged .a wrong checksum at byte|truncated")])
def test_a_file_damaged_in_its_middle_is_refused(ending, words, share, change, capfd):
    data = encode(photo(), ending)
    with pytest.raises(ImageError, match="^f: the image is .*(" + words + ")"):
        images.decode(change(data, int(len(data) * share)), "f")
    assert capfd.readouterr().err == ""  # what libjpeg says goes with the file's name


def test_damage_is_told_of_its_own_file_when_threads_decode_together(capfd):
    good = encode(photo(), ".jpg")
    bad = good[:3000] + bytes(300) + good[3300:]

    def look(number):
        try:
            return images.decode(bad if number % 5 == 0 else good, number).shape
        except ImageError:
            return None

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(look, range(100)))
    assert found == [None if k % 5 == 0 else (120, 160) for k in range(100)]
    assert capfd.readouterr().err == ""


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
    # OpenCV's whole numbers: each weight to half of 1/16384, times 255
    assert np.abs(grey[:, 0] - luma).max() <= 0.5 + 3 * 255 / 2 / 16384
    floats = images.to_grey((batch / 255).astype(np.float32))
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats * 255, grey, atol=0.51)
    np.testing.assert_array_equal(images.to_grey(batch[:, :1]), batch[:, :1])


@given(st.integers(0, 2**32 - 1), st.sampled_from([".png", ".bmp", ".jpg", ".webp"]))
@settings(max_examples=40, deadline=None)
def test_files_frames_and_arrays_become_grey_alike(seed, ending):
    """A box found on a photo is found on the same pixels of a film or an array."""
    colours = np.random.default_rng(seed).integers(0, 256, (30, 30, 3), np.uint8)
    data = encode(colours, ending)
    picture = images.decode(data, "a", colour=True)
    grey = images.decode(data, "a")
    np.testing.assert_array_equal(grey, images.grey_of(picture))
    np.testing.assert_array_equal(
        grey, images.to_grey(picture.transpose(2, 0, 1)[None])[0, 0])
    np.testing.assert_array_equal(images.grey_of(np.dstack([grey] * 3)), grey)


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
