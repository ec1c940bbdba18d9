"""Photo in, expressions out.

A :class:`Predictor` is made from a model file alone: architecture, crop
settings and class names are in it.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import layers
from .._types import FilePath
from ..compiled.functions import function
from ..device.arrays import to_host
from ..device.prefetch import prefetch
from ..device.threads import default_threads
from ..errors import ImageError, SettingError, ShapeError
from ..faces.cropping import extract
from ..faces.images import read_image
from ..faces.preprocessing import Preprocessing
from ..faces.views import mean_of_views
from ..files import naming
from ..weights.model_file import Model
from .opening import open_model

__all__ = ["Face", "Photo", "Predictor"]

#: Pictures looked at, and at most so many faces judged, together.
BATCH = 16


@dataclasses.dataclass(frozen=True)
class Face:
    """One face on a photo.

    Attributes
    ----------
    box : (int, int, int, int)
        Left, top, width and height in pixels of the photo.
    saturations : dict of str -> float
        How strongly each expression shows: 0…1, sum 1.
    """

    box: tuple
    saturations: dict

    @property
    def label(self) -> str:
        """The expression that shows most."""
        return max(self.saturations, key=self.saturations.get)  # type: ignore

    @property
    def caption(self) -> str:
        """What is written beside it on a picture: ``'happiness 87 %'``."""
        return f"{self.label} {100 * self.saturations[self.label]:.0f} %"

    def __str__(self):
        values = "  ".join(f"{name} {p:.2f}" for name, p in self.saturations.items())
        return f"{values}  -> {self.label}"


@dataclasses.dataclass(frozen=True)
class Photo:
    """What was found on one photo.

    Attributes
    ----------
    name : str
        Its path.
    status : str
        ``"ok"``, ``"no face"``, or ``"unreadable"``.
    faces : tuple of Face
    error : str
        Why it is unreadable, else empty.
    """

    name: str
    status: str
    faces: tuple = ()
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        result = {"photo": self.name, "status": self.status, "faces": [
            {"box": [int(n) for n in face.box], "saturations": face.saturations,
             "label": face.label} for face in self.faces]}
        return result | {"error": self.error} if self.error else result

    def lines(self) -> list[str]:
        """What to print: a line for each face, or one that says why there is none."""
        if self.status != "ok":
            return [f"{self.name}: {self.error or self.status}"]
        return [f"{self.name}: face at {face.box}: {face}" for face in self.faces]


class Predictor:
    """A trained network at work.

    Parameters
    ----------
    model : minifer.weights.Model
    device : {'cpu', 'cuda', 'emu', 'auto'}, default 'cpu'
        Where the network runs; its parameters are moved there.
    tta : bool, default False
        Judge each face by ten views of it, mirrored and moved a little, and say the
        mean: right more often, and ten times the work (:mod:`minifer.faces.views`).

    Notes
    -----
    Equal calls give equal bits. Equal *faces* need not: one that is judged alone, in a
    larger batch, or at another place in it may differ in the last digits of a float32
    (about 1e-6 of its value), since matrix products of other sizes add up in another
    order. Compare saturations with a tolerance.

    Examples
    --------
    >>> import numpy as np
    >>> from minifer import models
    >>> from minifer.weights import Model
    >>> model = Model(models.ck96(), tuple("abcdefg"), Preprocessing().to_dict())
    >>> face, = Predictor(model).saturations(np.zeros((1, 1, 96, 96), np.uint8))
    >>> round(sum(face.values()), 6)
    1.0
    """

    def __init__(self, model: Model, device: str = "cpu", tta: bool = False):
        self.model, self.tta = model, tta
        self.device = layers.move_to(model.network, device)
        self.preprocessing = Preprocessing.from_dict(model.preprocessing)
        source = next(one for one in layers.get_all_layers(model.network)
                      if isinstance(one, layers.InputLayer))
        saturations = layers.get_output(model.network, deterministic=True)
        self._compute = function([source.input_var], saturations)

    @classmethod
    def load(cls, path: FilePath, device: str = "cpu", tta: bool = False,
             classes: Sequence[str] | None = None,
             pixels: Sequence[float] | None = None) -> Predictor:
        """A predictor from a model file. Raises WeightsError if it is not one.

        ``classes`` and ``pixels`` are for models of Keras:
        see :func:`minifer.predict.opening.open_model`.
        """
        model = open_model(path, classes, pixels)
        with naming(path):
            Preprocessing.from_dict(model.preprocessing)
        return cls(model, device, tta)

    def saturations(self, crops: np.ndarray) -> list[dict[str, float]]:
        """Judge face crops.

        Parameters
        ----------
        crops : uint8 array (N, 1, S, S)

        Returns
        -------
        list of dict of str -> float
        """
        if crops.ndim != 4 or crops.shape[1] != 1:
            raise ShapeError(
                f"predict: expected crops (N, 1, S, S), got {crops.shape}.")
        judge = (functools.partial(mean_of_views, self._judged) if self.tta
                 else self._judged)
        p = [row for start in range(0, len(crops), BATCH)
             for row in judge(crops[start:start + BATCH]).tolist()]
        return [dict(zip(self.model.classes, row)) for row in p]

    def _judged(self, crops):
        return to_host(self._compute(self.preprocessing(crops)))

    def photo(self, path: FilePath, which: str = "all") -> Photo:
        """Find and judge the faces on one photo.

        Parameters
        ----------
        path : str
        which : {'all', 'largest'}

        Returns
        -------
        Photo
            Nothing is raised for a photo that cannot be read: its status says so.
        """
        photo, = self.photos([path], which, threads=0)
        return photo

    def photos(self, paths: Iterable[FilePath], which: str = "all",
               batch_size: int = BATCH, threads: int | None = None) -> Iterator[Photo]:
        """Find and judge the faces on any number of photos.

        Threads read ahead and find faces; the faces of several photos are judged in
        one batch. A few photos are in memory at a time, however many there are.

        Parameters
        ----------
        paths : iterable of str
        which, batch_size, threads
            As for :meth:`faces`.

        Yields
        ------
        Photo
            One for each path, in order. Nothing is raised for a photo that cannot be
            read: its status says so.
        """
        for path, faces in self.faces(paths, read_image, which, batch_size, threads):
            if isinstance(faces, ImageError):
                yield Photo(str(path), "unreadable", error=str(faces))
            else:
                yield Photo(str(path), "ok" if faces else "no face", faces)

    def faces(self, items: Iterable[Any], read: Callable[[Any], np.ndarray],
              which: str = "all", batch_size: int = BATCH,
              threads: int | None = None) -> Iterator[tuple[Any, Any]]:
        """Find and judge the faces on pictures from anywhere: files, frames, a camera.

        Parameters
        ----------
        items : iterable
            One for each picture; read ``batch_size`` and two a thread ahead.
        read : function
            ``read(item)`` returns grey values, uint8 (H, W); called on the threads.
        which : {'all', 'largest'}
        batch_size : int >= 1
            Pictures whose faces are judged together.
        threads : int >= 0, optional
            For reading and finding faces. With 0 there are none and nothing is read
            ahead. Default: one a core.

        Yields
        ------
        item : object
        faces : tuple of Face, or ImageError
            The largest face first; the error where ``read`` raised one.

        Raises
        ------
        SettingError
            If a setting is out of range.
        """
        threads = default_threads() if threads is None else threads
        for name, value, least in [("batch_size", batch_size, 1),
                                   ("threads", threads, 0)]:
            if type(value) is not int or value < least:
                raise SettingError(f"predict: expected a whole number >= {least} as "
                                   f"{name}, got {value!r}.")

        def look(item):
            try:
                return item, extract(read(item), self.preprocessing.crop, which)
            except ImageError as error:
                return item, error

        looks = prefetch(look, items, threads, batch_size + 2 * threads)
        while batch := list(itertools.islice(looks, batch_size)):
            yield from self._judge(batch)

    def _judge(self, batch):
        """Yield each item with its Faces, from a list of (item, crops and boxes)."""
        crops = [found[0] for _, found in batch if not isinstance(found, ImageError)]
        crops = np.concatenate(crops)[:, None] if crops else ()
        judged = iter(self.saturations(crops) if len(crops) else ())
        for item, found in batch:
            if isinstance(found, ImageError):
                yield item, found
            else:
                yield item, tuple(Face(tuple(box), next(judged))
                                  for box in found[1].tolist())
