"""Prediction: many photos in, expressions out; videos, and the camera.

``predictor.py`` judges photos in batches, ``tracking.py`` follows faces from frame to
frame, ``video.py`` reads films, ``containers.py`` tells whether one was cut,
``recording.py`` writes them, ``webcam.py`` shows a camera live.
"""

from typing import TYPE_CHECKING

from .._lazy import door

_HOMES = {
    "Face": "predictor", "Photo": "predictor", "Predictor": "predictor",
    "Track": "tracking", "Tracker": "tracking", "overlap": "tracking",
    "Frame": "video", "Video": "video", "open_capture": "video", "follow": "video",
    "write_video": "recording", "at_rate": "recording",
    "Camera": "webcam", "live": "webcam", "open_window": "webcam",
}

if TYPE_CHECKING:  # the same, for those who read and never run
    from .predictor import Face, Photo, Predictor
    from .recording import at_rate, write_video
    from .tracking import Track, Tracker, overlap
    from .video import Frame, Video, follow, open_capture
    from .webcam import Camera, live, open_window

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
