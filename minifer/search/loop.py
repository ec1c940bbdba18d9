"""The loop: ask a strategy, try what it proposes, tell it how that went."""

import contextlib
import os
from dataclasses import dataclass

from ..errors import SettingError, check_count, check_seed
from ..files import lock_folder
from ..progress import Progress
from .processes import Processes
from .space import check_space, space_size
from .strategies import STRATEGIES
from .trials import Record, Trial

__all__ = ["search", "SearchResult", "SearchInterrupted"]

#: Trials of a round on a runner, whose size must not matter.
AT_ONCE = 8


class SearchInterrupted(KeyboardInterrupt):
    """Ctrl-C was pressed; the trials that had ended are in the record."""


@dataclass(frozen=True)
class SearchResult:
    """The result of a search.

    Attributes
    ----------
    trials : list of Trial
        Trials by number, failed ones among them.
    """

    trials: list

    @property
    def best(self):
        """The trial of the highest score, the first of equals."""
        return max((trial for trial in self.trials if trial.score is not None),
                   key=lambda trial: trial.score)

    @property
    def best_settings(self):
        """The settings (a dict) of the best trial."""
        return self.best.settings

    @property
    def best_score(self):
        """The highest score."""
        return self.best.score

    def rows(self):
        """A table: a header, and a row a trial with what it was and how it went."""
        yield "trial", "score", *self.best_settings, "seconds", "status"
        for trial in self.trials:
            values = map(value_text, trial.settings.values())
            score = "" if trial.score is None else f"{trial.score:.4f}"
            status = trial.status + (f": {trial.reason}" if trial.reason else "")
            yield (str(trial.number), score, *values, f"{trial.seconds:.1f}",
                   status + ", the best" * (trial is self.best))

    def __str__(self):
        rows = list(self.rows())
        widths = [max(map(len, column)) for column in zip(*rows)]
        return "\n".join("  ".join(
            text.ljust(width) if place == len(row) - 1 else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths))).rstrip()
            for row in rows)


def search(objective, space, strategy="anneal", trials=30, seed=0, jobs=1, at_once=None,
           folder=None, resume=False, about=None, progress=None, runner=None):
    """Look for the settings with the highest score.

    Parameters
    ----------
    objective : function
        Takes a dict of name -> value and returns a number, which is **maximised**:
        return an accuracy, or a loss times −1. If it raises, or returns what is no
        finite number, the trial is recorded as failed and the search goes on. With
        ``jobs`` > 1 it must be picklable and, as it runs in processes that start
        afresh, the script that calls this must do so under ``if __name__ ==
        "__main__":``.
    space : dict of str -> Float, Int or Choice
        See :func:`minifer.search.parse_space` for the way to write one in words.
    strategy : {'anneal', 'random', 'optuna'}
        :class:`~minifer.search.Annealing`, in rounds of ``at_once`` neighbours,
        :class:`~minifer.search.RandomSearch`, or
        :class:`~minifer.search.Optuna`, if that library is installed.
    trials : int, default 30
        How many settings to try: fewer if the space does not have so many.
    seed : int >= 0
        Seed of the proposals. The objective seeds itself.
    jobs : int, default 1
        Trials that run at the same time, each in a process of its own with
        1/jobs of the threads. With 1 they run in this process.
    at_once : int, default jobs, or 8 with a runner
        Trials of a round: they are proposed together, before any of them is known.
        What is proposed depends on the seed, on this and on the scores, but neither on
        ``jobs``, nor on the size of a cluster, nor on which trial ends first.
    folder : str or path-like, optional
        Where ``trials.jsonl`` is kept up to date.
    resume : bool, default False
        Continue from the folder's record if there is one. The result is the same as
        without the interruption, if the objective gives the same scores for the same
        settings. ``trials`` may be higher than before.
    about : dict, optional
        What else the scores depend on (the data, say), JSON-ready; it is recorded, and
        a search about something else is not continued.
    progress : Progress, optional
        Where to write a line for each trial.
    runner : function, optional
        Who runs the trials: ``runner(objective, proposals)`` yields ``(number,
        outcome)`` as they end, in any order. :class:`~minifer.search.Dask` runs them on
        a cluster. Default: :class:`~minifer.search.Processes` with these ``jobs``.

    Returns
    -------
    SearchResult

    Raises
    ------
    SettingError
        For a space, number or name that makes no sense, for a record of another
        search, and if not one trial succeeded.
    OutputError
        If the folder cannot be written, or another search is at work in it.
    SearchInterrupted
        On Ctrl-C. Trials that run are stopped; the record has those that had ended.

    Examples
    --------
    >>> from minifer.search import Choice, Float, search
    >>> def objective(settings):
    ...     return -(settings["x"] - 1) ** 2 - (settings["kind"] == "bad")
    >>> result = search(objective, {"x": Float(-3, 3), "kind": Choice(["good", "bad"])})
    >>> result.best_settings["kind"], result.best_score > -0.1
    ('good', True)
    """
    check_space(space)
    seed, processes = check_seed(seed), Processes(jobs)
    if runner is not None and processes.jobs > 1:
        raise SettingError(f"jobs: expected a runner or jobs, got both, {jobs} jobs. "
                           "How many trials run at a time is the runner's business.")
    if at_once is None:
        at_once = processes.jobs if runner is None else AT_ONCE
    at_once = check_count("at_once", at_once)
    trials = min(check_count("trials", trials), space_size(space))
    if strategy not in STRATEGIES:
        raise SettingError(f"strategy: expected one of {', '.join(STRATEGIES)}, got "
                           f"{strategy!r}.")
    walk = STRATEGIES[strategy](space, seed)
    about = {"strategy": strategy, "seed": seed, "at_once": at_once,
             "space": {name: repr(one) for name, one in space.items()},
             "about": about or {}, "trials": trials}
    progress = progress or Progress(enabled=False)
    with contextlib.nullcontext() if folder is None else lock_folder(folder):
        record = Record(about, folder, resume)
        if record.trials:
            progress.line(f"continuing after {len(record.trials)} trials")
        try:
            for first in range(1, trials + 1, at_once):
                numbers = range(first, min(first + at_once, trials + 1))
                proposals = dict(zip(numbers, walk.ask(numbers)))
                _run(objective, proposals, runner or processes, record, progress)
                walk.tell([record.trials[number] for number in numbers])
        except KeyboardInterrupt as error:
            kept = "nothing saved" if folder is None else (
                f"saved in {os.fspath(folder)}; --resume continues")
            raise SearchInterrupted(
                f"stopped after {record.count()} trials: {kept}") from error
    return _result([record.trials[number] for number in range(1, trials + 1)])


def _run(objective, proposals, runner, record, progress):
    """Try those of a round's proposals that are not in the record."""
    for number, settings in proposals.items():
        if number in record.trials and record.trials[number].settings != settings:
            raise SettingError(
                f"{record.path}: expected {settings} as trial {number}, got "
                f"{record.trials[number].settings}. The record was changed, or made by "
                "another version; choose another folder.")
    missing = {number: settings for number, settings in proposals.items()
               if number not in record.trials}
    if not missing:
        return
    ended = runner(objective, dict(missing))
    with contextlib.ExitStack() as stack:
        if hasattr(ended, "close"):  # a generator then stops what it runs
            stack.callback(ended.close)
        for number, (score, reason, seconds) in ended:
            if number not in missing or number in record.trials:
                raise SettingError("runner: expected an outcome of each trial, once, "
                                   f"got one of trial {number}.")
            trial = Trial(number, missing[number], score, seconds,
                          "ok" if reason is None else "failed", reason,
                          record.search["seed"])
            record.add(trial)
            progress.line(_line(trial, record))
    if missing.keys() - record.trials.keys():
        raise SettingError("runner: expected an outcome of each trial, got none of "
                           f"{sorted(missing.keys() - record.trials.keys())}.")


def _line(trial, record):
    """How a trial went, on one line."""
    scores = [one.score for one in record.trials.values() if one.score is not None]
    words = [f"trial {trial.number}/{record.search['trials']}",
             trial.reason or f"score {trial.score:.4f}",
             f"best {max(scores):.4f}" if scores else "",
             f"{trial.seconds:.1f} s", settings_text(trial.settings)]
    return "  ".join(filter(None, words))


def settings_text(settings):
    """Settings on one line.

    >>> settings_text({"lr": 0.00123456, "batch": 64, "flip": True})
    'lr=0.001235 batch=64 flip=true'
    """
    return " ".join(f"{name}={value_text(value)}" for name, value in settings.items())


def value_text(value):
    """A setting as it is shown, a number with four digits."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _result(trials):
    if all(trial.score is None for trial in trials):
        raise SettingError(
            f"search: expected one trial or more to succeed, got {len(trials)} that "
            f"failed, the first with '{trials[0].reason}'. Mend that and search again.")
    return SearchResult(trials)
