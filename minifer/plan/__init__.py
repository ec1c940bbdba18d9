"""The plan: how a network runs when it should run fast. See ``plan.py``."""

from .cpu import CpuPlan
from .gpu import GpuPlan
from .plan import runs_planned
from .workers import default_threads

__all__ = ["CpuPlan", "GpuPlan", "runs_planned", "default_threads"]
