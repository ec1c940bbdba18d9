"""Judge photos with a trained model: python examples/predict.py PHOTO...

Every face on every photo is found and gets a line with the saturation of each
expression, 0…1, summing to 1. A copy of each photo with boxes and labels drawn
is written into --out. For folders and videos there is `minifer predict`.
"""

import json
import sys

from minifer.commands.cli import ArgumentParser, run
from minifer.device.arrays import DEVICES, resolve
from minifer.files import make_folder
from minifer.models import PRETRAINED
from minifer.predict.predictor import Predictor
from minifer.report.annotate import Copies


def parse(argv):
    parser = ArgumentParser(prog="predict.py", description=__doc__.split("\n")[0])
    parser.add_argument("photos", nargs="+", metavar="PHOTO")
    parser.add_argument("--model", default=PRETRAINED,
                        help="a model file, as train_ck.py writes it; default: the one "
                             "that comes with minifer")
    parser.add_argument("--out", default="runs/predict",
                        help="folder for the photos with boxes and labels")
    parser.add_argument("--device", choices=DEVICES, default="cpu",
                        help="where to compute: cuda is an NVIDIA GPU")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(argv)


def main(argv=None):
    """Judge all photos; a photo that cannot be read does not stop the others."""
    args = parse(argv)
    resolve(args.device)
    predictor = Predictor.load(args.model, args.device)
    copies, photos = Copies(make_folder(args.out)), []
    for photo in predictor.photos(args.photos):
        photos.append(photo)
        if photo.error:
            print(f"error: {photo.error}", file=sys.stderr)
        elif photo.faces:
            copies.write(photo)
        if not args.json and not photo.error:
            print(*photo.lines(), sep="\n")
    if args.json:
        print(json.dumps([photo.to_dict() for photo in photos], indent=2))
    if any(photo.error for photo in photos):
        sys.exit(2)


if __name__ == "__main__":
    run(main)
