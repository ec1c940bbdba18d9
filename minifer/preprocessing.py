"""From a photo to what a network eats, the same in training and prediction.

>>> import numpy as np
>>> steps = Preprocessing()
>>> steps(np.full((2, 1, 96, 96), 255, np.uint8)).max()
np.float32(1.0)
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

    Calling it scales crops: uint8 (N, 1, S, S), 0…255, to float32, 0…1.

    Parameters
    ----------
    crop : CropSettings
    scale : float, default 1/255
        Pixels are multiplied by this.
    """

    crop: CropSettings = CropSettings()
    scale: float = 1 / 255

    def __call__(self, crops):
        return np.multiply(crops, self.scale, dtype=np.float32)

    def to_dict(self):
        """As plain data, for the model file."""
        return {"crop": self.crop.to_dict(), "scale": self.scale}

    @classmethod
    def from_dict(cls, values):
        """Back from :meth:`to_dict`.

        Raises
        ------
        WeightsError
            If the model file says nothing of it, so that it cannot predict.
        """
        try:
            return cls(CropSettings.from_dict(values["crop"]), float(values["scale"]))
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(
                f"model: expected its preprocessing (crop, scale), got {values!r}. "
                "Save models with Preprocessing().to_dict().") from error
