"""Compiled functions: what ``theano.function`` was, and the plans that run them.

``functions.py`` holds :func:`minifer.function`; ``plan.py`` what all plans share,
``cpu/`` and ``gpu/`` how a network runs fast on either, and ``standins.py`` what takes
the place of an expression's own passes.
"""

from .functions import Function, function

__all__ = ["Function", "function"]
