"""Prediction: many photos in, expressions out; videos, and the camera.

``predictor.py`` judges photos in batches, ``tracking.py`` follows faces from frame to
frame, ``video.py`` reads and writes films, ``webcam.py`` shows a camera live.
"""

from .._lazy import door

_HOMES = {
    "Face": "predictor", "Photo": "predictor", "Predictor": "predictor",
    "Track": "tracking", "Tracker": "tracking", "overlap": "tracking",
    "VIDEO_ENDINGS": "video", "Frame": "video", "Video": "video",
    "open_capture": "video", "write_video": "video", "follow": "video",
    "Camera": "webcam", "live": "webcam", "at_rate": "webcam", "open_window": "webcam",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
