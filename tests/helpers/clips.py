"""Clips of drawn faces, a model that judges them, and the command ``minifer``."""


import cv2
import numpy as np

from helpers import runs
from minifer.data import EMOTIONS
from minifer.faces.cropping import CropSettings
from minifer.faces.preprocessing import Preprocessing
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


def write_clip(path, pictures, code="mp4v", fps=10):
    """Write a video with OpenCV alone."""
    H, W = pictures[0].shape[:2]
    out = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), fps, (W, H))
    for picture in pictures:
        out.write(np.ascontiguousarray(picture[:, :, ::-1]))
    out.release()
    return path
