"""The model of commands that were given none."""

import sys

from ..errors import SettingError
from ..models import PRETRAINED

__all__ = ["MODEL", "foreign_options", "named", "of_keras"]

#: Help of an option --model.
MODEL = ("a model file, as minifer train writes it, or a whole model of Keras (.keras, "
         ".h5, .hdf5); default: the model that comes with minifer (docs/model-card.md)")


def foreign_options(parser):
    """Add the options that say of a model of Keras what its file does not."""
    add = parser.add_argument
    add("--classes", metavar="A,B,...", help="of a model of Keras: the names of its "
        "classes, in order")
    add("--pixels", metavar="BLACK,WHITE", help="of a model of Keras: what black and "
        "white become, such as 0,1; with a minus --pixels=-1,1")


def of_keras(args):
    """What :meth:`minifer.predict.predictor.Predictor.load` takes of these options."""
    found: dict = {}
    if args.classes is not None:
        found["classes"] = [name.strip() for name in args.classes.split(",")]
    if args.pixels is not None:
        try:
            found["pixels"] = black, white = tuple(map(float, args.pixels.split(",")))
            if not black < white:
                raise ValueError
        except ValueError:
            raise SettingError("--pixels: expected two numbers with a comma between, "
                               f"the smaller first, got {args.pixels!r}.") from None
    return found


def named(path):
    """The path, or that of the model in the box, which is then said."""
    if path is None:
        print("no --model is given: judging by the model that comes with minifer",
              file=sys.stderr)
    return path or PRETRAINED
