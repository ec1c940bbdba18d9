"""From a photo to what a network eats, the same in training and prediction.

>>> import numpy as np
>>> steps = Preprocessing()
>>> steps(np.array([[[[0, 255]]]], np.uint8))
array([[[[-0.5,  0.5]]]], dtype=float32)
>>> Preprocessing.from_dict(steps.to_dict()) == steps
True
"""

import dataclasses

import numpy as np

from .errors import WeightsError
from .faces import CropSettings

__all__ = ["Preprocessing"]


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

    def __call__(self, crops):
        x = np.multiply(crops, self.scale, dtype=np.float32)
        x += np.float32(self.shift)
        return x

    def to_dict(self):
        """As plain data, for the model file."""
        return {"crop": self.crop.to_dict(), "scale": self.scale,
                "shift": self.shift}

    @classmethod
    def from_dict(cls, values):
        """Back from :meth:`to_dict`.

        Raises
        ------
        WeightsError
            If the model file says nothing of it, so that it cannot predict.
        """
        try:
            return cls(CropSettings.from_dict(values["crop"]),
                       float(values["scale"]), float(values["shift"]))
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(
                "model: expected its preprocessing (crop, scale, shift), got "
                f"{values!r}. Save models with Preprocessing().to_dict().") from error
