"""A drawn data set in the layout of CK+: faces for trying and testing.

The Extended Cohn-Kanade set needs a signed agreement. Until that is there, and
in every test, these drawn faces stand in: same folders, same names, same label
files, a sequence from neutral to peak for every subject and emotion. **They
are drawings. What a network scores on them shows that the program works and is
no evidence about real faces.**

The people who are drawn are in :mod:`~minifer.data.drawn.people`, what their muscles
do in :mod:`~minifer.data.drawn.shape`, how it is painted in
:mod:`~minifer.data.drawn.drawing`.

>>> import os, tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     images, labels = make_faces(folder, subjects=1, emotions=["anger"],
...                                 frames=(2, 2))
...     sorted(os.listdir(os.path.join(images, "S001", "001")))
['S001_001_00000001.png', 'S001_001_00000002.png']
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from ..._types import FilePath, OnProgress
from ...errors import DatasetError, SettingError, one_line
from ...faces.images import load_cv2
from ...files import make_folder, read_json, write_bytes, write_json, write_text
from .drawing import Portrait, draw_sitting
from .people import EMOTIONS, draw_peak, draw_person, intensities

__all__ = ["make_faces"]

MARKER = "made-by-minifer.json"
IMAGES, LABELS = "cohn-kanade-images", "Emotion"

#: Raised whenever the same settings would give other pictures than before.
VERSION = 1


def make_faces(folder: FilePath, subjects: int = 60, emotions: Sequence[str] = EMOTIONS,
               frames: tuple[int, int] = (8, 12), seed: int = 0,
               threads: int | None = None,
               progress: OnProgress | None = None) -> tuple[str, str]:
    """Draw facial expressions in the layout of CK+ into ``folder``.

    For trying and testing only: drawn faces say nothing about how well a
    network does on real ones. The default set has about 4,000 pictures in 400
    sequences and takes 0.5 GB.

    Parameters
    ----------
    folder : str or path-like
        Where to draw; created if it is missing. A drawing that was interrupted
        is continued, a finished one of the same settings is left as it is.
    subjects : int, default=60
        Number of people, 1 to 999. Each shows every emotion once; about one in
        four lacks one of them.
    emotions : sequence of str
        Which of ``"anger"``, ``"contempt"``, ``"disgust"``, ``"fear"``,
        ``"happiness"``, ``"sadness"`` and ``"surprise"`` (default: all).
    frames : (int, int), default=(8, 12)
        Least and largest number of frames in a sequence, 2 to 99. The first
        frame is neutral, the last shows the peak.
    seed : int, default=0
        Same seed, same bytes. A subject does not depend on how many others are
        drawn, nor on ``emotions``.
    threads : int, optional
        Sequences drawn at a time; default: one a processor.
    progress : callable, optional
        Called as ``progress(done, total)`` after every sequence.

    Returns
    -------
    images_root, labels_root : str
        ``folder/cohn-kanade-images`` with 8-bit grey pictures of 640x490 pixels,
        as ``S001/001/S001_001_00000001.png``, and ``folder/Emotion`` with a
        label beside the last frame's number.

    Raises
    ------
    SettingError
        If an argument is out of range.
    DatasetError
        If ``folder`` holds anything else, or faces of other settings.
    OutputError
        If a file cannot be written.

    References
    ----------
    P. Lucey et al. (2010): The Extended Cohn-Kanade Dataset (CK+).
    CVPR Workshops.
    """
    settings = _check(subjects, emotions, frames, seed)
    if threads is not None and not (_is_int(threads) and threads >= 1):
        raise SettingError(f"threads: expected a number from 1, got {threads!r}.")
    folder = make_folder(folder)
    roots = os.path.join(folder, IMAGES), os.path.join(folder, LABELS)
    if not _finished(folder, settings):
        write_json(os.path.join(folder, MARKER), settings | {"finished": False})
        _draw_all(roots, _plan(settings), threads, progress)
        write_json(os.path.join(folder, MARKER), settings | {"finished": True})
    return roots


def _check(subjects, emotions, frames, seed):
    """The settings that decide what is drawn, as the marker keeps them."""
    if not _is_int(subjects) or not 1 <= subjects <= 999:
        raise SettingError(f"subjects: expected a number from 1 to 999, got "
                           f"{subjects!r}.")
    try:
        wanted = [EMOTIONS.index(name) for name in emotions]
    except (TypeError, ValueError):
        wanted = []
    if not wanted or len(set(wanted)) < len(wanted):
        raise SettingError(f"emotions: expected different names out of "
                           f"{', '.join(EMOTIONS)}, got {emotions!r}.")
    try:
        low, high = frames
    except (TypeError, ValueError):
        low = high = None
    if not (_is_int(low) and _is_int(high) and 2 <= low <= high <= 99):
        raise SettingError(f"frames: expected (least, largest) with 2 <= least <= "
                           f"largest <= 99, got {frames!r}.")
    if not _is_int(seed) or seed < 0:
        raise SettingError(f"seed: expected a whole number from 0, got {seed!r}.")
    return {"what": "drawn faces, no evidence about real ones", "version": VERSION,
            "subjects": int(subjects), "frames": [int(low), int(high)],
            "emotions": [EMOTIONS[index] for index in sorted(wanted)],
            "seed": int(seed)}


def _is_int(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _finished(folder, settings):
    """Whether ``folder`` holds all of ``settings`` (False: some or nothing)."""
    present = [name for name in os.listdir(folder) if not name.startswith(".")]
    if not present:
        return False
    remedy = "Choose an empty folder, or delete this one first."
    if MARKER not in present:
        raise DatasetError(f"{folder}: expected an empty folder or one with {MARKER}, "
                           f"found {sorted(present)[0]!r}. {remedy}")
    found = read_json(os.path.join(folder, MARKER), "what make_faces notes",
                      DatasetError, remedy)
    finished = found.pop("finished", None)
    if type(finished) is not bool:
        raise DatasetError(f"{folder}: {MARKER} does not say whether it is finished. "
                           f"{remedy}")
    if found != settings:
        keys = [key for key in settings if found.get(key) != settings[key]]
        raise DatasetError(
            f"{folder}: holds drawn faces of other settings ("
            + ", ".join(f"{key}: {one_line(repr(found.get(key)))}, wanted "
                        f"{settings[key]!r}" for key in keys) + f"). {remedy}")
    return finished is True


@dataclasses.dataclass(frozen=True)
class _Sequence:
    """One sequence to draw: a subject shows an emotion."""

    seed: int
    subject: int
    number: int
    emotion: str
    frames: tuple

    @property
    def name(self):
        return f"S{self.subject:03d}_{self.number:03d}"

    @property
    def path(self):
        return os.path.join(f"S{self.subject:03d}", f"{self.number:03d}")


def _plan(settings):
    """All sequences; every subject shows the emotions in an order of its own."""
    plan = []
    for subject in range(1, settings["subjects"] + 1):
        rng = np.random.default_rng([settings["seed"], subject, 0])
        order = list(rng.permutation(EMOTIONS))
        if rng.random() < 0.25:
            order.pop()
        shown = [name for name in order if name in settings["emotions"]]
        plan += [_Sequence(settings["seed"], subject, number, str(name),
                           tuple(settings["frames"]))
                 for number, name in enumerate(shown, 1)]
    return plan


def _person(seed, subject):
    """The person that is subject number ``subject`` of the set ``seed``."""
    return draw_person(np.random.default_rng([seed, subject]))


def _draw_all(roots, plan, threads, progress):
    """Draw every sequence; NumPy and OpenCV let threads work side by side."""
    pool = concurrent.futures.ThreadPoolExecutor(threads or os.cpu_count() or 1)
    try:
        jobs = [pool.submit(_draw_sequence, *roots, sequence) for sequence in plan]
        for done, job in enumerate(concurrent.futures.as_completed(jobs), 1):
            job.result()
            if progress is not None:
                progress(done, len(plan))
    finally:
        pool.shutdown(cancel_futures=True)


def _draw_sequence(images_root, labels_root, sequence):
    """Write the pictures and the label of one sequence that are still missing."""
    person = _person(sequence.seed, sequence.subject)
    code = EMOTIONS.index(sequence.emotion) + 1
    rng = np.random.default_rng([sequence.seed, sequence.subject, code])
    low, high = sequence.frames
    count = int(rng.integers(low, high + 1))
    peak = draw_peak(sequence.emotion, person, rng)
    ramp = intensities(count, rng)
    portrait = Portrait(person, draw_sitting(rng))

    images = os.path.join(images_root, sequence.path)
    labels = os.path.join(labels_root, sequence.path)
    make_folder(images)
    make_folder(labels)
    for number, intensity in enumerate(ramp, 1):
        path = os.path.join(images, f"{sequence.name}_{number:08d}.png")
        if not os.path.exists(path):
            write_bytes(path, _png(portrait.frame(intensity * peak, number)))
    write_text(os.path.join(labels, f"{sequence.name}_{count:08d}_emotion.txt"),
               f"   {code:.7e}\n")


def _png(picture):
    cv2 = load_cv2()

    # Sensor noise never repeats, so searching for repetitions is lost time.
    _, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_STRATEGY,
                                             cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY])
    return data.tobytes()
