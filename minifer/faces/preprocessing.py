"""From a photo to what a network eats, the same in training and prediction.

>>> import numpy as np
>>> steps = Preprocessing()
>>> steps(np.array([[[[0, 255]]]], np.uint8))
array([[[[-0.5,  0.5]]]], dtype=float32)
>>> Preprocessing.from_dict(steps.to_dict()) == steps
True
"""

from __future__ import annotations

import dataclasses
import functools
import numbers
from typing import Any

import numpy as np

from .._types import Array
from ..device.arrays import device_of, to_device
from ..errors import SettingError, WeightsError, one_line
from .cropping import CropSettings

__all__ = ["Preprocessing", "ColourPreprocessing"]

#: Mean and standard deviation of ImageNet's red, green and blue, of 0…1.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Mean of its blue, green and red, of 0…255: what Keras's ResNets take away.
KERAS_MEAN = (103.939, 116.779, 123.68)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How faces are cropped, and how pixels become numbers.

    Calling it turns crops, uint8 (N, 1, S, S), 0…255, into float32, -½…½.
    Numbers around 0 train much faster than numbers that are all positive, whose
    gradients pull every weight of a filter the same way (LeCun et al. 1998,
    "Efficient BackProp", section 4.3).

    Parameters
    ----------
    crop : CropSettings
    scale : float, default 1/255
        Pixels are multiplied by this.
    shift : float, default -0.5
        Then this is added.
    """

    crop: CropSettings = CropSettings()
    scale: float = 1 / 255
    shift: float = -0.5

    def __call__(self, crops: Array) -> Array:
        x = np.multiply(crops, self.scale, dtype=np.float32)
        x += np.float32(self.shift)
        return x

    @property
    def scaling(self):
        """(scale, shift) where a call does nothing else; None of a class that does."""
        plain = type(self).__call__ is Preprocessing.__call__
        return (self.scale, self.shift) if plain else None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for the model file."""
        return {"crop": self.crop.to_dict(), "scale": self.scale,
                "shift": self.shift}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        """Build this class, or :class:`ColourPreprocessing`, from ``to_dict``'s dict.

        Raises
        ------
        WeightsError
            If the model file says nothing of it, so that it cannot predict.
        """
        try:
            crop, scale, shift = (CropSettings.from_dict(values["crop"]),
                                  values["scale"], values["shift"])
            if "size" in values:
                return ColourPreprocessing(crop, scale, shift, values["size"])
            if not (_is_number(scale) and _is_number(shift)):
                raise ValueError("no finite numbers")
            return Preprocessing(crop, scale, shift)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise WeightsError(
                "model: expected its preprocessing (crop, scale, shift), got "
                f"{one_line(repr(values))}. Save models with "
                "Preprocessing().to_dict().") from error


def _is_number(value):
    """Whether it is a number that a float32 can hold."""
    return (isinstance(value, numbers.Real) and not isinstance(value, bool)
            and abs(value) <= float(np.finfo(np.float32).max))


@dataclasses.dataclass(frozen=True)
class ColourPreprocessing(Preprocessing):
    """Grey crops as a network wants them that was trained on colour photos.

    Calling it turns crops, uint8 (N, 1, S, S), into float32 (N, 3, size, size):
    scaled to another size, three times the same grey, each channel with its own
    scale and shift. Bytes stay small as long as they can: a data set of 48×48 is kept
    as it is.

    Parameters
    ----------
    crop : CropSettings
    scale, shift : 3 floats
        For each channel; pixels are multiplied by ``scale``, then ``shift`` is added.
    size : int, default 224
        Side of the result in pixels.

    Raises
    ------
    SettingError
        If there are not three finite scales and shifts, or ``size`` is not a whole
        number from 1 to 1024.

    Notes
    -----
    Between neighbours it is scaled linearly; a smaller picture takes the mean of what
    falls together, weighted by a triangle, so that fine lines do not become coarse
    ones. Along each axis that is a matrix: Y = R X Rᵀ, the same on all devices.

    Examples
    --------
    >>> steps = ColourPreprocessing.imagenet("torch", size=4)
    >>> black = steps(np.zeros((1, 1, 2, 2), np.uint8))
    >>> black.shape, black[0, :, 0, 0].round(3)
    ((1, 3, 4, 4), array([-2.118, -2.036, -1.804], dtype=float32))
    """

    scale: tuple = (1.0, 1.0, 1.0)  # type: ignore[assignment]
    shift: tuple = (0.0, 0.0, 0.0)  # type: ignore[assignment]
    size: int = 224

    def __post_init__(self):
        for name in ("scale", "shift"):
            values = np.asarray(getattr(self, name))
            if values.shape != (3,) or values.dtype.kind not in "fi" or (
                    not all(map(_is_number, values.tolist()))):
                raise SettingError(
                    f"preprocessing: expected 3 numbers as {name}, one a channel, got "
                    f"{one_line(repr(getattr(self, name)))}.")
            object.__setattr__(self, name, tuple(map(float, values)))
        if type(self.size) is not int or not 1 <= self.size <= 1024:
            raise SettingError("preprocessing: expected a size from 1 to 1024 pixels, "
                               f"got {self.size!r}.")

    @classmethod
    def imagenet(cls, library: str, crop: CropSettings = CropSettings(),
                 size: int = 224) -> ColourPreprocessing:
        """The preprocessing with which weights of ImageNet were trained.

        Parameters
        ----------
        library : {'torch', 'keras'}
            torchvision's: (x / 255 - mean) / deviation. Keras's ResNets ("caffe"):
            x - mean, channels in the order blue, green, red.
        crop : CropSettings
        size : int, default 224
        """
        if library == "torch":
            return cls(crop, tuple(1 / (255 * d) for d in DEVIATION),
                       tuple(-m / d for m, d in zip(MEAN, DEVIATION)), size)
        if library == "keras":
            return cls(crop, (1.0, 1.0, 1.0), tuple(-m for m in KERAS_MEAN), size)
        raise SettingError(f"preprocessing: expected the weights of 'torch' or "
                           f"'keras', got {library!r}.")

    def __call__(self, crops: Array) -> Array:
        R = resampling(crops.shape[-1], self.size, device_of(crops))
        grey = np.matmul(np.matmul(R, crops.astype(np.float32)), R.T)
        x = np.empty_like(grey, shape=(len(grey), 3, *grey.shape[2:]))
        for channel, (scale, shift) in enumerate(zip(self.scale, self.shift)):
            x[:, channel] = grey[:, 0] * np.float32(scale) + np.float32(shift)
        return x

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for the model file."""
        return super().to_dict() | {"size": self.size}


@functools.lru_cache(maxsize=8)
def resampling(S, size, device):
    """The matrix (size, S) that scales S pixels to ``size``, each row of sum 1."""
    step = S / size
    centres = (np.arange(size) + 0.5) * step - 0.5
    distances = np.abs(centres[:, None] - np.arange(S)) / max(1.0, step)
    R = np.maximum(0, 1 - distances)
    return to_device((R / R.sum(axis=1, keepdims=True)).astype(np.float32), device)
