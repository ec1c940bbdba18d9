"""Writing the answers on a photo: a box around each face, a label beside it."""

import itertools
import os
import unicodedata
from collections.abc import Mapping

import numpy as np

from ..errors import ShapeError
from ..faces.boxes import shared_area
from ..faces.images import load_cv2, read_colour, write_png

__all__ = ["annotate_photo", "annotate_faces", "Copies"]

# After Okabe and Ito, lightened for a dark plate; RGB.
COLORS = ((86, 180, 233), (230, 159, 0), (0, 200, 150), (240, 228, 66),
          (230, 140, 190), (240, 120, 50))
WHITE, LIGHT, PLATE = (255, 255, 255), (200, 200, 200), (20, 20, 20)
# Lengths in units of the text's height.
LINE, MARGIN, BAR, PERCENT = 1.75, .6, 4., 3.3


def annotate_photo(photo, boxes, texts):
    """Draw boxes and labels on a copy of a photo.

    A label is a dark plate edged in the colour of its box. It lies where it
    hides least of the faces and the other labels, and never outside the
    picture. Text grows with the photo; on one of less than 200 pixels it is
    too small to read, so enlarge a tiny photo (and its boxes) first.

    Parameters
    ----------
    photo : array of uint8, shape (H, W) or (H, W, 3) in RGB
    boxes : array of int, shape (K, 4)
        Left, top, width and height of each face, in pixels.
    texts : list of K str or mappings
        A text, lines separated by newlines; or the saturations of a face,
        class name → fraction 0..1, drawn as bars in the order given. Letters
        outside ASCII lose their accents or become question marks.

    Returns
    -------
    array of uint8, shape (H, W, 3), RGB

    Raises
    ------
    ShapeError
        If the photo is not uint8 of such a shape, or boxes and texts do not
        belong together.

    Examples
    --------
    >>> photo = np.zeros((120, 160), np.uint8)
    >>> annotate_photo(photo, [(40, 30, 60, 60)], ["happiness 87 %"]).shape
    (120, 160, 3)
    """
    cv2 = load_cv2()
    canvas, boxes = _check(np.asarray(photo), np.asarray(boxes), len(texts))
    size = .033 * np.sqrt(canvas.shape[0] * canvas.shape[1])
    line = max(1, round(size / 7))
    colors = [COLORS[k % len(COLORS)] for k in range(len(boxes))]
    for (x, y, w, h), color in zip(boxes, colors):
        corners = (x, y), (x + w - 1, y + h - 1)
        cv2.rectangle(canvas, *corners, PLATE, line + 2, cv2.LINE_AA)
        cv2.rectangle(canvas, *corners, color, line, cv2.LINE_AA)
    taken = list(boxes)
    for box, text, color in zip(boxes, texts, colors):
        rows = _rows(text)
        fitting, width, height = _fit(rows, size, canvas.shape)
        taken.append(_place(box, width, height, canvas.shape, taken))
        _draw_label(canvas, taken[-1], rows, fitting, color)
    return canvas


def annotate_faces(photo, faces, bars=False):
    """Draw what was judged on a copy of a photo or frame.

    Parameters
    ----------
    photo : array of uint8, shape (H, W) or (H, W, 3) in RGB
    faces : sequence of minifer.predict.Face
    bars : bool, default False
        Show all saturations as bars, instead of the face's caption.

    Returns
    -------
    array of uint8, shape (H, W, 3), RGB
    """
    texts = [face.saturations if bars else face.caption for face in faces]
    return annotate_photo(photo, [face.box for face in faces], texts)


class Copies:
    """Annotated copies in a folder, none written over another of the same run.

    Parameters
    ----------
    folder : str
    """

    def __init__(self, folder):
        self.folder, self.used = folder, set()

    def name(self, source, ending):
        """``FOLDER/NAME_faces.ending`` for a file, ``NAME_2_faces`` for a second NAME.

        Parameters
        ----------
        source : str
            Path of the file that is copied.
        ending : str
            Ending of the name, such as ``'.png'``.
        """
        stem = os.path.splitext(os.path.basename(source))[0]
        numbers = itertools.chain([""], (f"_{k}" for k in itertools.count(2)))
        name = next(name for name in (f"{stem}{number}_faces{ending}"
                                      for number in numbers) if name not in self.used)
        self.used.add(name)
        return os.path.join(self.folder, name)

    def write(self, photo):
        """Read a judged :class:`~minifer.predict.Photo` again and write its copy.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        write_png(self.name(photo.name, ".png"),
                  annotate_faces(read_colour(photo.name), photo.faces))


def _check(photo, boxes, k):
    """Return a colour copy of the photo and the boxes as lists of int."""
    grey, rgb = photo.ndim == 2, photo.ndim == 3 and photo.shape[2] == 3
    if photo.dtype != np.uint8 or not (grey or rgb) or not photo.size:
        raise ShapeError(
            "photo: expected uint8 of shape (H, W) or (H, W, 3), got "
            f"{photo.dtype} {photo.shape}. Scale it to 0..255 and drop alpha.")
    if boxes.shape != (k, 4) and (boxes.size or k):
        raise ShapeError(f"boxes: expected ({k}, 4) for {k} texts, got "
                         f"{boxes.shape}. Give one text for each face.")
    canvas = np.stack([photo] * 3, axis=2) if grey else np.array(photo, order="C")
    return canvas, boxes.astype(int).tolist()


def _rows(text):
    """Lines as (text, saturation or None)."""
    if isinstance(text, Mapping) and text:
        return [(_ascii(name), float(value)) for name, value in text.items()]
    return [(_ascii(line), None) for line in (text or " ").splitlines()]


def _ascii(text):
    # OpenCV's stroke fonts hold ASCII only.
    plain = [letter for letter in unicodedata.normalize("NFKD", str(text))
             if not unicodedata.combining(letter)]
    return "".join(plain).encode("ascii", "replace").decode()


def _font(size):
    """OpenCV's font, scale and stroke for capitals ``size`` pixels high."""
    cv2 = load_cv2()
    return cv2.FONT_HERSHEY_DUPLEX, size / 22, max(1, round(size / 14))


def _text_width(rows, size):
    cv2 = load_cv2()
    return max(cv2.getTextSize(text, *_font(size))[0][0] for text, _ in rows)


def _fit(rows, size, shape):
    """Largest text height up to ``size`` whose label fits, and label's size."""
    bars = 0
    if rows[0][1] is not None:
        bars = BAR + PERCENT + MARGIN
        size = max(.66 * size, min(size, 9))  # many rows: smaller, still legible
    while True:
        width = int(_text_width(rows, size) + (bars + 2.5 * MARGIN) * size)
        height = int((len(rows) * LINE + MARGIN) * size)
        if width <= shape[1] and height <= shape[0]:
            return size, width, height
        size *= .95  # ends: the label of no size fits everywhere


def _place(box, width, height, shape, taken):
    """Where beside its box a label covers least of what is ``taken``."""
    x, y, w, h = box
    right, bottom = shape[1], shape[0]
    beside = [(x, y - height), (x, y + h), (x + w, y), (x - width, y),
              (x + w - width, y - height), (x + w - width, y + h),
              (0, 0), (right, 0), (0, bottom), (right, bottom)]
    places = [(min(max(left, 0), right - width), min(max(top, 0), bottom - height),
               width, height)
              for left, top in beside]
    return min(places, key=lambda place: sum(shared_area(place, other)
                                             for other in taken))


def _write(canvas, text, left, baseline, size, ink):
    cv2 = load_cv2()
    font, scale, stroke = _font(size)
    cv2.putText(canvas, text, (int(left), int(baseline)), font, scale, ink, stroke,
                cv2.LINE_AA)


def _draw_label(canvas, place, rows, size, color):
    x, y, width, height = place
    plate = canvas[y:y + height, x:x + width]
    plate[:] = (.2 * plate + .8 * np.array(PLATE)).astype(np.uint8)
    plate[:, :max(1, round(.25 * size))] = color
    left = x + 1.5 * MARGIN * size
    bar_left = left + _text_width(rows, size) + MARGIN * size
    best = max(rows, key=lambda row: row[1] or 0)
    for i, row in enumerate(rows):
        text, value = row
        ink = WHITE if row is best or value is None else LIGHT
        baseline = y + (MARGIN + i * LINE + 1) * size
        _write(canvas, text, left, baseline, size, ink)
        if value is not None:
            top, bottom = int(baseline - .85 * size), int(baseline)
            end = bar_left + BAR * size * min(max(value, 0), 1)
            canvas[top:bottom, int(bar_left):int(end) + 1] = (
                color if row is best else LIGHT)
            _write(canvas, f"{value:.0%}", end + .4 * size, baseline, size, ink)
