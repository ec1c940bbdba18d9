"""Faces: photos read, faces found and cropped, the same in training and prediction.

``images.py`` reads files and is the only one that imports OpenCV; ``formats.py`` knows
their names, ``headers.py`` what they say of themselves, ``quiet.py`` keeps decoders off
the terminal. ``cascades.py`` finds faces, ``cropping.py`` and ``cutting.py`` cut them
out as ``settings.py`` says, ``cache.py`` remembers crops, ``preprocessing.py`` makes
crops a network's input.
"""

from typing import TYPE_CHECKING

from .._lazy import door

_HOMES = {
    "CropSettings": "cropping", "find_faces": "cropping", "find_eyes": "cropping",
    "crop": "cropping", "extract": "cropping", "prepare": "cropping",
    "CROP_VERSION": "cropping", "Preprocessing": "preprocessing",
    "ColourPreprocessing": "preprocessing", "CropCache": "cache",
    "cache_folder": "cache", "read_image": "images", "read_colour": "images",
    "decode": "images", "grey_of": "images", "to_grey": "images",
    "write_png": "images", "load_cv2": "images", "is_image": "formats",
    "is_video": "formats", "IMAGE_ENDINGS": "formats", "VIDEO_ENDINGS": "formats",
    "outermost": "boxes", "shared_area": "boxes",
}

if TYPE_CHECKING:  # the same, for those who read and never run
    from .boxes import outermost, shared_area
    from .cache import CropCache, cache_folder
    from .cropping import (CROP_VERSION, CropSettings, crop, extract, find_eyes,
                           find_faces, prepare)
    from .formats import IMAGE_ENDINGS, VIDEO_ENDINGS, is_image, is_video
    from .images import (decode, grey_of, load_cv2, read_colour, read_image, to_grey,
                         write_png)
    from .preprocessing import ColourPreprocessing, Preprocessing

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
