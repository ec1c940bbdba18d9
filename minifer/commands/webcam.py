"""Judge the faces before a camera, live: minifer webcam [options].

A window shows what the camera sees, with a box around each face and a bar for the
saturation of each expression, smoothed over --smooth seconds. Esc or q ends it, and
so does closing the window.

Ask those who can be seen. The bars say what faces look like to a network, not what
people feel.

Exit code 1 if there is no camera or no window.
"""

import contextlib
import sys

from ..device.arrays import DEVICES, resolve
from ..errors import BackendUnavailable, VideoError
from ..files import check_target
from ..predict.predictor import Predictor
from ..predict.recording import at_rate, write_video
from ..predict.tracking import Tracker
from ..predict.webcam import Camera, check_camera, live, open_window
from .box import MODEL, foreign_options, named, of_keras


def arguments(parser):
    """Add the options."""
    add = parser.add_argument
    add("--model", metavar="FILE", help=MODEL)
    foreign_options(parser)
    add("--camera", type=int, metavar="N", default=0,
        help="which camera: 0 is the first")
    add("--record", metavar="FILE", help="write what the window shows to a "
        ".webm file, which browsers play, or an .mp4 file")
    add("--which", choices=("all", "largest"), default="all",
        help="judge all faces, or the largest")
    add("--smooth", type=float, metavar="SECONDS", default=0.5,
        help="over how long saturations are smoothed; 0: not at all")
    add("--device", choices=DEVICES, default="cpu",
        help="where to compute: cuda is an NVIDIA GPU")


def main(args):
    """Watch until the window is closed; 1 if there is no camera or no window."""
    resolve(args.device)
    check_camera(args.camera)
    Tracker(args.smooth)
    if args.record:
        check_target(args.record)
    predictor = Predictor.load(named(args.model), args.device, **of_keras(args))
    stopped = False
    try:
        camera = Camera(args.camera)
        with contextlib.ExitStack() as stack:
            record = args.record and at_rate(stack.enter_context(
                write_video(args.record, camera.fps)), camera.fps)
            show = stack.enter_context(open_window("minifer webcam: q ends"))
            try:
                if not live(predictor, camera, show, record, args.smooth, args.which):
                    raise VideoError(f"camera {args.camera}: it gave no picture.")
            except KeyboardInterrupt:
                stopped = True  # what was recorded is kept
    except (VideoError, BackendUnavailable) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    if stopped:
        raise KeyboardInterrupt
    return 0
