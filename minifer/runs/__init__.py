"""Runs: what every training script shares, from options to the written record.
"""

from .._lazy import door

_HOMES = {
    "fine_tune": "finetuning",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
