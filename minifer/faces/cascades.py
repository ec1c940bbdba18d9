"""OpenCV's cascades of Haar features, which find faces and eyes.

P. Viola, M. Jones (2001): Rapid object detection using a boosted cascade of
simple features. CVPR.
"""

import os
import threading

from ..errors import BackendUnavailable
from ..files import utf8_path
from . import images

__all__ = ["FACE", "EYE", "load"]

FACE = "haarcascade_frontalface_default.xml"
EYE = "haarcascade_eye.xml"

_thread = threading.local()


def load(name):
    """Return this thread's own cascade: one may not serve two threads at once.

    Parameters
    ----------
    name : str
        File in OpenCV's folder of cascades: :data:`FACE` or :data:`EYE`.

    Returns
    -------
    cv2.CascadeClassifier

    Raises
    ------
    BackendUnavailable
        If OpenCV or the file is missing.
    """
    loaded = vars(_thread)
    if name not in loaded:
        loaded[name] = _read(images.load_cv2(), name)
    return loaded[name]


def _read(cv2, name):
    folder = getattr(getattr(cv2, "data", None), "haarcascades", "")
    path = os.path.join(folder, name)
    missing = None
    if not hasattr(cv2, "CascadeClassifier"):
        missing = "has no CascadeClassifier"
    elif not os.path.isfile(path):
        missing = f"comes without {name}"
    if missing:
        raise BackendUnavailable(
            f"Finding faces needs OpenCV 4, but the installed OpenCV "
            f"{cv2.__version__} {missing}. Install it: {images.REMEDY_CV2}")
    with utf8_path(path) as name:
        return cv2.CascadeClassifier(name)
