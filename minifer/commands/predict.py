"""Judge photos and videos with a trained model: minifer predict PATH... [options].

A PATH is a photo, a video (.mp4 .mov .avi .mkv .webm ...), a folder, which stands for
all photos and videos in it and below, or a pattern such as ``party/*.jpg``. Every face
is found and gets the saturation of each expression, 0...1, sum 1. What cannot be read
gets a line that says why, and the others go on; so does a video that ends before all of
its frames were there. Other files in a folder are counted, not read. Photos come first,
then videos.

--csv writes a table. Of photos: a row each, with the number of faces, and label and
saturations of the largest. Of videos: a row for each face on each frame; a face keeps
its number from frame to frame, and its saturations are smoothed over --smooth seconds.
Seconds are those that the file gives to its frames; where its pixels are not square,
places are those in the picture stretched until they are.

Exit code 1 if no face was judged. The same for a few photos, to be read:
examples/predict.py.
"""

import collections
import contextlib
import itertools
import json
import os
import sys

from ..data.readers.listing import expand
from ..device.arrays import DEVICES, resolve
from ..errors import DatasetError, SettingError, VideoError, visible
from ..faces.formats import IMAGE_ENDINGS, VIDEO_ENDINGS, is_video
from ..files import check_target, csv_writer, make_folder
from ..predict.predictor import Face, Predictor
from ..predict.recording import at_rate, write_video
from ..predict.tracking import Tracker
from ..predict.video import Video, follow
from ..progress import Progress
from ..report.annotate import Copies, annotate_faces
from .box import MODEL, foreign_options, named, of_keras
from .cli import StreamError

BOX = ("left", "top", "width", "height")


def arguments(parser):
    """Add the options."""
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="photos, videos, folders, patterns")
    add("--model", metavar="FILE", help=MODEL)
    foreign_options(parser)
    add("--out", metavar="FOLDER", help="write copies with boxes and labels there: "
        "NAME_faces.png of a photo, NAME_faces.webm of a video")
    add("--csv", metavar="FILE", help="write a table, whole or not at all")
    add("--json", action="store_true", help="print JSON; of a video, a mean a face")
    add("--which", choices=("all", "largest"), default="all",
        help="judge all faces of a picture, or the largest")
    add("--every", type=int, metavar="K", default=1,
        help="of a video, judge every K-th frame")
    add("--smooth", type=float, metavar="SECONDS", default=0.5,
        help="of a video, over how long saturations are smoothed; 0: not at all")
    add("--tta", action="store_true",
        help="test-time augmentation: judge each face by the mean of ten views")
    add("--device", choices=DEVICES, default="cpu",
        help="where to compute: cuda is an NVIDIA GPU")


def main(args):
    """Judge the photos, then the videos; 1 if no face was judged."""
    resolve(args.device)
    names, others = expand(args.paths, IMAGE_ENDINGS + VIDEO_ENDINGS)
    if not names:
        raise DatasetError(f"{', '.join(args.paths)}: expected photos or videos, found "
                           f"none{_others(others)}. Their names end in .jpg, .png, "
                           ".mp4 and the like.")
    videos = [name for name in names if is_video(name)]
    photos = [name for name in names if not is_video(name)]
    if args.csv and videos and photos:
        raise SettingError("--csv: expected photos or videos, whose tables differ, got "
                           f"{_count(photos, videos)}. Judge them in two calls.")
    _check(args)
    predictor = Predictor.load(named(args.model), args.device, args.tta,
                               **of_keras(args))
    copies = Copies(args.out) if args.out else None
    statuses, results, args.unheard = collections.Counter(), [], None
    with contextlib.ExitStack() as stack:
        row = (stack.enter_context(csv_writer(args.csv)).writerow if args.csv
               else lambda values: None)
        for result in itertools.chain(_photos(args, predictor, photos, copies, row),
                                      _videos(args, predictor, videos, copies, row)):
            status, comma, _ = result["status"].partition(",")
            statuses[status] += 1
            statuses["not whole"] += bool(comma)
            if args.json:
                results.append(result)
    if args.unheard:
        raise args.unheard
    if args.json:
        print(json.dumps(results, indent=2))
    told = ["ok", "no face", "unreadable"] + ["not whole"] * bool(statuses["not whole"])
    print(f"{_count(photos, videos)}: " + ", ".join(
        f"{statuses[status]} {status}" for status in told) + _others(others),
        file=sys.stderr if args.json else sys.stdout)
    return 0 if statuses["ok"] else 1


def _count(photos, videos):
    """As in "3 photos and 1 video"."""
    counts = [(len(photos), "photo"), (len(videos), "video")]
    return " and ".join(f"{n} {word}{'s' * (n > 1)}" for n, word in counts if n)


def _others(names):
    """As in "; 3 other files (a.txt, b.pdf, ...)"."""
    if not names:
        return ""
    few = ", ".join(visible(os.path.basename(name)) for name in names[:2])
    return (f"; {len(names)} other file{'s' * (len(names) > 1)} "
            f"({few}{', ...' * (len(names) > 2)})")


def _check(args):
    """Wrong settings are refused before any work."""
    Tracker(args.smooth)
    if args.every < 1:
        raise SettingError("--every: expected a whole number from 1, got "
                           f"{args.every}.")
    if args.csv:
        check_target(args.csv)
    if args.out:
        make_folder(args.out)


def _tell(args, result, lines):
    """Print a result, unless it is JSON's turn at the end.

    If that cannot be, files that were asked for are written all the same; the error is
    raised when they are whole.
    """
    if args.unheard:
        return
    try:
        if "error" in result:
            print(f"error: {visible(result['error'])}", file=sys.stderr)
        elif not args.json:
            print(*map(visible, lines), sep="\n")
    except StreamError as error:
        if not args.csv and not args.out:
            raise
        args.unheard = error


# --- photos ----------------------------------------------------------------------

def _photos(args, predictor, names, copies, row):
    """Judge, tell, copy and tabulate photos; yield each as plain data."""
    classes = predictor.model.classes
    if names:
        row(["photo", "status", "faces", "label", *classes, "error"])
    for photo in predictor.photos(names, args.which):
        if copies and photo.faces:
            copies.write(photo)
        first = photo.faces[0] if photo.faces else None
        row([photo.name, photo.status, len(photo.faces), first.label if first else "",
             *_cells(first.saturations if first else dict.fromkeys(classes)),
             photo.error])
        result = photo.to_dict()
        _tell(args, result, photo.lines())
        yield result


def _cells(saturations):
    return ["" if value is None else f"{value:.6f}" for value in saturations.values()]


# --- videos ----------------------------------------------------------------------

def _videos(args, predictor, names, copies, row):
    """The same of videos."""
    if names:
        row(["video", "frame", "seconds", "face", *BOX, "label",
             *predictor.model.classes])
    for name in names:
        result, faces = {"video": name}, []
        try:
            faces, frames, missing = _video(args, predictor, name, copies, row)
        except VideoError as error:
            result |= {"status": "unreadable", "error": str(error)}
        else:
            read, there = missing or (0, 0)
            short = (f", {read} of {there} frames" if there else
                     f", {read} frames, then the file was cut" if read else "")
            result |= {"status": ("ok" if faces else "no face") + short,
                       "frames": frames, "faces": [face.to_dict() for face in faces]}
        lines = [f"{name}: {face}" for face in faces]
        if "," in result["status"] or not faces:
            lines.append(f"{name}: {result['status']}")
        _tell(args, result, lines)
        yield result


def _video(args, predictor, name, copies, row):
    """Judge a video; what was seen of each face, how many frames, what is missing."""
    video = Video(name, args.every)
    faces, frames = {}, 0
    with contextlib.ExitStack() as stack:
        if copies:
            record = at_rate(stack.enter_context(write_video(
                copies.name(name, ".webm"), video.fps)), video.fps)
        bar = stack.enter_context(Progress(not args.json).bar(video.total, name))
        for frame, tracks in follow(predictor, video, args.smooth, args.which):
            if copies:
                record(annotate_faces(frame.picture, tracks), frame.seconds)
            for face in tracks:
                faces.setdefault(face.number, _Seen(face.number)).add(frame, face)
                row([name, frame.number, f"{frame.seconds:.3f}", face.number, *face.box,
                     face.label, *_cells(face.saturations)])
            frames += 1
            bar.update(1)
    return list(faces.values()), frames, video.missing


class _Seen:
    """What is told of a face that was followed: from when to when, and its mean."""

    def __init__(self, number):
        self.number, self.frames, self.sums = number, 0, collections.Counter()

    def add(self, frame, face):
        if not self.frames:
            self.start = frame.seconds
        self.end = frame.seconds
        self.frames += 1
        self.sums.update(face.saturations)

    def mean(self):
        return Face(None, {name: total / self.frames
                           for name, total in self.sums.items()})

    def to_dict(self):
        mean = self.mean()
        return {"face": self.number, "frames": self.frames, "from": self.start,
                "to": self.end, "saturations": mean.saturations, "label": mean.label}

    def __str__(self):
        return (f"face {self.number}: {self.frames} frames, {self.start:.1f} to "
                f"{self.end:.1f} s: {self.mean()}")
