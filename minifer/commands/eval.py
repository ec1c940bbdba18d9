"""Judge a model on data: minifer eval --model FILE [--data PATH...] [--out FOLDER].

Prints accuracy with its interval, the scores of each class and the confusion matrix.
With --out it writes report.md, report.html (open it in a browser), predictions.csv
and pictures. A number is worth what its protocol is: judge on people and pictures
that the network has not met.
"""

import csv
import io
import json
import os
import platform
import shlex
import sys

from .. import __version__, files
from ..evaluation.calibration import calibrate
from ..evaluation.metrics import evaluate
from ..progress import Progress
from ..report import plots
from ..report.evaluation_plots import reliability_diagram
from ..report.html import write_html_report
from ..report.text import write_report
from ..runs import data
from ..weights.model_file import load_model


def arguments(parser):
    """Add its options."""
    add = parser.add_argument
    add("--model", required=True, metavar="FILE", help="a model file")
    data.options(parser)
    add("--out", metavar="FOLDER", help="folder for the report; nothing is written "
                                        "without it")
    add("--json", action="store_true", help="print JSON")


def main(args):
    """Judge, print and write."""
    if args.out:
        files.make_folder(args.out)
    model = load_model(args.model)
    test = data.load(args, model, Progress())
    probabilities = data.judge(model, test.faces, args.device)
    result = evaluate(probabilities, test.faces.labels, test.faces.classes,
                      test.faces.subjects, protocol=test.protocol, leaky=test.leaky)
    calibration = calibrate(probabilities, test.faces.labels)
    if args.json:
        error = {"expected calibration error": round(calibration.error, 6)}
        print(json.dumps({**result.to_dict(), **error}, indent=2))
    else:
        print(result, f"\n{calibration}", sep="\n")
    if args.out:
        files.write_text(os.path.join(args.out, "predictions.csv"),
                         _predictions(test.faces, probabilities))
        pictures = _draw(args.out, test.faces, probabilities, result, calibration)
        run = _describe(args, test, calibration)
        write_report(args.out, run, result, pictures)
        page = write_html_report(args.out, run, result, pictures)
        print(f"{page} holds the report.", file=sys.stderr)


def _predictions(faces, probabilities):
    """A line a picture: file, truth, prediction, and what each class got."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "true", "predicted", *faces.classes])
    for path, label, row in zip(faces.paths, faces.labels, probabilities):
        writer.writerow([path, faces.classes[label], faces.classes[row.argmax()],
                         *(f"{p:.6f}" for p in row)])
    return text.getvalue()


def _draw(out, faces, probabilities, result, calibration):
    figures = {
        "confusion_matrix.png": (
            plots.confusion_matrix(result.confusion, result.classes,
                                   protocol=result.protocol),
            "Who is taken for whom."),
        "calibration.png": (reliability_diagram(calibration), str(calibration)),
        "most_wrong.png": (
            plots.most_wrong(faces.images[:, 0], probabilities, faces.labels,
                             result.classes, protocol=result.protocol),
            "The mistakes the network was surest of.")}
    for name, (figure, _) in figures.items():
        plots.save(figure, os.path.join(out, name))
    return [(name, caption) for name, (_, caption) in figures.items()]


def _describe(args, test, calibration):
    """What a stranger needs to get the numbers again."""
    faces = test.faces
    counts = {name: int((faces.labels == k).sum())
              for k, name in enumerate(faces.classes)}
    hashes = {args.model: files.sha256(args.model)}
    for path in args.data or []:
        if os.path.isfile(path):
            hashes[path] = files.sha256(path)
    return {
        "title": f"{os.path.basename(args.model)} on {test.source}",
        "command": shlex.join(["minifer", *sys.argv[1:]]), "seed": args.seed,
        "results": {"expected calibration error": f"{calibration.error:.1%}"},
        "hashes": hashes,
        "versions": {"minifer": __version__, "python": platform.python_version()},
        "data": {"source": test.source, "n": len(faces), "per_class": counts,
                 "subjects": len(set(faces.subjects)),
                 "fingerprint": faces.fingerprint,
                 "embedded": not (args.data or args.images)}}
