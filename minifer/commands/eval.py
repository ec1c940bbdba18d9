"""Judge a model on data: minifer eval --model FILE [--data PATH...] [--out FOLDER].

--models FILE FILE... judges several together: the mean of what they say, which is right
more often than the best of them (an ensemble, such as the models of all folds).
Prints accuracy with its interval, the scores of each class and the confusion matrix.
With --out it writes report.md, report.html (open it in a browser), predictions.csv
and pictures. A number is worth what its protocol is: judge on people and pictures
that the network has not met.

Equal pictures may differ in the last digits of predictions.csv: how numbers are added
up depends on a picture's place in its batch.
"""

import json
import os
import platform
import shlex
import sys

import numpy as np

from .. import __version__, files
from ..device.arrays import resolve
from ..evaluation.calibration import calibrate
from ..evaluation.metrics import evaluate
from ..progress import Progress
from ..report.html import write_html_report
from ..report.text import write_report
from ..runs import data
from ..runs.record import REPORTS, describe_data, draw

TABLE = "predictions.csv"


def arguments(parser):
    """Add its options."""
    add = parser.add_argument
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", metavar="FILE", help="a model file")
    which.add_argument("--models", nargs="+", action="extend", metavar="FILE",
        help="several, of the same classes and crops: the mean of what they say")
    add("--tta", action="store_true",
        help="test-time augmentation: judge each image by the mean of ten views")
    data.options(parser)
    add("--out", metavar="FOLDER", help="folder for the report; nothing is written "
                                        "without it")
    add("--json", action="store_true", help="print JSON")


def main(args):
    """Judge, print and write."""
    resolve(args.device)
    if args.out:
        files.hold_folder(args.out, [*REPORTS, TABLE])
    args.models = args.models or [args.model]
    models = data.open_models(args.models)
    test = data.load(args, models[0], Progress())
    probabilities = np.mean([data.judge(model, test.faces, args.device, args.tta)
                             for model in models], axis=0)
    result = evaluate(probabilities, test.faces.labels, test.faces.classes,
                      test.faces.subjects, protocol=test.protocol, leaky=test.leaky)
    calibration = calibrate(probabilities, test.faces.labels)
    page = args.out and _write(args, test, probabilities, result, calibration)
    if args.json:  # the last, so that nothing is lost with who reads it
        error = {"expected calibration error": round(calibration.error, 6)}
        print(json.dumps({**result.to_dict(), **error}, indent=2))
    else:
        print(result, f"\n{calibration}", sep="\n")
    if page:
        print(f"{page} holds the report.", file=sys.stderr)


def _write(args, test, probabilities, result, calibration):
    """Write table, pictures and report; return the path of the page."""
    with files.csv_writer(os.path.join(args.out, TABLE)) as table:
        _predictions(table, test.faces, probabilities)
    pictures = draw(args.out, test.faces, probabilities, result)
    run = _describe(args, test, calibration)
    write_report(args.out, run, result, pictures)
    return write_html_report(args.out, run, result, pictures)


def _predictions(table, faces, probabilities):
    """A line a picture: file, truth, prediction, and what each class got."""
    table.writerow(["path", "true", "predicted", *faces.classes])
    for path, label, row in zip(faces.paths, faces.labels, probabilities):
        table.writerow([path, faces.classes[label], faces.classes[row.argmax()],
                        *(f"{p:.6f}" for p in row)])


def _describe(args, test, calibration):
    """What a stranger needs to get the numbers again."""
    hashes = {path: files.sha256(path) for path in args.models}
    for path in args.data or []:
        if os.path.isfile(path):
            hashes[path] = files.sha256(path)
    return {
        "title": f"{', '.join(map(os.path.basename, args.models))} on {test.source}"
                 + ", ten views of each image" * args.tta,
        "command": shlex.join(["minifer", *sys.argv[1:]]), "seed": args.seed,
        "results": {"expected calibration error": f"{calibration.error:.1%}"},
        "hashes": hashes,
        "versions": {"minifer": __version__, "python": platform.python_version()},
        "data": describe_data(test.faces, test.source)}
