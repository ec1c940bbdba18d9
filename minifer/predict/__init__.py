"""Prediction: many photos in, expressions out; videos, and the camera.

``predictor.py`` judges photos in batches, ``tracking.py`` follows faces from frame to
frame, ``video.py`` reads and writes films, ``webcam.py`` shows a camera live.
"""

from typing import TYPE_CHECKING

from .._lazy import door

_HOMES = {
    "Face": "predictor", "Photo": "predictor", "Predictor": "predictor",
    "Track": "tracking", "Tracker": "tracking", "overlap": "tracking",
    "VIDEO_ENDINGS": "video", "Frame": "video", "Video": "video",
    "open_capture": "video", "write_video": "video", "follow": "video",
    "Camera": "webcam", "live": "webcam", "at_rate": "webcam", "open_window": "webcam",
}

if TYPE_CHECKING:  # the same, for those who read and never run
    from .predictor import Face, Photo, Predictor
    from .tracking import Track, Tracker, overlap
    from .video import VIDEO_ENDINGS, Frame, Video, follow, open_capture, write_video
    from .webcam import Camera, at_rate, live, open_window

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
