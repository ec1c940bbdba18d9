"""Write a model for another program: minifer export model.npz model.onnx.

What is written follows from the target's ending:

  .onnx   a graph with its weights, for ONNX Runtime, browsers, OpenCV and others

Without a MODEL it is the one that comes with minifer. docs/elsewhere.md tells how the
file is used elsewhere.
"""

from ..errors import SettingError
from ..files import check_target
from ..foreign import write_onnx
from ..weights import load_model
from .box import named

__all__ = ["TARGETS"]


def to_onnx(args, model):
    """An ONNX file; returns what there is to say of it."""
    write_onnx(args.target, model, preprocessing=args.preprocessing)
    takes = ("pixels 0…255 of cropped faces" if args.preprocessing else
             "numbers, as the model's preprocessing makes them")
    return f"{args.target} holds the model as ONNX. It takes {takes}."


#: Ending -> ``write(args, model)``, which returns what there is to say.
TARGETS = {".onnx": to_onnx}


def arguments(parser):
    """Add the options."""
    add = parser.add_argument
    add("model", metavar="MODEL", nargs="?", help="a model file, as minifer train "
        "writes it; default: the model that comes with minifer")
    add("target", metavar="TARGET", help=f"the file to write, {' or '.join(TARGETS)}")
    add("--preprocessing", action="store_true",
        help="put what is done to pixels into the file")


def main(args):
    """Write the file."""
    write = next((write for ending, write in TARGETS.items()
                  if args.target.lower().endswith(ending)), None)
    if write is None:
        raise SettingError(f"{args.target}: expected a name that ends in "
                           f"{' or '.join(TARGETS)}, got another.")
    check_target(args.target)
    print(write(args, load_model(named(args.model))))
