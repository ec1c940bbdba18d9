"""What a run leaves: its pictures, its history, and a report that can be repeated."""

import os
import platform

import numpy as np

from .. import __version__, layers
from ..evaluation.calibration import calibrate
from ..faces.preprocessing import Preprocessing
from ..files import write_json
from ..report import plots
from ..report.evaluation_plots import reliability_diagram
from ..report.html import write_html_report
from ..report.text import write_history, write_report
from .data import DRAWN
from .options import command

__all__ = ["REPORTS", "draw", "draw_first_layer", "describe_run", "describe_data",
           "versions", "write_run", "best_accuracy"]

#: Names of the files that tell of a run.
REPORTS = "report.md", "report.html"


def draw(out, faces, probabilities, evaluation, result=None, model=None):
    """Draw the pictures of a report into a folder.

    Parameters
    ----------
    out : str
    faces : minifer.data.Dataset
        The faces that were judged.
    probabilities : array (N, K)
    evaluation : minifer.evaluation.Evaluation
    result : minifer.training.Result, optional
        Given after a training, with ``model``; then its learning curves and the
        model's first layer are drawn, too.
    model : minifer.weights.Model, optional

    Returns
    -------
    list of (str, str)
        File names and captions.
    """
    calibration = calibrate(probabilities, faces.labels)
    pictures = {}
    if result:
        pictures["learning_curves.png"] = (
            plots.learning_curves(result.history, result.best_epoch),
            "Loss and accuracy after each epoch.")
    pictures["confusion_matrix.png"] = (
        plots.confusion_matrix(evaluation.confusion, evaluation.classes,
                               protocol=evaluation.protocol),
        f"Who is taken for whom{' on the test part' if result else ''}.")
    pictures["calibration.png"] = reliability_diagram(calibration), str(calibration)
    if model:
        pictures |= draw_first_layer(model, faces.images[:1])
    pictures["most_wrong.png"] = (
        plots.most_wrong(faces.images[:, 0], probabilities, faces.labels,
                         evaluation.classes, protocol=evaluation.protocol),
        "The mistakes the network was surest of.")
    for name, (figure, _) in pictures.items():
        plots.save(figure, os.path.join(out, name))
    return [(name, caption) for name, (_, caption) in pictures.items()]


def draw_first_layer(model, face):
    """Draw the first convolution's filters, and its maps of a face (1, C, H, W).

    Returns
    -------
    dict
        File name -> (figure, caption); empty for a network without convolution.
    """
    convs = [one for one in layers.get_all_layers(model.network)
             if isinstance(one, layers.Conv2DLayer)]
    if not convs:
        return {}
    steps = Preprocessing.from_dict(model.preprocessing)
    maps = layers.get_output(convs[0], steps(face), deterministic=True)[0]
    return {
        "filters.png": (
            plots.filters(convs[0].W.value, title="Filters of the first layer"),
            "The filters of the first layer."),
        "activations.png": (
            plots.activations(maps, face[0, 0], title="What the first layer sees"),
            "One test face and what the first layer makes of it.")}


def describe_data(faces, source):
    """The data of a record: where they come from, and how many of each class."""
    counts = np.bincount(faces.labels, minlength=len(faces.classes))
    return {"source": source, "embedded": source == DRAWN, "n": len(faces),
            "subjects": len(set(faces.subjects)), "fingerprint": faces.fingerprint,
            "per_class": dict(zip(faces.classes, counts.tolist()))}


def describe_run(args, title, source, faces, result, evaluation, seconds):
    """Everything a stranger needs to repeat a training, JSON-ready."""
    left_out = {reason: names for reason, names in faces.notes.items()
                if isinstance(names, list)}
    return {
        "title": title,
        "command": command(args), "seed": args.seed, "settings": vars(args),
        "versions": versions(),
        "data": describe_data(faces, source) | {
            "no_face": left_out.get("no_face", []),
            "left_out": {reason.replace("_", " "): len(names)
                         for reason, names in left_out.items()}},
        "training": {"epochs": len(result.history), "best_epoch": result.best_epoch,
                     "seconds": round(sum(row["seconds"] for row in result.history), 1),
                     "seconds_in_all": round(seconds, 1)} | result.made_with,
        "results": evaluation.to_dict()}


def versions():
    """The versions and the machine that the numbers may depend on."""
    return {"minifer": __version__, "numpy": np.__version__,
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores"}


def write_run(out, record, result, evaluation, pictures):
    """Write history, record and report into a folder, and print the evaluation.

    In this order: what was printed can be lost, with who reads it.
    """
    write_history(os.path.join(out, "history.csv"), result.history)
    write_json(os.path.join(out, "run.json"), record)
    record = record | {"results": {}}
    report = write_report(out, record, evaluation, pictures)
    write_html_report(out, record, evaluation, pictures)
    print(evaluation)
    print(f"\n{report} holds the report, {os.path.join(out, 'model.npz')} the model.")


def best_accuracy(result):
    """The best accuracy on the validation part, over all epochs."""
    return max(row["valid_accuracy"] for row in result.history)
