"""The work behind the window: a wish in, sheets out, each knowing a little more."""

import dataclasses
import os

import numpy as np

from ..errors import MiniferError
from ..evaluation.explain import grad_cam
from ..faces import images
from ..faces.cropping import CropSettings, crop, find_eyes, find_faces
from ..predict.predictor import Predictor
from .state import Column, Found, Sheet, name_of

__all__ = ["Judge"]

#: Longer side in pixels of the copy that is shown on the screen.
SCREEN = 2000


class Judge:
    """A reader of photos and models that remembers the last ones.

    Parameters
    ----------
    device : str, default 'cpu'
        Where the networks run.
    """

    def __init__(self, device="cpu"):
        self.device = device
        self._predictors = {}  # path -> Predictor
        self._key = None       # the photo at hand: path, number, how it was searched
        self._grey = None
        self._sheet = None     # it and its faces, without models
        self._columns = {}     # path -> what that model says of them

    def fulfil(self, wish):
        """Work on a wish, step by step.

        Parameters
        ----------
        wish : Wish

        Yields
        ------
        str or Sheet
            What is going to be done next, or what is known now; the last one is the
            sheet with all of it, also with what is the matter with photo or models.
        """
        columns = []
        for path in wish.models:
            if path not in self._predictors:
                yield f"Loading {name_of(path)} …"
            columns.append(self._load(path))
        sheet = Sheet(columns=tuple(columns))
        if wish.photo:
            yield f"Looking for faces on {os.path.basename(wish.photo)} …"
            sheet = dataclasses.replace(self._look(wish), columns=tuple(columns))
        yield sheet
        for at, column in enumerate(columns):
            if sheet.faces and not column.problem:
                yield f"{name_of(column.path)} is looking at the faces …"
                columns[at] = self._judge(column, sheet)
                sheet = dataclasses.replace(sheet, columns=tuple(columns))
                yield sheet
        chosen = sheet.column(wish.chosen)
        if wish.heat and chosen and chosen.saturations:
            yield f"Finding out where {name_of(wish.chosen)} looked …"
            yield self._explain(chosen, sheet)

    def _load(self, path):
        try:
            if path not in self._predictors:
                self._predictors[path] = Predictor.load(path, self.device)
        except MiniferError as error:
            return Column(path, problem=str(error))
        return Column(path, tuple(self._predictors[path].model.classes))

    def _look(self, wish):
        """The photo with its faces: the same for all models."""
        settings = self._search(wish.models)
        key = wish.photo, wish.opened, settings
        if key != self._key:
            self._key = self._grey = self._sheet = None
            self._columns = {}
            try:
                self._sheet = self._read(wish.photo, settings)
            except MiniferError as error:
                self._sheet = Sheet(wish.photo, problem=str(error))
            self._key = key
        return self._sheet

    def _search(self, models):
        """How to find faces: as the first model that had to find any in training."""
        for path in models:
            if path in self._predictors:
                settings = self._predictors[path].preprocessing.crop
                if settings.mode == "haar":
                    return dataclasses.replace(settings, size=CropSettings().size)
        return CropSettings()

    def _read(self, path, settings):
        data = images.read_bytes(path)
        self._grey = images.decode(data, path)
        picture = images.decode(data, path, colour=True)
        faces = tuple(
            Found(number, tuple(int(value) for value in box),
                  len(find_eyes(self._grey, box)))
            for number, box in enumerate(find_faces(self._grey, settings, "all"), 1))
        return Sheet(path, picture, _for_the_screen(picture), faces)

    def _crops(self, predictor, sheet):
        """The faces (K, 1, S, S) as the model's network wants them."""
        size = predictor.preprocessing.crop.size
        return np.stack([crop(self._grey, face.box, size)
                         for face in sheet.faces])[:, None]

    def _judge(self, column, sheet):
        path = column.path
        if path not in self._columns:
            predictor = self._predictors[path]
            try:
                said = predictor.saturations(self._crops(predictor, sheet))
                column = dataclasses.replace(column, saturations=tuple(said))
            except MiniferError as error:
                column = Column(path, column.classes, problem=f"{path}: {error}")
            self._columns[path] = column
        return self._columns[path]

    def _explain(self, column, sheet):
        predictor = self._predictors[column.path]
        x = predictor.preprocessing(self._crops(predictor, sheet))
        classes = [max(range(len(values)), key=list(values.values()).__getitem__)
                   for values in column.saturations]
        try:
            heat = grad_cam(predictor.model.network, x, classes)
        except MiniferError as error:
            return dataclasses.replace(
                sheet, problem=f"{name_of(column.path)} has no heat map: {error}")
        return dataclasses.replace(sheet, heat=tuple(heat))


def _for_the_screen(picture):
    cv2 = images.load_cv2()
    shrink = SCREEN / max(picture.shape[:2])
    return picture if shrink >= 1 else cv2.resize(
        picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
