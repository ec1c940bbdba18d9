"""Faces: photos read, faces found and cropped, the same in training and prediction.

``images.py`` reads files and is the only one that imports OpenCV, ``cascades.py``
finds faces, ``cropping.py`` cuts them out, ``cache.py`` remembers crops,
``preprocessing.py`` makes crops a network's input.
"""

from typing import TYPE_CHECKING

from .._lazy import door

_HOMES = {
    "CropSettings": "cropping", "find_faces": "cropping", "find_eyes": "cropping",
    "crop": "cropping", "extract": "cropping", "prepare": "cropping",
    "CROP_VERSION": "cropping", "Preprocessing": "preprocessing",
    "ColourPreprocessing": "preprocessing", "CropCache": "cache",
    "cache_folder": "cache", "read_image": "images", "read_colour": "images",
    "decode": "images", "to_grey": "images", "write_png": "images",
    "load_cv2": "images", "outermost": "boxes", "shared_area": "boxes",
}

if TYPE_CHECKING:  # the same, for those who read and never run
    from .boxes import outermost, shared_area
    from .cache import CropCache, cache_folder
    from .cropping import (CROP_VERSION, CropSettings, crop, extract, find_eyes,
                           find_faces, prepare)
    from .images import decode, load_cv2, read_colour, read_image, to_grey, write_png
    from .preprocessing import ColourPreprocessing, Preprocessing

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
