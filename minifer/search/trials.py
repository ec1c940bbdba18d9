"""Trials, and the file that remembers them.

``trials.jsonl`` holds a JSON object a line: first the search (strategy, seed, space,
…), then its trials in the order in which they ended. It is rewritten after each
trial, whole or not at all, so it can be read, or continued, at any moment.
"""

import json
import math
import os
from dataclasses import asdict, dataclass

from ..errors import SettingError
from ..files import (make_folder, parse_json, reading, remove_leftovers,
                     write_text)

__all__ = ["Trial", "Record", "RECORD"]

#: The file's name.
RECORD = "trials.jsonl"


@dataclass(frozen=True)
class Trial:
    """One call of the objective.

    Attributes
    ----------
    number : int
        Counted from 1, in the order in which trials were proposed.
    settings : dict of str -> value
    score : float or None
        What the objective returned; None if it failed.
    seconds : float
        How long that took.
    status : {'ok', 'failed'}
    reason : str or None
        Why it failed, in one line.
    seed : int
        The seed of the search.
    """

    number: int
    settings: dict
    score: float | None
    seconds: float
    status: str
    reason: str | None
    seed: int


class Record:
    """The trials so far, by number, and their file.

    Parameters
    ----------
    search : dict
        What the trials depend on, JSON-ready; its ``trials`` is how many there shall be
        and may differ when a search is resumed.
    folder : str or path-like, optional
        Where the file lies; it is created. Default: nothing is kept.
    resume : bool, default False
        Start from the trials in the file, if there is one.

    Raises
    ------
    SettingError
        If the file is of another search, damaged, or of an interrupted search that
        would be overwritten.
    OutputError
        If the folder cannot be written.
    """

    def __init__(self, search, folder=None, resume=False):
        self.search = json.loads(json.dumps(search))  # as it will come back
        self.trials, self.path = {}, None
        if folder is None:
            return
        self.path = os.path.join(make_folder(folder), RECORD)
        remove_leftovers(self.path)
        if os.path.exists(self.path):
            before, trials = read_record(self.path)
            if resume:
                self._check(before)
                self.trials = trials
            elif len(trials) < before["trials"]:
                raise SettingError(
                    f"{self.path}: an interrupted search stands here ({len(trials)} of "
                    f"{before['trials']} trials). Continue it with --resume, or choose "
                    "another folder.")
        self._write()

    def add(self, trial):
        """Remember a trial that has ended."""
        self.trials[trial.number] = trial
        self._write()

    def count(self):
        """How many trials are kept: the file says, as Ctrl-C may come in between."""
        return len(self.trials if self.path is None else read_record(self.path)[1])

    def _write(self):
        if self.path is not None:
            lines = [self.search, *map(asdict, self.trials.values())]
            write_text(self.path, "".join(json.dumps(line, ensure_ascii=False) + "\n"
                                          for line in lines))

    def _check(self, before):
        """A record is continued by the search that made it."""
        for name in sorted(self.search.keys() - {"trials"}):
            was, now = before.get(name), self.search[name]
            if was != now:
                raise SettingError(
                    f"{self.path}: expected to continue with {name} = {was}, got {now}."
                    " Use the settings of the first start, or begin anew in another "
                    "folder.")


def read_record(path):
    """Read a ``trials.jsonl``.

    Returns
    -------
    search : dict
    trials : dict of int -> Trial

    Raises
    ------
    SettingError
        If the file cannot be read or is of another kind.
    """
    with reading(path, "the record of a search", SettingError,
                 "Choose another folder.") as file:
        search, *lines = map(parse_json, file)
        if not isinstance(search, dict) or not _is_count(search["trials"]):
            raise ValueError("no search in the first line")
        trials = {}
        for line in lines:
            trial = Trial(**line)
            if not _is_sound(trial) or trial.number in trials:
                raise ValueError(f"a trial {line}")
            trials[trial.number] = trial
        return search, trials


def _is_sound(trial):
    """Whether a trial of a file is such as the search itself notes."""
    ok = trial.status == "ok"
    return (_is_count(trial.number) and trial.number > 0 and _is_count(trial.seed)
            and isinstance(trial.settings, dict) and _is_number(trial.seconds)
            and (ok or trial.status == "failed") and (trial.reason is None) == ok
            and (_is_number(trial.score) if ok else trial.score is None)
            and isinstance(trial.reason, (str, type(None))))


def _is_count(value):
    return type(value) is int and value >= 0


def _is_number(value):
    return type(value) in (int, float) and math.isfinite(value)
