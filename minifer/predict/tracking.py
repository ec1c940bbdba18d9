"""Faces followed from frame to frame, their saturations smoothed over time.

Single frames tremble: a blink or a blurred frame changes what a network sees. What
was seen a moment ago says much about now, if it is the same face.

>>> from minifer.predict import Face
>>> tracker = Tracker(smooth=1.0)
>>> first, = tracker.update([Face((10, 10, 50, 50), {"calm": 1.0, "glad": 0.0})], 0.0)
>>> second, = tracker.update([Face((12, 9, 50, 50), {"calm": 0.0, "glad": 1.0})], 0.5)
>>> first.number, second.number, round(second.saturations["glad"], 3)
(1, 1, 0.393)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from ..errors import SettingError
from ..faces.boxes import shared_area
from .predictor import Face

__all__ = ["Track", "Tracker", "overlap"]


@dataclasses.dataclass(frozen=True)
class Track(Face):
    """A face on one frame that is known from frames before.

    Attributes
    ----------
    box : (int, int, int, int)
        Where it is now: left, top, width and height in pixels.
    saturations : dict of str -> float
        Smoothed: 0…1, sum 1.
    number : int
        1 for the first face that was seen, 2 for the next, …
    """

    number: int = 0

    @property
    def caption(self):
        """The caption with the number that tables use: ``'2: happiness 87 %'``."""
        return f"{self.number}: {super().caption}"


class Tracker:
    r"""Follow faces by the overlap of their boxes, and smooth what they show.

    From frame to frame, the face and the box whose overlap is largest belong
    together, then the next largest among the others, and so on. A face that was not
    seen for ``patience`` seconds is a new one when it comes back.

    Saturations are an exponential moving average. When a face shows :math:`x` a time
    :math:`\Delta t` after it was seen last, its average :math:`s` becomes

    .. math:: s \leftarrow s + (1 - e^{-\Delta t / \tau})\,(x - s)

    which does not depend on the frame rate: after τ seconds of something new, 63 % of
    the way is gone.

    Parameters
    ----------
    smooth : float, default 0.5
        τ in seconds; 0 leaves saturations as they are.
    least : float, default 0.3
        Smallest overlap of a face's boxes on two frames, 0…1.
    patience : float, default 1.0
        Seconds unseen after which a face counts as new.

    Raises
    ------
    SettingError
        If a setting is out of range.
    """

    def __init__(self, smooth: float = 0.5, least: float = 0.3, patience: float = 1.0):
        for name, value, most in [("smooth", smooth, math.inf), ("least", least, 1),
                                  ("patience", patience, math.inf)]:
            if not 0 <= value <= most or math.isinf(value):
                raise SettingError(f"tracker: expected {name} from 0 to "
                                   f"{most}, got {value!r}.")
        self.smooth, self.least, self.patience = smooth, least, patience
        self._last: dict = {}  # number -> (Track, when it was seen)
        self._count = 0

    def update(self, faces: Sequence[Face], seconds: float) -> tuple[Track, ...]:
        """Take the faces of the next frame.

        Parameters
        ----------
        faces : sequence of Face
        seconds : float
            When the frame was taken; never falls from call to call.

        Returns
        -------
        tuple of Track
            Tracks in the order of ``faces``.
        """
        self._last = {number: seen for number, seen in self._last.items()
                      if seconds - seen[1] <= self.patience}
        known = self._match(faces)
        tracks = []
        for place, face in enumerate(faces):
            if place in known:
                track = self._smoothed(  # type: ignore[call-arg]
                    face, *self._last[known[place]], seconds)
            else:
                self._count += 1
                track = Track(face.box, face.saturations, self._count)
            tracks.append(track)
        self._last.update((track.number, (track, seconds)) for track in tracks)
        return tuple(tracks)

    def _match(self, faces):
        """Place of a face -> number of the track it goes on with."""
        pairs = [(overlap(track.box, face.box), number, place)
                 for number, (track, _) in self._last.items()
                 for place, face in enumerate(faces)]
        known = {}
        for shared, number, place in sorted(pairs, key=lambda pair: -pair[0]):
            if (shared >= self.least and place not in known
                    and number not in known.values()):
                known[place] = number
        return known

    def _smoothed(self, face, before, seen, now):
        a = 1 - math.exp((seen - now) / self.smooth) if self.smooth else 1
        return Track(face.box, {
            name: (1 - a) * before.saturations[name] + a * value
            for name, value in face.saturations.items()}, before.number)


def overlap(a: Sequence[int], b: Sequence[int]) -> float:
    """Intersection over union of two boxes: 0 apart, 1 equal.

    Parameters
    ----------
    a, b : sequence of 4 int
        x, y, width, height.

    Returns
    -------
    float

    Examples
    --------
    >>> overlap((0, 0, 10, 10), (5, 0, 10, 10))
    0.3333333333333333
    """
    both = shared_area(a, b)
    return both / (a[2] * a[3] + b[2] * b[3] - both)
