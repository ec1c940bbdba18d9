"""Searching for good settings: at random, by annealing, or with optuna.

>>> from minifer.search import parse_space, search
>>> space = parse_space(["n=int:1:9"])
>>> result = search(lambda settings: -abs(settings["n"] - 7), space)
>>> result.best_settings, result.best_score, len(result.trials)
({'n': 7}, 0.0, 9)

``space`` says what may be chosen, ``strategies`` what to try next, ``processes`` runs
it, ``trials`` remembers it, ``loop`` ties them together, ``picture`` draws it.
"""

from .loop import SearchInterrupted, SearchResult, search
from .picture import search_curve
from .space import Choice, Float, Int, parse_space
from .strategies import Annealing, Optuna, RandomSearch, acceptance
from .trials import RECORD, Trial

__all__ = ["search", "SearchResult", "SearchInterrupted", "Trial", "Float", "Int",
           "Choice", "parse_space", "Annealing", "RandomSearch", "Optuna", "acceptance",
           "search_curve", "RECORD"]
