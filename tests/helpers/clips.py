"""Clips of drawn faces, a model that judges them, and the command ``minifer``."""

import struct

import cv2
import numpy as np

from helpers import runs
from minifer.data import EMOTIONS
from minifer.faces.cropping import CropSettings
from minifer.faces.preprocessing import Preprocessing
from minifer.faces.quiet import quiet
from minifer.predict.video import Frame
from minifer.weights.model_file import Model, save_model


def save_judge(path):
    """Write a model that finds faces and judges them by a tiny random network."""
    steps = Preprocessing(CropSettings(size=24))
    save_model(path, Model(runs.network(size=24, classes=7), EMOTIONS, steps.to_dict()))
    return path


def person(number):
    """A drawn neutral person, RGB (245, 320, 3)."""
    return np.stack([runs.faces()[2 * number][::2, ::2]] * 3, axis=2)


def walk(frames, people=(0,)):
    """Pictures of people side by side who move to the right, 3 pixels a frame."""
    picture = np.concatenate([person(number) for number in people], axis=1)
    return [np.roll(picture, 3 * k, axis=1) for k in range(frames)]


def as_frames(pictures, fps=10):
    """Frames, as a camera or a video gives them."""
    return [Frame(k, k / fps, picture) for k, picture in enumerate(pictures)]


def grounds(count, shape=(48, 64)):
    """Pictures of one colour each, red rising, blue falling."""
    pictures = np.zeros((count, *shape, 3), np.uint8)
    for k, picture in enumerate(pictures):
        picture[:] = 20 + 15 * k, 60, 230 - 15 * k
    return list(pictures)


def noise(count, shape=(48, 64)):
    """Pictures that take many bytes each."""
    random = np.random.default_rng(0)
    return list(random.integers(0, 256, (count, *shape, 3), np.uint8))


def write_clip(path, pictures, code="mp4v", fps=10, ending=""):
    """Write a video with OpenCV alone."""
    path = path.with_name(path.name + ending)
    H, W = pictures[0].shape[:2]
    with quiet(cv2):
        out = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), fps, (W, H))
    for picture in pictures:
        out.write(np.ascontiguousarray(picture[:, :, ::-1]))
    out.release()
    return path


def write_matroska(path, pictures, milliseconds, default_duration=True, length=True,
                   start=0, shown=None):
    """Write a WebM film with a time of its own for each frame, as telephones do.

    Browsers that record leave out ``default_duration``, by which players know a rate,
    and the ``length`` of all. ``shown`` is the width in which it is to be shown.
    """
    blocks = _vp8(write_clip(path, pictures, "VP80").read_bytes())
    H, W = pictures[0].shape[:2]
    track = (_element(0xd7, b"\1") + _element(0x73c5, b"\1") + _element(0x83, b"\1")
             + _element(0x86, b"V_VP8")
             + (_element(0x23e383, (40_000_000).to_bytes(4, "big"))
                if default_duration else b"")
             + _element(0xe0, _element(0xb0, W.to_bytes(2, "big"))
                        + _element(0xba, H.to_bytes(2, "big"))
                        + (_element(0x54b0, shown.to_bytes(2, "big"))
                           + _element(0x54ba, H.to_bytes(2, "big")) if shown else b"")))
    info = _element(0x2ad7b1, (1_000_000).to_bytes(3, "big"))
    if length:
        info += _element(0x4489, struct.pack(">d", start + milliseconds[-1] + 40))
    body = _element(0x1549a966, info) + _element(0x1654ae6b, _element(0xae, track))
    for number, (block, ms) in enumerate(zip(blocks, milliseconds, strict=True)):
        key = b"\x80" if number == 0 else b"\0"
        body += _element(0x1f43b675, _element(0xe7, (start + ms).to_bytes(4, "big"))
                         + _element(0xa3, b"\x81\0\0" + key + block))
    head = b"".join(_element(name, value) for name, value in [
        (0x4286, b"\1"), (0x42f7, b"\1"), (0x42f2, b"\4"), (0x42f3, b"\x08"),
        (0x4282, b"webm"), (0x4287, b"\2"), (0x4285, b"\2")])
    segment = (_element(0x18538067, body) if length
               else b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + body)
    path.write_bytes(_element(0x1a45dfa3, head) + segment)
    return path


def _element(name, content):
    """An element of Matroska: its name, its length in eight bytes, its content."""
    return (name.to_bytes((name.bit_length() + 7) // 8, "big") + b"\1"
            + len(content).to_bytes(7, "big") + content)


def _vp8(data):
    """The frames of a WebM film, each as the decoder wants it."""
    frames, at = [], 0
    while (at := data.find(b"\xa3", at + 1)) > 0:
        first = data[at + 1]
        count = 9 - first.bit_length()
        size = int.from_bytes(data[at + 1:at + 1 + count], "big") & (1 << 7 * count) - 1
        body = data[at + 1 + count:at + 1 + count + size]
        if size > 4 and len(body) == size and body[:1] == b"\x81" and body[3] in (0,
                                                                               128):
            frames.append(body[4:])
            at += count + size
    return frames


def write_y4m(path, greys, aspect, fps=10):
    """Write raw pictures, with a shape of their pixels such as ``"4:3"``."""
    H, W = greys[0].shape
    head = f"YUV4MPEG2 W{W} H{H} F{fps}:1 Ip A{aspect} C420jpeg\n".encode()
    path.write_bytes(head + b"".join(
        b"FRAME\n" + grey.tobytes() + bytes([128]) * (H * W // 2) for grey in greys))
    return path
