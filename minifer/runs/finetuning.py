"""Fine-tuning: go on training a trained network on photos of one's own."""

import numpy as np

from ..errors import NoFaceError, SettingError, ShapeError
from ..faces.cropping import extract, to_grey
from ..faces.preprocessing import Preprocessing
from ..training.trainer import Trainer

__all__ = ["fine_tune"]


def fine_tune(model, images, classes, epochs=None, learning_rate=0.001,
              batch_size=32, seed=0, folder=None, progress=None, device="cpu"):
    """Train a model further on pictures of one person each.

    Parameters
    ----------
    model : minifer.weights.Model
        Changed in place.
    images : uint8 array (N, K, H, W), or a list of N arrays (K, H, W)
        K is 1 (grey) or 3 (RGB, turned to grey). H and W may be anything, and
        may differ in a list: the face is found and scaled to the network's size.
    classes : int array (N,)
        Number of each picture's expression: 1 is the model's first class (1
        anger, 2 contempt, 3 disgust, 4 fear, 5 happiness, 6 sadness,
        7 surprise).
    epochs : int, optional
        Without it, until the losses of two consecutive epochs differ by no more
        than 0.0001.
    learning_rate, batch_size, seed, folder, progress, device
        As for :class:`minifer.training.Trainer` and its ``fit``.

    Returns
    -------
    result : minifer.training.Result
    no_face : list of int
        Places of the pictures on which no face was found; they were left out.

    Raises
    ------
    ShapeError
        If a picture is not (1 or 3, H, W) or the numbers of pictures and
        classes differ.
    SettingError
        If a class number is not one of the model's.
    NoFaceError
        If no picture shows a face.
    """
    classes = np.asarray(classes)
    if classes.shape != (len(images),):
        raise ShapeError(
            f"fine_tune: expected one class number for each of the {len(images)} "
            f"pictures, got shape {classes.shape}.")
    K = len(model.classes)
    if classes.dtype.kind not in "iu" or (
            len(classes) and not (1 <= classes.min() and classes.max() <= K)):
        raise SettingError(
            f"fine_tune: expected whole class numbers 1..{K}, got "
            f"{sorted(set(classes.tolist()))}. 1 is '{model.classes[0]}'.")
    steps = Preprocessing.from_dict(model.preprocessing)
    found = [extract(to_grey(np.asarray(image)[None])[0, 0], steps.crop,
                     which="largest")[0] for image in images]
    no_face = [i for i, crops in enumerate(found) if not len(crops)]
    seen = [i for i, crops in enumerate(found) if len(crops)]
    if not seen:
        raise NoFaceError(
            f"fine_tune: expected pictures that show a face, got {len(images)} "
            "without one. Use upright faces of at least 24 pixels.")
    crops = np.stack([found[i][:1] for i in seen])  # (n, 1, S, S)
    trainer = Trainer(model.network, learning_rate=learning_rate,
                      batch_size=batch_size, seed=seed, prepare=steps,
                      device=device)
    result = trainer.fit(crops, classes[seen].astype(np.int64) - 1, epochs=epochs,
                         folder=folder, model=model, progress=progress)
    return result, no_face
