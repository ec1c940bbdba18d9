"""Writing results down: an evaluation as text, a run as Markdown, epochs as CSV.

A report holds what a stranger needs to believe a number and to get it again:
the data and what was left out of them, the protocol, the settings, the
command, the seed and the versions; then the number; then its limits.

>>> print(history_csv([{"epoch": 1, "train_loss": 1.9, "seconds": 3.5}]), end="")
epoch,train_loss,valid_loss,valid_accuracy,seconds,learning_rate
1,1.9,,,3.5,
"""

import os
import shlex

from .. import files
from ..evaluation.table import LEAKY, accuracy_text, score_rows, size_text
from .document import (Code, Items, Mono, Note, Picture, Section, Strong, Table, pairs,
                       to_markdown)

__all__ = ["history_csv", "write_history", "run_report", "write_report",
           "write_search_report"]

HISTORY_COLUMNS = ("epoch", "train_loss", "valid_loss", "valid_accuracy",
                   "seconds", "learning_rate")
DRAWN_FACES = ("The data are the drawn faces embedded in minifer, for trying "
               "and testing. This result says nothing about real faces.")
LIMITS = (
    "This is for learning how networks work. It measures how often a network gives a "
    "picture the label that somebody once gave it; what the person felt is not in the "
    "picture.",
    "Inferring the emotions of people at work or in education is prohibited in the "
    "European Union, except for medical or safety reasons (Regulation (EU) 2024/1689, "
    "the AI Act, Article 5(1)(f)). Do not assess pupils, students or staff with it.",
    "The numbers hold for faces like those tested. Other cameras, ages, skin tones, "
    "poses and spontaneous expressions can do much worse.")
BEST_OF_MANY = """\
The best score is the highest of many on the same validation part, so it flatters.
Train with the best settings, and believe what the test part says."""
LISTED_AT_MOST = 20
RUN_PARTS = ("data", "hashes", "results", "settings", "training", "versions")


def history_csv(history):
    """Write the epochs of a training run as CSV.

    Parameters
    ----------
    history : list of dict
        One an epoch, with the keys epoch, train_loss, valid_loss,
        valid_accuracy (fraction), seconds, learning_rate. A missing or None
        value gives an empty cell; other keys become columns further right.

    Returns
    -------
    str
        A header and one line an epoch.
    """
    others = {key: None for epoch in history for key in epoch
              if key not in HISTORY_COLUMNS}
    columns = [*HISTORY_COLUMNS, *others]
    return files.csv_text([columns, *([epoch.get(name) for name in columns]
                                      for epoch in history)])


def write_history(path, history):
    """Write :func:`history_csv` to ``path``, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    files.write_text(path, history_csv(history))


def run_report(run, evaluation, pictures=()):
    """What was done, what came out, what it is worth.

    Parameters
    ----------
    run : dict
        What is known about the run. What is missing or None is left out.

        - ``title``, ``command`` (str, or list of arguments), ``seed``;
        - ``settings``, ``versions``, ``hashes`` (file → sha256),
          ``training`` (``epochs``, ``best_epoch``, ``seconds``), ``results``
          (further results): dicts of name → value;
        - ``data``: dict of ``source``, ``embedded`` (bool: the drawn faces),
          ``n``, ``subjects``, ``fingerprint``, ``per_class`` (class → frames),
          ``no_face`` (list of files), ``left_out`` (reason → count)
    evaluation : minifer.evaluation.Evaluation
    pictures : list of (file name, caption)
        File names relative to the folder of the report.

    Returns
    -------
    title : str
    blocks : list of blocks
        See :mod:`minifer.report.document`.
    """
    run = run | {part: run.get(part) or {} for part in RUN_PARTS}
    return run.get("title") or "Report of a training run", [
        *_opening(run, evaluation),
        Section("Results", _results(run, evaluation)),
        Section("Classes", [_classes(evaluation)]),
        Section("Confusion matrix", _confusion(evaluation)),
        Section("Pictures", [Picture(*picture) for picture in pictures]),
        Section("Data", _data(run["data"])),
        Section("Training", [pairs(run["training"])]),
        Section("To repeat it", _recipe(run)),
        Section("Limits", [Items(LIMITS)])]


def write_report(folder, run, evaluation, pictures=()):
    """Write ``report.md``: :func:`run_report` as Markdown.

    Parameters
    ----------
    folder : str or path-like
        Existing folder of the run; the pictures lie in it.
    run, evaluation, pictures
        As for :func:`run_report`.

    Returns
    -------
    str
        Path of the report.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    path = os.path.join(os.fspath(folder), "report.md")
    files.write_text(path, to_markdown(*run_report(run, evaluation, pictures)))
    return path


def write_search_report(folder, run, result, pictures=()):
    """Write the ``report.md`` of a search for good settings.

    Parameters
    ----------
    folder : str or path-like
        Existing folder of the search; the pictures lie in it.
    run : dict
        ``title``, ``method`` (what was searched how, and what a score is), ``best``
        (the command that trains with the best settings); ``command``, ``seed``,
        ``settings`` and ``versions`` as for :func:`write_report`; ``embedded`` (bool:
        the drawn faces).
    result : minifer.search.SearchResult
    pictures : list of (file name, caption)

    Returns
    -------
    str
        Path of the report.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    path = os.path.join(os.fspath(folder), "report.md")
    header, *rows = result.rows()
    best = {"score": result.best_score, "trial": result.best.number,
            **{name: str(value) for name, value in result.best_settings.items()}}
    files.write_text(path, to_markdown(run["title"], [
        run["method"],
        *[Note("Drawn faces.", DRAWN_FACES)] * bool(run.get("embedded")),
        Section("Best settings", [pairs(best), Code(run["best"]), BEST_OF_MANY]),
        Section("Pictures", [Picture(*picture) for picture in pictures]),
        Section("Trials", [Table(header, rows)]),
        Section("To repeat it", _recipe({"hashes": {}, **run}))]))
    return path


def _opening(run, evaluation):
    yield ("A network that sorts pictures of faces by expression, trained and "
           "evaluated with minifer, a deep-learning library for teaching.")
    if evaluation.leaky:
        yield Note("LEAKY:", LEAKY)
    if run["data"].get("embedded"):
        yield Note("Drawn faces.", DRAWN_FACES)


def _results(run, evaluation):
    known = evaluation.to_dict()
    others = {name: value for name, value in run["results"].items()
              if name not in known}
    rows = {
        "accuracy": Strong(accuracy_text(evaluation)),
        "balanced accuracy": f"{evaluation.balanced_accuracy:.1%}",
        "macro F1": f"{evaluation.macro.f1:.1%}",
        "n": size_text(evaluation),
        "classes": ", ".join(evaluation.classes),
        "protocol": evaluation.protocol,
        "interval": f"95%, {evaluation.interval_method}", **others}
    for fold in evaluation.folds:
        rows[f"fold {fold['fold']}"] = (
            f"{fold['accuracy']:.1%} of {fold['n']} frames")
    return [pairs(rows), Items(evaluation.notes)]


def _classes(evaluation):
    return Table(
        ["class", "precision", "recall", "F1", "frames"],
        [[name, f"{precision:.1%}", f"{recall:.1%}", f"{f1:.1%}", support]
         for name, precision, recall, f1, support in score_rows(evaluation)])


def _confusion(evaluation):
    rows = [[Strong(name), *row] for name, row in
            zip(evaluation.classes, evaluation.confusion.tolist())]
    return ["Rows are the true classes, columns what the network said.",
            Table(["", *evaluation.classes], rows, shaded=True)]


def _data(data):
    return [
        pairs({name: data.get(name)
               for name in ("source", "n", "subjects", "fingerprint")}),
        Table(["class", "frames"], (data.get("per_class") or {}).items()),
        Table(["left out because", "frames"], (data.get("left_out") or {}).items()),
        *_listing("No face was found in", data.get("no_face") or [])]


def _listing(title, names):
    if names:
        more = len(names) - LISTED_AT_MOST
        yield f"{title} {len(names)} file(s):"
        yield Items([*map(Mono, names[:LISTED_AT_MOST]),
                     *[f"… and {more} more"] * (more > 0)])


def _recipe(run):
    command = run.get("command", "")
    if not isinstance(command, str):
        command = shlex.join(map(str, command))
    return [
        Code(command),
        f"Seed: {run['seed']}" if run.get("seed") is not None else "",
        Table(["setting", "value"], run["settings"].items()),
        Table(["software", "version"], run["versions"].items()),
        Table(["file", "sha256"], run["hashes"].items())]
