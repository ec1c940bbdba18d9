"""Searching for good settings: at random, by annealing, or with optuna.

>>> from minifer.search import parse_space, search
>>> space = parse_space(["n=int:1:9"])
>>> result = search(lambda settings: -abs(settings["n"] - 7), space)
>>> result.best_settings, result.best_score, len(result.trials)
({'n': 7}, 0.0, 9)

``space`` says what may be chosen, ``strategies`` what to try next, ``processes`` or
``cluster`` runs it, ``trials`` remembers it, ``loop`` ties them together;
:func:`minifer.report.search_curve` draws it.
"""

from .._lazy import door

_HOMES = {
    "search": "loop", "SearchResult": "loop", "SearchInterrupted": "loop",
    "Trial": "trials", "RECORD": "trials", "Float": "space", "Int": "space",
    "Choice": "space", "parse_space": "space", "Annealing": "strategies",
    "RandomSearch": "strategies", "Optuna": "strategies", "acceptance": "strategies",
    "Processes": "processes", "Dask": "cluster", "open_runner": "options",
    "runner_options": "options", "runner_given": "options",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
