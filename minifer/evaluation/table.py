"""An evaluation as a plain text table."""

from __future__ import annotations

from typing import Any

from ..notebook import Cell, paragraph, table

__all__ = ["LEAKY", "evaluation_text", "evaluation_html", "accuracy_text", "size_text",
           "score_rows", "fold_lines"]

LEAKY = ("the test set leaks into training, so these numbers flatter. They "
         "say nothing about a face the network has never met.")


def evaluation_text(evaluation: Any) -> str:
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
        _confusion_text(evaluation), "\n".join(fold_lines(evaluation)),
        "\n".join(evaluation.notes)]))


def evaluation_html(evaluation: Any) -> str:
    """The same for a notebook; counts are shaded by their share of the row."""
    scores = [[name, *(f"{share:.1%}" for share in shares), f"{support:g}"]
              for name, *shares, support in score_rows(evaluation)]
    counts = [[name, *(Cell(int(count), _shade(count, row.sum())) for count in row)]
              for name, row in zip(evaluation.classes, evaluation.confusion)]
    return "".join(filter(None, [
        paragraph(_headline(evaluation)),
        table(["class", "precision", "recall", "F1", "support"], scores),
        paragraph("confusion (rows: true, columns: predicted)"),
        table(["", *evaluation.classes], counts),
        *(paragraph(line) for line in [*fold_lines(evaluation), *evaluation.notes])]))


def _shade(count, total):
    return f";background:rgba(0,114,178,{.55 * count / max(1, total):.3f})"


def _headline(result):
    lines = [f"accuracy           {accuracy_text(result)}",
             f"balanced accuracy  {result.balanced_accuracy:.1%}",
             f"n                  {size_text(result)}",
             f"protocol           {result.protocol}",
             f"interval           95%, {result.interval_method}"]
    if result.leaky:
        lines.insert(0, f"*** LEAKY: {LEAKY} ***")
    return "\n".join(lines)


def accuracy_text(result):
    """The accuracy with its interval, in per cent."""
    low, high = result.interval
    return f"{result.accuracy:.1%} ({low:.1%} … {high:.1%})"


def size_text(result):
    """How many frames, subjects and classes it is of."""
    people = f" of {result.subjects} subjects" if result.subjects else ""
    return f"{result.n} frames{people}, {len(result.classes)} classes"


def score_rows(result):
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
           for name, precision, recall, f1, support in score_rows(result)])


def _confusion_text(result):
    width = max(map(len, (*result.classes, str(result.confusion.max()))))
    return "\n".join(
        ["confusion (rows: true, columns: predicted)",
         " " * width + "".join(f"  {name:>{width}}" for name in result.classes)]
        + [f"{name:{width}}" + "".join(f"  {count:{width}d}" for count in row)
           for name, row in zip(result.classes, result.confusion)])


def fold_lines(result):
    """Lines of a table of the folds; none without folds."""
    if result.folds:
        yield "fold       n  accuracy"
    for fold in result.folds:
        yield f"{fold['fold']!s:5} {fold['n']:6d}  {fold['accuracy']:8.1%}"
