"""Open a window: minifer gui [PHOTO] [--models FILE...]

It finds the faces on a photo, and shows side by side what several models say of each:
a bar for each expression, 0 to 100 %. Any saved models will do, also of different
classes and sizes; `minifer train` makes some. Where a convolutional network looked
can be shown as a heat map, and picture and table can be saved. All of it works by
keyboard: Ctrl+O opens a photo, Ctrl+M adds models, Ctrl+S and Ctrl+E save.

  minifer gui photo.jpg --models runs/ck/model.npz runs/mlp.npz
"""

import sys

from ..device.arrays import DEVICES, resolve
from ..errors import BackendUnavailable
from ..gui import Window, make_root
from .box import named


def arguments(parser):
    """Its options."""
    parser.add_argument("photo", nargs="?", default="", metavar="PHOTO",
                        help="photo to open at once; it stands before --models")
    parser.add_argument("--models", nargs="+", action="extend", metavar="FILE",
                        help="model files, as training writes them; default: the model "
                             "that comes with minifer")
    parser.add_argument("--device", choices=DEVICES, default="cpu",
                        help="where to compute: cuda is an NVIDIA GPU")
    parser.add_argument("--tta", action="store_true",
                        help="test-time augmentation: judge each face by the mean of "
                             "ten views of it")
    parser.add_argument("--scale", type=float, default=1.0,
                        help="letters so many times as large as usual on this screen")


def main(args):
    """Run the window until it is closed."""
    resolve(args.device)
    try:
        root = make_root(args.scale)
    except BackendUnavailable as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    window = Window(root, args.models or [named(None)], args.photo, args.device,
                    args.tta)
    try:
        root.mainloop()
    finally:
        window.worker.close()  # at Ctrl-C, too
    return None
