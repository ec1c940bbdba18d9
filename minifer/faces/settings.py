"""How a photo becomes a face crop: what training and prediction must agree on."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..errors import SettingError

__all__ = ["CropSettings"]

WORDS = {"mode": ("haar", "whole", "either"), "scaling": ("area", "linear"),
         "edge": ("move", "fill")}


@dataclasses.dataclass(frozen=True)
class CropSettings:
    """How a photo becomes a face crop.

    Parameters
    ----------
    size : int
        Side of the crop in pixels.
    mode : str
        ``"haar"`` finds the face; ``"whole"`` takes the image as the crop it
        already is, resized; ``"either"`` does that with square images of up to
        ``size`` × ``size`` pixels, and finds the face on others.
    scale_factor : float
        The cascade looks at sizes growing by this factor, above 1.
    neighbours : int
        A face counts when so many overlapping windows agree; more means fewer
        false alarms and more missed faces.
    smallest : float
        Smallest face, as a fraction (0 to 1) of the photo's shorter side.
    search_side : int
        Photos whose longer side has more pixels are searched in a copy scaled
        down to this; the crop is cut from the photo itself.
    margin : float
        What is cut out beyond the face that was found, on each of the four sides: so
        many pixels of the photo, or, below 1, this share of the face's longer side.
    scaling : str
        ``"area"`` takes means over areas where the crop is made smaller, so that fine
        lines do not become coarse ones; ``"linear"`` always goes between the four
        nearest pixels. Made larger, crops are the same.
    edge : str
        Where the square would reach over the photo's edge, ``"move"`` moves it inside;
        ``"fill"`` fills it up with the mean grey of the photo's two lowest rows.

    Raises
    ------
    SettingError
        If a value is out of its range.

    Examples
    --------
    >>> CropSettings(size=48).to_dict()["mode"]
    'haar'
    >>> CropSettings.from_dict(CropSettings(size=48).to_dict())
    CropSettings(size=48, mode='haar', scale_factor=1.1, neighbours=5,
                 smallest=0.05, search_side=1000, margin=0, scaling='area', edge='move')
    """

    size: int = 96
    mode: str = "haar"
    scale_factor: float = 1.1
    neighbours: int = 5
    smallest: float = 0.05
    search_side: int = 1000
    margin: float = 0
    scaling: str = "area"
    edge: str = "move"

    def __post_init__(self):
        for name, words in WORDS.items():
            value = getattr(self, name)
            if value not in words:
                what = "faces" if name == "mode" else f"crop setting {name}"
                raise SettingError(
                    f"{what}: expected {', '.join(map(repr, words[:-1]))} or "
                    f"{words[-1]!r}, got {value!r}.")
        for name, kind, low, high in [
                ("size", int, 8, 1024), ("scale_factor", float, 1.01, 2),
                ("neighbours", int, 0, 100), ("smallest", float, 0, 1),
                ("search_side", int, 100, 10000), ("margin", float, 0, 1000)]:
            value = getattr(self, name)
            if (isinstance(value, bool) or not isinstance(value, (int, kind))
                    or not low <= value <= high):
                raise SettingError(
                    f"crop setting {name}: expected {kind.__name__} from {low} "
                    f"to {high}, got {value!r}.")
        if self.margin >= 1 and self.margin != int(self.margin):
            raise SettingError("crop setting margin: expected whole pixels, or a share "
                               f"below 1, got {self.margin!r}.")

    @classmethod
    def of(cls, faces: str | CropSettings, size: int) -> CropSettings:
        """The settings that a reader of data is given.

        Parameters
        ----------
        faces : str or CropSettings
            A mode; or whole settings, as a model file has them.
        size : int
            Side of the crop in pixels, beside a mode.
        """
        return faces if isinstance(faces, CropSettings) else cls(size=size, mode=faces)

    def is_crop(self, grey: np.ndarray) -> bool:
        """Whether an image (H, W) is a face crop already."""
        small = grey.shape[0] == grey.shape[1] <= self.size
        return self.mode == "whole" or (self.mode == "either" and small)

    def pixels_beyond(self, side: int) -> int:
        """The margin in pixels, of a face of so many.

        >>> CropSettings(margin=10).pixels_beyond(64)
        10
        >>> CropSettings(margin=0.25).pixels_beyond(64)
        16
        """
        return round(self.margin * side if self.margin < 1 else self.margin)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a dict that JSON can hold.

        The last three are left out as they usually are, so that versions of minifer
        that do not know them read such files too.
        """
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items()
                if name not in ("margin", "scaling", "edge")
                or value != getattr(CropSettings, name)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CropSettings:
        """Build the settings from :meth:`to_dict`'s dict.

        Raises
        ------
        SettingError
            If a name is unknown, as in a file of a newer minifer.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = set(values) - set(known)
        if unknown:
            raise SettingError(
                f"crop settings: expected only {known}, got also "
                f"{sorted(unknown)}. Use the minifer version that wrote them.")
        return cls(**values)
