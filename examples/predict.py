"""Judge photos with a trained model: python examples/predict.py PHOTO...

Every face on every photo is found and gets a line with the saturation of each
expression, 0…1, summing to 1. A copy of each photo with boxes and labels drawn
is written into --out.
"""

import itertools
import json
import os
import sys

from minifer.annotate import annotate_photo
from minifer.backend import DEVICES, resolve
from minifer.cli import ArgumentParser, run
from minifer.data.images import read_colour, write_png
from minifer.files import make_folder
from minifer.predict import Predictor


def parse(argv):
    parser = ArgumentParser(prog="predict.py", description=__doc__.split("\n")[0])
    parser.add_argument("photos", nargs="+", metavar="PHOTO")
    parser.add_argument("--model", default="runs/ck/model.npz",
                        help="a model file, as train_ck.py writes it")
    parser.add_argument("--out", default="runs/predict",
                        help="folder for the photos with boxes and labels")
    parser.add_argument("--device", choices=DEVICES, default="cpu",
                        help="where to compute: cuda is an NVIDIA GPU")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(argv)


def lines(photo):
    """What to print for one photo."""
    if photo.status != "ok":
        yield f"{photo.name}: {photo.status}"
    for face in photo.faces:
        values = "  ".join(f"{name} {p:.2f}" for name, p in face.saturations.items())
        yield f"{photo.name}: face at {face.box}: {values}  -> {face.label}"


def draw(photo, out, used):
    """Write the photo with boxes and labels; never over one of the same name."""
    stem = os.path.splitext(os.path.basename(photo.name))[0]
    numbers = itertools.chain([""], (f"_{k}" for k in itertools.count(2)))
    stem = next(stem + number for number in numbers if stem + number not in used)
    used.add(stem)
    texts = [f"{face.label} {100 * face.saturations[face.label]:.0f} %"
             for face in photo.faces]
    picture = annotate_photo(read_colour(photo.name),
                             [face.box for face in photo.faces], texts)
    write_png(os.path.join(out, f"{stem}_faces.png"), picture)


def main(argv=None):
    """Judge all photos; a photo that cannot be read does not stop the others."""
    args = parse(argv)
    resolve(args.device)
    predictor = Predictor.load(args.model, args.device)
    make_folder(args.out)
    photos, used = [], set()
    for path in args.photos:
        photo = predictor.photo(path)
        photos.append(photo)
        if photo.error:
            print(f"error: {photo.error}", file=sys.stderr)
        elif photo.faces:
            draw(photo, args.out, used)
        if not args.json and not photo.error:
            print(*lines(photo), sep="\n")
    if args.json:
        print(json.dumps([photo.to_dict() for photo in photos], indent=2))
    if any(photo.error for photo in photos):
        sys.exit(2)


if __name__ == "__main__":
    run(main)
