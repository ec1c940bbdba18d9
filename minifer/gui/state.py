"""What the window shows: what the user chose, and what is known of it.

A :class:`Choice` is all that was chosen, a :class:`State` all that is known. Both are
never changed, only replaced; so the thread that works and the window that shows can
hold the same ones.
"""

import dataclasses
import os

import numpy as np

from ..faces.images import load_cv2
from ..files import csv_text
from ..report.annotate import annotate_photo

__all__ = ["Choice", "FoundFace", "Verdict", "State", "name_of", "shown", "draw",
           "table"]

#: Exported pictures have at least so many pixels on their longer side, for the labels.
READABLE = 640


@dataclasses.dataclass(frozen=True)
class Choice:
    """All that the user chose.

    Attributes
    ----------
    photo : str
        Path, or ``""`` as long as none is chosen.
    opened : int
        Grows with each photo opened: a file may have changed since the last time.
    models : tuple of str
        Paths of model files.
    chosen : str
        Path of the model whose labels are drawn on the photo.
    heat : bool
        Whether to show where that model looked.
    with_eyes : bool
        Whether to drop faces without eyes.
    """

    photo: str = ""
    opened: int = 0
    models: tuple = ()
    chosen: str = ""
    heat: bool = False
    with_eyes: bool = False


@dataclasses.dataclass(frozen=True)
class FoundFace:
    """One face: its number from 1, its box (x, y, width, height), its eyes."""

    number: int
    box: tuple
    eyes: int


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What one model says.

    Attributes
    ----------
    path : str
    classes : tuple of str
    saturations : tuple of dict of str -> float
        One for each face, in order; empty before the model has looked.
    problem : str
        Why it cannot say anything, else empty.
    """

    path: str
    classes: tuple = ()
    saturations: tuple = ()
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class State:
    """All that is known of the photo.

    Attributes
    ----------
    photo : str
        Path, or ``""``.
    picture : uint8 array (H, W, 3) or None
        The photo itself.
    small : uint8 array (h, w, 3) or None
        The same at a size that suits a screen.
    faces : tuple of FoundFace
    verdicts : tuple of Verdict
        One for each model.
    heat : tuple of array (S, S)
        For each face 0..1, where the chosen model looked; empty without.
    problem : str
        Why the photo or the heat map cannot be shown, else empty.
    """

    photo: str = ""
    picture: np.ndarray | None = None
    small: np.ndarray | None = None
    faces: tuple = ()
    verdicts: tuple = ()
    heat: tuple = ()
    problem: str = ""

    def verdict(self, path):
        """The verdict of a model, or None."""
        return next((one for one in self.verdicts if one.path == path), None)

    def summary(self, choice):
        """One line that says what there is, what is the matter, and what to do."""
        return " ".join(filter(None, [
            self._found(choice), self.problem,
            *(verdict.problem for verdict in self.verdicts)]))

    def _found(self, choice):
        if self.picture is None:  # the problem says why, if there is a photo
            return "" if self.photo else "Open a photo: Ctrl+O."
        height, width = self.picture.shape[:2]
        name = f"{os.path.basename(self.photo)} ({width}×{height})"
        if not self.faces:
            return (f"{name}: no face found. Use a photo that shows one from the "
                    "front, well lit and not too small.")
        faces = shown(self, choice)
        if not faces:
            return (f"{name}: {_count(self.faces, 'face')}, but no eyes found. "
                    "Untick “Only faces with eyes” to see them all.")
        dropped = len(self.faces) - len(faces)
        models = [verdict for verdict in self.verdicts if not verdict.problem]
        return (f"{name}: {_count(faces, 'face')}"
                + (f" ({dropped} without eyes dropped)" if dropped else "")
                + (f", {_count(models, 'model')}." if models else
                   ". Add a model to judge them: Ctrl+M."))


def _count(things, word):
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def name_of(path):
    """What a model is called: its file, or its folder where the file is model.npz.

    >>> name_of("runs/ck/model.npz"), name_of("runs/resnet18.npz")
    ('ck', 'resnet18')
    """
    folder, name = os.path.split(os.path.abspath(path))
    stem = os.path.splitext(name)[0]
    return os.path.basename(folder) or stem if stem == "model" else stem


def shown(state, choice):
    """The faces that are to be seen: all, or those with eyes."""
    return [face for face in state.faces if face.eyes or not choice.with_eyes]


def draw(state, choice, size=None):
    """The photo with numbered boxes, the chosen model's labels, and its heat map.

    Parameters
    ----------
    state : State
        The state of a photo that could be read.
    choice : Choice
    size : (int, int), optional
        Width and height to fit it into; default: the photo's own size, but readable.

    Returns
    -------
    uint8 array (H, W, 3), RGB
    """
    cv2 = load_cv2()
    picture = state.picture if size is None else state.small
    height, width = picture.shape[:2]
    scale = (max(1, -(-READABLE // max(width, height))) if size is None
             else min(size[0] / width, size[1] / height))
    wide, high = max(1, round(scale * width)), max(1, round(scale * height))
    if (wide, high) != (width, height):
        picture = cv2.resize(picture, (wide, high), interpolation=cv2.INTER_AREA
                             if scale < 1 else cv2.INTER_CUBIC)
    faces = shown(state, choice)
    scale = wide / state.picture.shape[1]
    boxes = [[round(scale * value) for value in face.box] for face in faces]
    if choice.heat and state.heat:
        picture = picture.copy()
        for face, box in zip(faces, boxes):
            _lay_over(picture, box, state.heat[face.number - 1])
    return annotate_photo(picture, np.array(boxes, int).reshape(-1, 4),
                          [_label(state, choice, face) for face in faces])


def _label(state, choice, face):
    verdict = state.verdict(choice.chosen)
    if not verdict or not verdict.saturations:
        return str(face.number)
    values = verdict.saturations[face.number - 1]
    best = max(values, key=values.get)
    return f"{face.number}  {best} {values[best]:.0%}"


def _lay_over(picture, box, heat):
    """Colour the box of a face by a heat map: hot where it is 1, as it is where 0."""
    cv2 = load_cv2()
    x, y, width, height = box
    part = picture[y:y + height, x:x + width]
    heat = cv2.resize(heat.astype(np.float32), part.shape[1::-1])
    colours = cv2.applyColorMap(np.uint8(255 * heat), cv2.COLORMAP_INFERNO)[..., ::-1]
    share = .75 * heat[..., None]
    part[:] = (1 - share) * part + share * colours


def table(state, choice):
    """What is shown as CSV: a line for each face, model and class.

    Returns
    -------
    str
        Columns photo, face, left, top, width, height (pixels), eyes, model, class,
        saturation (0…1).
    """
    rows = [["photo", "face", "left", "top", "width", "height", "eyes", "model",
             "class", "saturation"]]
    for face in shown(state, choice):
        for verdict in state.verdicts:
            values = verdict.saturations[face.number - 1] if verdict.saturations else {}
            rows += ([state.photo, face.number, *face.box, face.eyes, verdict.path,
                      name, f"{value:.6f}"] for name, value in values.items())
    return csv_text(rows)
