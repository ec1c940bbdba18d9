"""The work behind the window: a choice in, states out, each knowing a little more."""

import dataclasses
import os

import numpy as np

from ..errors import MiniferError
from ..evaluation.explain import grad_cam
from ..faces import images
from ..faces.cropping import CropSettings, crop, find_eyes, find_faces
from ..predict.predictor import Predictor
from .state import Verdict, FoundFace, State, name_of

__all__ = ["Analysis"]

#: Longer side in pixels of the copy that is shown on the screen.
SCREEN = 2000


class Analysis:
    """A reader of photos and models that remembers the last ones.

    Parameters
    ----------
    device : str, default 'cpu'
        Where the networks run.
    tta : bool, default False
        Test-time augmentation: see :class:`minifer.predict.Predictor`.
    """

    def __init__(self, device="cpu", tta=False):
        self.device, self.tta = device, tta
        self._predictors = {}  # path -> Predictor
        self._key = None       # the photo at hand: path, number, how it was searched
        self._grey = None
        self._state = None     # it and its faces, without models
        self._columns = {}     # path -> what that model says of them

    def fulfil(self, choice):
        """Work on a choice, step by step.

        Parameters
        ----------
        choice : Choice

        Yields
        ------
        str or State
            What is going to be done next, or what is known now; the last one is the
            state with all of it, also with what is the matter with photo or models.
        """
        verdicts = []
        for path in choice.models:
            if path not in self._predictors:
                yield f"Loading {name_of(path)} …"
            verdicts.append(self._load(path))
        state = State(verdicts=tuple(verdicts))
        if choice.photo:
            yield f"Looking for faces on {os.path.basename(choice.photo)} …"
            state = dataclasses.replace(self._look(choice), verdicts=tuple(verdicts))
        yield state
        for at, verdict in enumerate(verdicts):
            if state.faces and not verdict.problem:
                yield f"{name_of(verdict.path)} is looking at the faces …"
                verdicts[at] = self._judge(verdict, state)
                state = dataclasses.replace(state, verdicts=tuple(verdicts))
                yield state
        chosen = state.verdict(choice.chosen)
        if choice.heat and chosen and chosen.saturations:
            yield f"Finding out where {name_of(choice.chosen)} looked …"
            yield self._explain(chosen, state)

    def _load(self, path):
        try:
            if path not in self._predictors:
                self._predictors[path] = Predictor.load(
                    path, self.device, self.tta)
        except MiniferError as error:
            return Verdict(path, problem=str(error))
        return Verdict(path, tuple(self._predictors[path].model.classes))

    def _look(self, choice):
        """The photo with its faces: the same for all models."""
        settings = self._search(choice.models)
        key = choice.photo, choice.opened, settings
        if key != self._key:
            self._key = self._grey = self._state = None
            self._columns = {}
            try:
                self._state = self._read(choice.photo, settings)
            except MiniferError as error:
                self._state = State(choice.photo, problem=str(error))
            self._key = key
        return self._state

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
        picture = images.decode(data, path, colour=True)
        self._grey = images.grey_of(picture)
        faces = tuple(
            FoundFace(number, tuple(int(value) for value in box),
                  len(find_eyes(self._grey, box)))
            for number, box in enumerate(find_faces(self._grey, settings, "all"), 1))
        return State(path, picture, _for_the_screen(picture), faces)

    def _crops(self, predictor, state):
        """The faces (K, 1, S, S) as the model's network wants them."""
        settings = predictor.preprocessing.crop
        return np.stack([crop(self._grey, face.box, settings.size, settings)
                         for face in state.faces])[:, None]

    def _judge(self, verdict, state):
        path = verdict.path
        if path not in self._columns:
            predictor = self._predictors[path]
            try:
                said = predictor.saturations(self._crops(predictor, state))
                verdict = dataclasses.replace(verdict, saturations=tuple(said))
            except MiniferError as error:
                verdict = Verdict(path, verdict.classes, problem=f"{path}: {error}")
            self._columns[path] = verdict
        return self._columns[path]

    def _explain(self, verdict, state):
        predictor = self._predictors[verdict.path]
        x = predictor.preprocessing(self._crops(predictor, state))
        classes = [max(range(len(values)), key=list(values.values()).__getitem__)
                   for values in verdict.saturations]
        try:
            heat = grad_cam(predictor.model.network, x, classes)
        except MiniferError as error:
            return dataclasses.replace(
                state, problem=f"{name_of(verdict.path)} has no heat map: {error}")
        return dataclasses.replace(state, heat=tuple(heat))


def _for_the_screen(picture):
    cv2 = images.load_cv2()
    shrink = SCREEN / max(picture.shape[:2])
    return picture if shrink >= 1 else cv2.resize(
        picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
