"""Look inside a model: minifer show network | filters | activations | saliency |
gradcam | start.

  network      its layers: shapes, parameters, MFLOP, memory; and a drawing of them
  filters      the weights of a convolution, as pictures
  activations  what a convolution makes of the face on a photo
  saliency     which pixels of the face the decision hangs on
  gradcam      where on the face the network found what speaks for its decision
  start        how a network begins, before any training: does it start well?

`minifer show saliency --help` explains it and its options, and so for the others.
"""

import difflib
import inspect
import os

import numpy as np

from .. import layers, models, random
from ..device.arrays import DEVICES, resolve
from ..errors import NoFaceError, SettingError, check_seed, visible
from ..evaluation import explain
from ..evaluation.start import look_at_start
from ..faces.cropping import CropSettings, extract
from ..faces.images import read_image
from ..faces.preprocessing import Preprocessing
from ..files import write_text
from ..predict.predictor import Face, Predictor
from ..progress import Progress
from ..report import plots
from ..report.evaluation_plots import heat_map
from ..runs import data
from ..runs.fer2013 import MODELS
from ..training.batches import check_batch_size
from ..weights.model_file import load_model

#: Networks of one grey channel, by name.
NETWORKS = {"ck96": models.ck96, **MODELS}

NETWORK = """\
List a network's layers: output shape, parameters, MFLOP and memory of each, for one
image, and what all take together. MFLOP are multiplications and additions of products
with weights, in millions; memory is that of the layer's output."""

FILTERS = """\
Draw the weights of a convolution, those of the first unless told otherwise. The first
ones look at the picture itself: edges, spots and slopes of brightness. Those further in
look at maps, and say little to the eye."""

ACTIVATIONS = """\
Draw the maps that a convolution makes of the largest face on a photo: bright is where
a filter found what it looks for."""

SALIENCY = """\
Lay over the largest face on a photo how much each pixel matters: the gradient of the
label's score, before softmax (Simonyan, Vedaldi, Zisserman 2014, arXiv:1312.6034)."""

GRADCAM = """\
Lay over the largest face on a photo where the last convolution found what speaks for
the label (Grad-CAM: Selvaraju et al. 2017, arXiv:1610.02391). Coarser than saliency,
and easier to read."""

START = """\
Send one batch of faces through an untrained network and back, and print layer by layer
how its values and gradients spread. A good start lets both through at about one size,
with the loss of a guess, ln K for K classes. The last line says whether it starts well,
and which layer does not. Without --data the faces are drawn by minifer."""


def arguments(parser):
    """The subcommands and their options."""
    kinds = parser.add_subparsers(dest="what", required=True)
    for main, name, text in [(filters, "filters", FILTERS),
                             (activations, "activations", ACTIVATIONS),
                             (saliency, "saliency", SALIENCY),
                             (gradcam, "gradcam", GRADCAM)]:
        one = kinds.add_parser(name, description=text,
                               formatter_class=parser.formatter_class)
        one.set_defaults(main=main)
        add = one.add_argument
        if name != "filters":
            add("photo", metavar="PHOTO", help="a photo that shows a face")
        add("--model", required=True, metavar="FILE", help="a model file")
        add("--out", required=True, metavar="FILE.png", help="the picture to write")
        if name in ("filters", "activations"):
            add("--layer", type=int, metavar="K", default=1,
                help="the K-th convolution, counted from the picture")
        if name != "filters":
            add("--device", choices=DEVICES, default="cpu",
                help="where to compute: cuda is an NVIDIA GPU")
    one = kinds.add_parser("network", description=NETWORK,
                           formatter_class=parser.formatter_class)
    one.set_defaults(main=network)
    one.add_argument("model", metavar="MODEL", help="a model file, or the name of a "
                     f"network of minifer: {', '.join(built_in())}")
    one.add_argument("--svg", metavar="FILE.svg", help="draw its graph, too")
    one = kinds.add_parser("start", description=START,
                           formatter_class=parser.formatter_class)
    one.set_defaults(main=start)
    add = one.add_argument
    add("network", choices=sorted(NETWORKS), help="which network")
    add("--data", metavar="PATH", help="fer2013.csv, or a folder of class folders")
    add("--batch", type=int, metavar="N", default=64, help="faces to look at")
    add("--seed", type=int, default=0, help="of the start and of the choice of faces")


def main(args):
    """Draw the picture that was asked for, or print the table."""
    if args.main in (start, network):
        return args.main(args)
    resolve(getattr(args, "device", "cpu"))
    plots.check_picture(args.out)
    plots.save(args.main(args), args.out)
    print(f"{args.out} holds the picture.")


def built_in():
    """Networks that need no argument: :mod:`minifer.models`', and as --model has them.
    """
    found = {name: getattr(models, name) for name in models.__all__
             if inspect.isfunction(getattr(models, name))}
    return dict(sorted({**NETWORKS, **{
        name: make for name, make in found.items() if all(
            one.default is not one.empty
            for one in inspect.signature(make).parameters.values())}}.items()))


def find_network(name):
    """The network of a name or a model file, or one line that says what there is."""
    networks = built_in()
    if name not in networks or os.path.exists(name):
        if not os.path.exists(name) and os.path.basename(name) == name and (
                not os.path.splitext(name)[1]):
            close = difflib.get_close_matches(name, networks, 1)
            names = ", ".join(networks)
            raise SettingError(
                f"{name}: expected a model file or one of {names}, got neither."
                + "".join(f" Perhaps you meant '{one}'?" for one in close))
        return load_model(name).network
    made = networks[name]()
    return getattr(made, "network", made)


def network(args):
    """The table of a network, and its drawing."""
    if args.svg and not args.svg.endswith(".svg"):
        raise SettingError(f"--svg: expected a name that ends in .svg, got {args.svg}.")
    found = layers.summary(find_network(args.model))
    if args.svg:
        write_text(args.svg, found.to_svg())
    print(found)
    if args.svg:
        print(f"{args.svg} holds the drawing.")


def filters(args):
    """The weights of a convolution."""
    layer = _convolution(load_model(args.model).network, args)
    return plots.filters(layer.W.get_value(), f"Filters of {_name(layer, args)}")


def activations(args):
    """The maps of a convolution."""
    predictor, crops, _ = _face(args)
    network = predictor.model.network
    layer = _convolution(network, args)
    maps = layers.get_output(layer, predictor.preprocessing(crops), deterministic=True)
    return plots.activations(maps[0], crops[0, 0], f"Maps of {_name(layer, args)}")


def saliency(args):
    """The face, and which pixels matter."""
    return _explained(args, explain.saliency, "Saliency",
                      "how fast the label's score changes with each pixel")


def gradcam(args):
    """The face, and where the evidence is."""
    return _explained(args, explain.grad_cam, "Grad-CAM",
                      "where the last convolution found what speaks for the label")


def start(args):
    """How a network begins."""
    check_batch_size(args.batch)
    check_seed(args.seed)
    faces = data.some(args.data, args.batch, args.seed, Progress())
    random.set_rng(args.seed)
    network = NETWORKS[args.network](num_classes=len(faces.classes))
    source, *_ = layers.get_all_layers(network)
    steps = Preprocessing(CropSettings(source.output_shape[-1], mode="whole"))
    faces = data.scale(faces, steps.crop)
    print(look_at_start(network, steps(faces.images), faces.labels))


def _explained(args, method, title, says):
    predictor, crops, face = _face(args)
    label = predictor.model.classes.index(face.label)
    relevance = method(predictor.model.network, predictor.preprocessing(crops),
                       np.array([label]))
    return heat_map(crops[0, 0], relevance[0], f"{title}: {face.caption}", says)


def _face(args):
    """A predictor, the largest face (1, 1, S, S), and what is said of it."""
    predictor = Predictor.load(args.model, args.device)
    crops, boxes = extract(read_image(args.photo), predictor.preprocessing.crop,
                           "largest")
    if not len(crops):
        raise NoFaceError(f"{args.photo}: expected a face, found none. Use a photo "
                          "that shows one from the front.")
    crops = crops[:, None]
    saturations, = predictor.saturations(crops)
    face = Face(tuple(boxes[0].tolist()), saturations)
    print(f"{visible(args.photo)}: face at {face.box}: {face}")
    return predictor, crops, face


def _convolution(network, args):
    """The K-th convolution."""
    found = [one for one in layers.get_all_layers(network)
             if isinstance(one, layers.Conv2DLayer)]
    if not found:
        raise SettingError(f"{args.model}: expected a network with a convolution, got "
                           "one without. `minifer show saliency` needs none.")
    if not 1 <= args.layer <= len(found):
        raise SettingError(f"--layer: expected 1 to {len(found)}, the convolutions of "
                           f"{args.model}, got {args.layer}.")
    return found[args.layer - 1]


def _name(layer, args):
    return layer.name or f"convolution {args.layer}"
