"""The plan: how a network runs when it should run fast. See ``plan.py``."""

from .plan import Plan, runs_planned
from .workers import default_threads

__all__ = ["Plan", "runs_planned", "default_threads"]
