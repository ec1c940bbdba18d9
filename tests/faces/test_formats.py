"""Names of pictures and of films: one list for all that looks into folders."""

import cv2
import numpy as np
import pytest

from minifer.faces.formats import (_READ, IMAGE_ENDINGS, VIDEO_ENDINGS, is_image,
                                   is_video)
from minifer.faces.headers import read_header


@pytest.mark.parametrize("name", ["a.jpg", "B.JPG", "c.jfif", "d.jpe", "e.tif", "f.gif",
                                  "g.avif", "h.heic", "i.HEIF", "j.webp", "k.nef"])
def test_pictures(name):
    assert is_image(name) and not is_video(name)


@pytest.mark.parametrize("name", ["a.mp4", "B.MOV", "c.m4v", "d.3gp", "e.mts", "f.wmv"])
def test_films(name):
    assert is_video(name) and not is_image(name)


@pytest.mark.parametrize("name", ["notes.txt", "jpg", "a.jpg.txt", "a.csv", ""])
def test_neither(name):
    assert not is_image(name) and not is_video(name)


def test_no_ending_is_both_or_twice():
    endings = IMAGE_ENDINGS + VIDEO_ENDINGS
    assert len(set(endings)) == len(endings)


def test_what_opencv_writes_is_in_the_list_and_has_a_header():
    pixels = np.zeros((64, 64, 3), np.uint8)
    for ending in (".jpg", ".jpe", ".jpeg", ".png", ".bmp", ".dib", ".webp", ".tif",
                   ".tiff", ".jp2", ".ppm", ".pnm", ".pam", ".ras", ".sr", ".gif",
                   ".avif"):
        assert ending in _READ
        if cv2.haveImageWriter(f"a{ending}"):
            assert read_header(cv2.imencode(ending, pixels)[1].tobytes()), ending
