"""Write a model for another program: minifer export model.npz model.onnx.

What is written follows from the target's ending:

  .onnx         a graph with its weights, for ONNX Runtime, browsers, OpenCV and others
  .safetensors  the weights, in PyTorch's names and layout
  .h5           the weights, in Keras's names and layout, with channels last
  .npz          either, as NumPy's arrays

All but .onnx come with a .json beside them, which says what the network is, layer by
layer. --to says it in words: safetensors, torch-names, keras-names.

Without a MODEL it is the one that comes with minifer. docs/elsewhere.md tells how the
file is used elsewhere.
"""

import os

import numpy as np

from ..errors import SettingError
from ..files import atomic_write, check_target, write_json
from ..foreign import write_onnx
from ..weights import load_model
from ..weights.foreign import (blueprint, keras_arrays, torch_arrays, write_keras,
                               write_safetensors)
from .box import named

__all__ = ["TARGETS"]


def to_onnx(args, model):
    """An ONNX file; returns what there is to say of it."""
    write_onnx(args.target, model, preprocessing=args.preprocessing)
    takes = ("pixels 0…255 of cropped faces" if args.preprocessing else
             "numbers, as the model's preprocessing makes them")
    return f"{args.target} holds the model as ONNX. It takes {takes}."


def to_weights(args, model):
    """Weights in another library's names, and the network as JSON beside them."""
    library = _library(args)
    arrays = (torch_arrays if library == "torch" else keras_arrays)(model.network)
    ending = os.path.splitext(args.target)[1].lower()
    beside = os.path.splitext(args.target)[0] + ".json"
    about = blueprint(model, library)
    if ending == ".safetensors":
        write_safetensors(args.target, arrays, {"format": "pt"})
    elif ending == ".h5":
        write_keras(args.target, arrays)
    else:
        with atomic_write(args.target) as file:
            np.savez(file, **arrays)
    write_json(beside, about)
    name = {"torch": "PyTorch", "keras": "Keras"}[library]
    return (f"{args.target} holds {len(arrays)} arrays in {name}'s names and layout; "
            f"{beside} says what the network is.")


def _library(args):
    """The library in whose names the weights are written."""
    default = "keras" if args.target.lower().endswith(".h5") else "torch"
    return {None: default, "safetensors": "torch"}.get(
        args.to, str(args.to).removesuffix("-names"))


#: Ending -> ``write(args, model)``, which returns what there is to say.
TARGETS = {".onnx": to_onnx, ".safetensors": to_weights, ".h5": to_weights,
           ".npz": to_weights}
#: What --to says -> the endings that can hold it.
FORMS = {"onnx": [".onnx"], "safetensors": [".safetensors"],
         "torch-names": [".safetensors", ".npz"],
         "keras-names": [".h5", ".safetensors", ".npz"]}


def arguments(parser):
    """Add the options."""
    add = parser.add_argument
    add("model", metavar="MODEL", nargs="?", help="a model file, as minifer train "
        "writes it; default: the model that comes with minifer")
    add("target", metavar="TARGET", help=f"the file to write, {' or '.join(TARGETS)}")
    add("--to", choices=FORMS, help="what to write; default: what the target's ending "
        "says")
    add("--preprocessing", action="store_true",
        help="put what is done to pixels into an ONNX file")


def main(args):
    """Write the file."""
    write = next((write for ending, write in TARGETS.items()
                  if args.target.lower().endswith(ending)), None)
    if write is None:
        raise SettingError(f"{args.target}: expected a name that ends in "
                           f"{' or '.join(TARGETS)}, got another.")
    if args.to and not args.target.lower().endswith(tuple(FORMS[args.to])):
        raise SettingError(f"{args.target}: expected a name that ends in "
                           f"{' or '.join(FORMS[args.to])} for --to {args.to}, got "
                           "another.")
    if args.preprocessing and write is not to_onnx:
        raise SettingError("--preprocessing: expected an .onnx file, which can hold "
                           f"it, got {args.target}. The .json tells it in numbers.")
    if write is to_weights and os.path.exists(args.target) and os.path.samefile(
            args.target, named(args.model)):
        raise SettingError(f"{args.target}: expected another file than the model, got "
                           "the same, which would be lost.")
    check_target(args.target)
    print(write(args, load_model(named(args.model))))
