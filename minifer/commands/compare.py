"""Judge models on the same images: minifer compare MODEL MODEL... [--data PATH...].

Prints the accuracy of each with its interval, and for each pair McNemar's exact test:
how often chance alone makes two equally good networks differ as much. A small p (such
as below 0.05) says that one is better on images like these. With --out it writes
compare.md and a picture. The data are named as for minifer eval.
"""

import itertools
import json
import os
import shlex
import sys

from .. import files
from ..device.arrays import resolve
from ..errors import DatasetError, SettingError, visible
from ..evaluation.comparison import compare_pair
from ..evaluation.metrics import evaluate
from ..evaluation.table import LEAKY
from ..faces.preprocessing import Preprocessing
from ..progress import Progress
from ..report import plots
from ..report.document import (Code, Items, Note, Picture, Section, Strong, Table,
                               to_markdown)
from ..report.evaluation_plots import accuracy_dots
from ..report.text import DRAWN_FACES
from ..runs import data

PAGE, PICTURE = "compare.md", "accuracies.png"


def arguments(parser):
    """Add its options."""
    add = parser.add_argument
    add("models", nargs="+", metavar="MODEL", help="model files, two or more")
    data.options(parser)
    add("--out", metavar="FOLDER", help="folder for compare.md and the picture; "
                                        "nothing is written without it")
    add("--json", action="store_true", help="print JSON")


def main(args):
    """Judge, print and write."""
    if len(args.models) < 2:
        raise SettingError("compare: expected two models or more, got one. "
                           "`minifer eval` judges one.")
    resolve(args.device)
    if args.out:
        files.hold_folder(args.out, [PAGE, PICTURE])
    test, probabilities = _judge(args)
    faces = test.faces
    results = [evaluate(p, faces.labels, faces.classes, faces.subjects,
                        protocol=test.protocol, leaky=test.leaky)
               for p in probabilities]
    predicted = [p.argmax(axis=1) for p in probabilities]
    pairs = {(i, j): compare_pair(predicted[i], predicted[j], faces.labels)
             for i, j in itertools.combinations(range(len(args.models)), 2)}
    notes = _notes(results[0], pairs)
    if args.out:
        plots.save(accuracy_dots(args.models, results),
                   os.path.join(args.out, PICTURE))
        path = os.path.join(args.out, PAGE)
        files.write_text(path, _markdown(args, test, results, pairs, notes))
    if args.json:  # the last, so that nothing is lost with who reads it
        print(json.dumps(_plain(args.models, results, pairs, notes), indent=2))
    else:
        print(_text(args.models, results, pairs, notes))
    if args.out:
        print(f"{path} holds the comparison.", file=sys.stderr)


def _judge(args):
    """The images, and what each model says of them: a list of (N, K)."""
    models = [data.open_model(path) for path in args.models]
    for path, model in zip(args.models, models):
        if model.classes != models[0].classes:
            raise SettingError(f"{path}: expected the classes of {args.models[0]}, "
                               f"{', '.join(models[0].classes)}; got "
                               f"{', '.join(model.classes)}.")
    first, read, probabilities = None, None, []
    for path, model in zip(args.models, models):
        crop = Preprocessing.from_dict(model.preprocessing).crop
        needs = crop, model.notes.get("seed")
        if needs != read:  # models that want the same share it
            test, read = data.load(args, model, Progress()), needs
        first = first or test
        if list(test.faces.paths) != list(first.faces.paths) or (
                test.source, test.protocol) != (first.source, first.protocol):
            raise DatasetError(
                f"{path}: expected the images that {args.models[0]} is judged on, got "
                f"others ({test.protocol}). Models of another seed have another test "
                "part: give --data, or --seed with people that neither has met.")
        probabilities.append(data.judge(model, test.faces, args.device))
    return first, probabilities


def _notes(result, pairs):
    """What a reader of the table must know."""
    notes = ["p: McNemar's exact test, how often chance alone makes two equally good "
             "networks differ as much. It says nothing of how another training of the "
             "same networks would come out."]
    if result.subjects and result.subjects < result.n:
        notes.append(f"The test takes the {result.n} images as drawn one by one; those "
                     "of one person resemble each other, so p is too small.")
    if len(pairs) > 1:
        notes.append(f"Of {len(pairs)} pairs one may differ by chance: ask for p below "
                     f"0.05 / {len(pairs)} = {0.05 / len(pairs):.2g} (Bonferroni).")
    return notes


def _plain(names, results, pairs, notes):
    """Everything for JSON."""
    first = results[0]
    return {
        "n": first.n, "subjects": first.subjects, "protocol": first.protocol,
        "leaky": first.leaky,
        "models": [{"model": name, "accuracy": one.accuracy,
                    "interval": list(one.interval)}
                   for name, one in zip(names, results)],
        "pairs": [{"first": names[i], "second": names[j], **pair._asdict()}
                  for (i, j), pair in pairs.items()],
        "notes": notes}


def _accuracy(result):
    low, high = result.interval
    return f"{result.accuracy:.1%}", f"{low:.1%} … {high:.1%}"


def _pair(names, i, j, pair):
    return (f"{names[i]} : {names[j]}", pair.only_first, pair.only_second,
            f"{pair.p_value:.2g}", f"{pair.agreement:.1%}")


PAIR = ("pair", "only first right", "only second right", "p", "agreement")


def _text(names, results, pairs, notes):
    """The tables, to be read."""
    first = results[0]
    people = f" of {first.subjects} subjects" if first.subjects else ""
    return "\n\n".join(filter(None, [
        f"*** LEAKY: {LEAKY} ***" if first.leaky else "",
        f"n         {first.n} images{people}\nprotocol  {first.protocol}",
        _columns([("model", "accuracy", "95% interval"),
                  *((name, *_accuracy(one)) for name, one in zip(names, results))]),
        _columns([PAIR, *(_pair(names, i, j, pair)
                          for (i, j), pair in pairs.items())]),
        "\n".join(notes)]))


def _columns(rows):
    """Rows of cells, the first to the left, the others to the right."""
    rows = [list(map(visible, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join([row[0].ljust(widths[0]), *map(
        str.rjust, row[1:], widths[1:])]) for row in rows)


def _markdown(args, test, results, pairs, notes):
    """The report: the tables, the picture, and how to get them again."""
    first = results[0]
    return to_markdown(f"{len(results)} models on {test.source}", [
        *[Note("LEAKY:", LEAKY)] * first.leaky,
        *[Note("Drawn faces.", DRAWN_FACES)] * (not (args.data or args.images)),
        f"{first.n} images; {first.protocol}. Intervals: {first.interval_method}.",
        Section("Accuracy", [
            Table(["model", "accuracy", "95% interval"],
                  [(name, Strong(one), interval) for name, (one, interval) in
                   zip(args.models, map(_accuracy, results))]),
            Picture(PICTURE, "Accuracy of each model and its 95 % interval.")]),
        Section("Pairs", [Table(list(PAIR), [_pair(args.models, i, j, pair) for (i, j),
                                             pair in pairs.items()]), Items(notes)]),
        Section("To repeat it", [
            Code(shlex.join(["minifer", *sys.argv[1:]])),
            Table(["file", "sha256"],
                  [(name, files.sha256(name)) for name in args.models])])])
