"""Writing results down: an evaluation as text, a run as Markdown, epochs as CSV.

A report holds what a stranger needs to believe a number and to get it again:
the data and what was left out of them, the protocol, the settings, the
command, the seed and the versions; then the number; then its limits.

>>> print(history_csv([{"epoch": 1, "train_loss": 1.9, "seconds": 3.5}]), end="")
epoch,train_loss,valid_loss,valid_accuracy,seconds,learning_rate
1,1.9,,,3.5,
"""

import csv
import io
import os
import shlex
import urllib.parse

from . import files

__all__ = ["evaluation_text", "history_csv", "write_history", "write_report",
           "write_search_report"]

HISTORY_COLUMNS = ("epoch", "train_loss", "valid_loss", "valid_accuracy",
                   "seconds", "learning_rate")
LEAKY = ("the test set leaks into training, so these numbers flatter. They "
         "say nothing about a face the network has never met.")
DRAWN_FACES = ("The data are the drawn faces embedded in minifer, for trying "
               "and testing. This result says nothing about real faces.")
LIMITS = """\
- This is for learning how networks work. It measures how often a network
  gives a *picture* the label that somebody once gave it; what the person felt
  is not in the picture.
- Inferring the emotions of people at work or in education is prohibited in
  the European Union, except for medical or safety reasons (Regulation (EU)
  2024/1689, the AI Act, Article 5(1)(f)). Do not assess pupils, students or
  staff with it.
- The numbers hold for faces like those tested. Other cameras, ages, skin
  tones, poses and spontaneous expressions can do much worse."""
BEST_OF_MANY = """\
The best score is the highest of many on the same validation part, so it flatters.
Train with the best settings, and believe what the test part says."""
LISTED_AT_MOST = 20
RUN_PARTS = ("data", "hashes", "results", "settings", "training", "versions")


def evaluation_text(evaluation):
    """Write an evaluation as a plain text table.

    Parameters
    ----------
    evaluation : minifer.evaluation.Evaluation

    Returns
    -------
    str
        Accuracy with interval, n, protocol, the scores of each class, the
        confusion matrix, folds and notes; a LEAKY stamp on top if deserved.
    """
    return "\n\n".join(filter(None, [
        _headline(evaluation), _class_text(evaluation),
        _confusion_text(evaluation), "\n".join(_fold_lines(evaluation)),
        "\n".join(evaluation.notes)]))


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
    text = io.StringIO()
    writer = csv.DictWriter(text, [*HISTORY_COLUMNS, *others],
                            lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def write_history(path, history):
    """Write :func:`history_csv` to ``path``, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    files.write_text(path, history_csv(history))


def write_report(folder, run, evaluation, pictures=()):
    """Write ``report.md``: what was done, what came out, what it is worth.

    Parameters
    ----------
    folder : str or path-like
        Existing folder of the run; the pictures lie in it.
    run : dict
        What is known about the run. What is missing or None is left out.

        - ``title``, ``command`` (str, or list of arguments), ``seed``;
        - ``settings``, ``versions``, ``hashes`` (file → sha256),
          ``training`` (``epochs``, ``best_epoch``, ``seconds``), ``results``
          (further results): dicts of name → value;
        - ``data``: dict of ``source``, ``embedded`` (bool: the drawn faces),
          ``n``, ``subjects``, ``per_class`` (class → frames), ``no_face``
          (list of files), ``left_out`` (reason → count)
    evaluation : minifer.evaluation.Evaluation
    pictures : list of (file name, caption)
        File names relative to ``folder``.

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
    run = run | {part: run.get(part) or {} for part in RUN_PARTS}
    sections = [
        _opening(run, evaluation),
        _section("Results", _results(run, evaluation)),
        _section("Classes", _classes(evaluation)),
        _section("Confusion matrix", _confusion(evaluation)),
        _section("Pictures", "\n\n".join(_pictures(pictures))),
        _section("Data", _data(run["data"])),
        _section("Training", _pairs(run["training"])),
        _section("To repeat it", _recipe(run)),
        _section("Limits", LIMITS)]
    files.write_text(path, "\n\n".join(filter(None, sections)) + "\n")
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
    sections = [
        f"# {_cell(run['title'])}", run["method"],
        f"> **Drawn faces.** {DRAWN_FACES}" if run.get("embedded") else "",
        _section("Best settings", "\n\n".join(
            [_pairs(best), f"```sh\n{run['best']}\n```", BEST_OF_MANY])),
        _section("Pictures", "\n\n".join(_pictures(pictures))),
        _section("Trials", _table(header, rows)),
        _section("To repeat it", _recipe({"hashes": {}, **run}))]
    files.write_text(path, "\n\n".join(filter(None, sections)) + "\n")
    return path


def _headline(result):
    lines = [f"accuracy           {_accuracy(result)}",
             f"balanced accuracy  {result.balanced_accuracy:.1%}",
             f"n                  {_size(result)}",
             f"protocol           {result.protocol}",
             f"interval           95%, {result.interval_method}"]
    if result.leaky:
        lines.insert(0, f"*** LEAKY: {LEAKY} ***")
    return "\n".join(lines)


def _accuracy(result):
    low, high = result.interval
    return f"{result.accuracy:.1%} ({low:.1%} … {high:.1%})"


def _size(result):
    people = f" of {result.subjects} subjects" if result.subjects else ""
    return f"{result.n} frames{people}, {len(result.classes)} classes"


def _score_rows(result):
    """Name, precision, recall, F1, support: each class, then the means."""
    yield from zip(result.classes, *result.per_class)
    yield "macro mean", *result.macro
    yield "weighted mean", *result.weighted


def _class_text(result):
    width = max(len("weighted mean"), *map(len, result.classes))
    return "\n".join(
        [f"{'class':{width}}  precision  recall      F1  support"]
        + [f"{name:{width}}  {precision:9.1%}  {recall:6.1%}  {f1:6.1%}  "
           f"{support:7d}"
           for name, precision, recall, f1, support in _score_rows(result)])


def _confusion_text(result):
    width = max(map(len, (*result.classes, str(result.confusion.max()))))
    return "\n".join(
        ["confusion (rows: true, columns: predicted)",
         " " * width + "".join(f"  {name:>{width}}" for name in result.classes)]
        + [f"{name:{width}}" + "".join(f"  {count:{width}d}" for count in row)
           for name, row in zip(result.classes, result.confusion)])


def _fold_lines(result):
    if result.folds:
        yield "fold       n  accuracy"
    for fold in result.folds:
        yield f"{fold['fold']!s:5} {fold['n']:6d}  {fold['accuracy']:8.1%}"


def _section(title, body):
    return f"## {title}\n\n{body}" if body else ""


def _opening(run, evaluation):
    lines = [f"# {_cell(run.get('title', 'Report of a training run'))}",
             "A network that sorts pictures of faces by expression, trained and "
             "evaluated with minifer, a deep-learning library for teaching."]
    if evaluation.leaky:
        lines.append(f"> **LEAKY:** {LEAKY}")
    if run["data"].get("embedded"):
        lines.append(f"> **Drawn faces.** {DRAWN_FACES}")
    return "\n\n".join(lines)


def _results(run, evaluation):
    known = evaluation.to_dict()
    others = {name: value for name, value in run["results"].items()
              if name not in known}
    rows = {
        "accuracy": f"**{_accuracy(evaluation)}**",
        "balanced accuracy": f"{evaluation.balanced_accuracy:.1%}",
        "macro F1": f"{evaluation.macro.f1:.1%}",
        "n": _size(evaluation),
        "classes": ", ".join(evaluation.classes),
        "protocol": evaluation.protocol,
        "interval": f"95%, {evaluation.interval_method}", **others}
    for fold in evaluation.folds:
        rows[f"fold {fold['fold']}"] = (
            f"{fold['accuracy']:.1%} of {fold['n']} frames")
    notes = [f"- {note}" for note in evaluation.notes]
    return "\n\n".join(filter(None, [_pairs(rows), "\n".join(notes)]))


def _classes(evaluation):
    return _table(
        ["class", "precision", "recall", "F1", "frames"],
        [[name, f"{precision:.1%}", f"{recall:.1%}", f"{f1:.1%}", support]
         for name, precision, recall, f1, support in _score_rows(evaluation)])


def _confusion(evaluation):
    rows = [[f"**{_cell(name)}**", *row] for name, row in
            zip(evaluation.classes, evaluation.confusion.tolist())]
    return ("Rows are the true classes, columns what the network said.\n\n"
            + _table(["", *evaluation.classes], rows))


def _pictures(pictures):
    for name, caption in pictures:
        caption = _cell(caption)
        yield f"![{caption}]({urllib.parse.quote(name)})\n\n*{caption}*"


def _data(data):
    parts = [
        _pairs({name: data.get(name) for name in ("source", "n", "subjects")}),
        _table(["class", "frames"], (data.get("per_class") or {}).items()),
        _table(["left out because", "frames"],
               (data.get("left_out") or {}).items()),
        _listing("No face was found in", data.get("no_face") or [])]
    return "\n\n".join(filter(None, parts))


def _listing(title, names):
    if not names:
        return ""
    lines = [f"{title} {len(names)} file(s):", ""]
    lines += [f"- `{name}`" for name in names[:LISTED_AT_MOST]]
    if len(names) > LISTED_AT_MOST:
        lines.append(f"- … and {len(names) - LISTED_AT_MOST} more")
    return "\n".join(lines)


def _recipe(run):
    command = run.get("command", "")
    if not isinstance(command, str):
        command = shlex.join(map(str, command))
    parts = [
        f"```sh\n{command}\n```" if command else "",
        f"Seed: {run['seed']}" if run.get("seed") is not None else "",
        _table(["setting", "value"], run["settings"].items()),
        _table(["software", "version"], run["versions"].items()),
        _table(["file", "sha256"], run["hashes"].items())]
    return "\n\n".join(filter(None, parts))


def _pairs(values):
    """A table of what is known; None is what is not."""
    return _table(["", ""], [[name.replace("_", " "), value]
                             for name, value in values.items()
                             if value is not None])


def _table(header, rows):
    """A Markdown table; numbers stand to the right, nothing if it is empty."""
    rows = [list(row) for row in rows]
    if not rows:
        return ""
    rule = ["---:" if all(map(_is_number, column)) else "---"
            for column in zip(*rows)]
    return "\n".join("| " + " | ".join(map(_cell, row)) + " |"
                     for row in [header, rule, *rows])


def _is_number(value):
    return isinstance(value, (int, float)) or str(value).endswith("%")


def _cell(value):
    """Text on one line that cannot break a table."""
    if isinstance(value, float):
        value = f"{value:.6g}"
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")
