"""Photo in, expressions out.

A :class:`Predictor` is made from a model file alone: architecture, crop
settings and class names stand in it.
"""

import dataclasses

from . import layers
from .data.images import read_image
from .errors import ImageError, ShapeError
from .faces import extract
from .preprocessing import Preprocessing
from .weights import load_model

__all__ = ["Face", "Photo", "Predictor"]


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
    def label(self):
        """The expression that shows most."""
        return max(self.saturations, key=self.saturations.get)


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

    def to_dict(self):
        """As plain data, for JSON."""
        result = {"photo": self.name, "status": self.status, "faces": [
            {"box": [int(n) for n in face.box], "saturations": face.saturations,
             "label": face.label} for face in self.faces]}
        return result | {"error": self.error} if self.error else result


class Predictor:
    """A trained network at work.

    Parameters
    ----------
    model : minifer.weights.Model
    device : {'cpu', 'cuda', 'emu', 'auto'}, default 'cpu'
        Where the network runs; its parameters are moved there.

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

    def __init__(self, model, device="cpu"):
        self.model = model
        self.device = layers.move_to(model.network, device)
        self.preprocessing = Preprocessing.from_dict(model.preprocessing)

    @classmethod
    def load(cls, path, device="cpu"):
        """A predictor from a model file. Raises WeightsError if it is not one."""
        return cls(load_model(path), device)

    def saturations(self, crops):
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
        p = layers.get_output(self.model.network, self.preprocessing(crops),
                              deterministic=True)
        return [dict(zip(self.model.classes, map(float, row))) for row in p]

    def photo(self, path, which="all"):
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
        try:
            grey = read_image(path)
        except ImageError as error:
            return Photo(str(path), "unreadable", error=str(error))
        crops, boxes = extract(grey, self.preprocessing.crop, which)
        if not len(crops):
            return Photo(str(path), "no face")
        found = self.saturations(crops[:, None])
        return Photo(str(path), "ok", tuple(
            Face(tuple(int(n) for n in box), s) for box, s in zip(boxes, found)))
