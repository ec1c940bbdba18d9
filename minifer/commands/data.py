"""Look a data set over, or make one: minifer data audit | faces | folders | soft.

  audit    what is wrong with a data set, before a network is trained on it
  faces    find the faces on all photos of a folder, and save them
  folders  turn fer2013.csv into one folder a class
  soft     turn CK+ into samples whose labels rise from neutral to the peak

`minifer data audit --help` explains it and its options, and so for the others.
"""

import collections
import json
import os

from .. import data
from ..data.readers.words import MERGE_ALIKE
from ..errors import SettingError, visible
from ..faces.cropping import CropSettings
from ..files import hold_folder, new_folder, write_text
from ..progress import Progress
from ..report import plots
from ..report.data_pictures import brightness_boxes, class_bars, sample_grid

#: What is drawn of a data set.
PICTURES = "classes", "brightness", "samples"
AUDIT = """\
What is wrong with a data set? People, photos or copies on both sides of a split,
equal photos with different labels, blank images, classes that are rare, parts that
differ in brightness or sharpness. Exit code 1 if a number measured on it could not be
trusted."""

FACES = """\
Find every face on the photos of a folder and of the folders inside it, and save each
as a square grey PNG file. faces.csv tells of every file what was found: none is lost.
Photos sorted by class give crops sorted by class, which `minifer data audit` reads, and
`minifer train fer2013` if they are in folders train/ and test/."""

FOLDERS = """\
Write the images of fer2013.csv, or of a table like it, as train/CLASS/*.png and
test/CLASS/*.png. A file's name says its row and its part; the public test set stands
in test/, too, as in the copies that are passed around."""

SOFT = """\
Store each frame of CK+ as a .npy sample with a soft label: its share of neutral falls
from 1 to 0 along the sequence, its emotion's rises. People are either in the training
samples or in test/. `minifer train transfer --data` takes the folder above --out."""


def arguments(parser):
    """The subcommands and their options."""
    kinds = parser.add_subparsers(dest="what", required=True)

    def command(main, name, text):
        one = kinds.add_parser(name, description=text,
                               formatter_class=parser.formatter_class)
        one.set_defaults(main=main)
        return one.add_argument

    add = command(audit, "audit", AUDIT)
    add("paths", nargs="+", metavar="PATH",
        help="fer2013.csv, a folder of class folders, one of samples (ck/, google/), "
             "or CK+: the folder that holds it all, or its images and its labels")
    add("--split", choices=["subject", "random"],
        help="look at this split rather than at the data set's own parts")
    add("--no-near", action="store_true",
        help="do not seek near copies: faster on many images")
    add("--faces", choices=["haar", "whole"],
        help="find the face on each image, or take the whole image as the face (unless "
             "given: find it in CK+)")
    add("--strict", action="store_true",
        help="refuse a csv with a bad row, or a folder with an unreadable image, and "
             "name it; else they are left out and listed")
    add("--merge-alike", action="store_true", help=MERGE_ALIKE)
    add("--seed", type=int, default=0, help="for the split and the images shown")
    add("--out", metavar="FOLDER", help="write audit.txt and pictures there")
    add("--json", action="store_true", help="print JSON")

    add = command(faces, "faces", FACES)
    add("photos", metavar="PHOTOS", help="a folder of photos")
    add("--out", metavar="FOLDER", required=True, help="a new folder for the faces")
    add("--size", type=int, default=96, help="side of the crops in pixels")
    add("--largest", action="store_true", help="only the largest face of each photo")
    add("--strict", action="store_true", help="write nothing if a photo is unreadable")
    add("--json", action="store_true", help="print what was found as JSON")

    add = command(folders, "folders", FOLDERS)
    add("csv", metavar="CSV", help="the table")
    add("--out", metavar="FOLDER", required=True, help="a new folder for the images")
    add("--strict", action="store_true",
        help="write nothing if a row is bad, and name its line; else bad rows are left "
             "out and listed")

    add = command(soft, "soft", SOFT)
    add("--images", metavar="FOLDER", required=True,
        help="image root, such as cohn-kanade-images")
    add("--labels", metavar="FOLDER", required=True, help="label root, such as Emotion")
    add("--out", metavar="FOLDER", required=True,
        help="a new folder for the samples, such as samples/ck")
    add("--size", type=int, default=224, help="side of the crops in pixels")
    add("--faces", choices=["haar", "whole"], default="haar",
        help="find the face on each image, or take the whole image as the face")
    add("--test", type=float, default=0.2, help="share of the images that go to test/")
    add("--seed", type=int, default=0, help="for the choice of people")


def main(args):
    """Run the subcommand."""
    return args.main(args)


def audit(args):
    """Print the audit; return 1 if it found something severe."""
    if len(args.paths) > 2:
        raise SettingError("data audit: expected one path, or CK+'s images and labels, "
                           f"got {len(args.paths)}.")
    if args.out:
        # before the work that would be in vain without it
        hold_folder(args.out, ["audit.txt", *(f"{name}.png" for name in PICTURES)])
    images = data.load(*args.paths, faces=args.faces, strict=args.strict,
                       progress=Progress().callback("reading"),
                       merge_alike=args.merge_alike)
    parts = _split(args, images)
    found = data.audit(images, parts, near=not args.no_near)
    text = f"{images.summary()}\n\n{found}"
    if args.out:
        write_text(os.path.join(args.out, "audit.txt"), visible(text, "\n") + "\n")
        for name, figure in zip(PICTURES, [
                class_bars(images, parts), brightness_boxes(images, parts),
                sample_grid(images, seed=args.seed)]):
            plots.save(figure, os.path.join(args.out, f"{name}.png"))
    print(json.dumps(found.to_dict(), indent=2) if args.json else text)
    return 1 if found.severe else 0


def _split(args, images):
    """The parts that --split asks for; None for the data set's own."""
    if args.split == "random":
        return data.split_random(images.labels, seed=args.seed, classes=images.classes)
    if args.split == "subject":
        return data.split_by_subject(images.labels, images.subjects, seed=args.seed,
                                     classes=images.classes)
    return None


def faces(args):
    """Cut out the faces; return 1 if there are none."""
    found = data.save_faces(args.photos, args.out, CropSettings(args.size),
                            "largest" if args.largest else "all", args.strict,
                            Progress().callback("finding faces"))
    if args.json:
        print(json.dumps([one.to_dict() for one in found], indent=2))
    else:
        statuses = collections.Counter(one.status for one in found)
        print(f"{len(found):,d} files: " + ", ".join(
            f"{count:,d} {status}" for status, count in statuses.most_common()))
        for one in found:
            if one.error:
                print(f"unreadable: {visible(one.error)}")
        print(f"{sum(len(one.crops) for one in found):,d} faces and faces.csv "
              f"written into {args.out}")
    return 0 if any(one.crops for one in found) else 1


def folders(args):
    """Turn a table into class folders."""
    with new_folder(args.out) as out:
        images = data.load_fer2013(args.csv, args.strict)
        print(images.summary(), flush=True)
        written = data.save_folders(images, out, Progress().callback("writing"))
    print(f"{len(written):,d} images written into {args.out}")


def soft(args):
    """Turn CK+ into soft samples."""
    with new_folder(args.out) as out:
        images = data.load_ck_soft(args.images, args.labels, args.faces, args.size,
                                   progress=Progress().callback("finding faces"))
        print(images.summary(), flush=True)
        training, test = data.save_samples(images, out, args.test, args.seed)
    print(f"{training:,d} training and {test:,d} test samples written into {args.out}")
