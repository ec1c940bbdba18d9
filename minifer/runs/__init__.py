"""Runs: what every training script shares, from options to the written record.

``experiment.py`` has the steps of a training; ``ck.py``, ``fer2013.py`` and
``transfer.py`` have a network and its data each.
"""

from .._lazy import door

_HOMES = {
    "CK": "ck", "FER2013": "fer2013", "Transfer": "transfer",
    "Experiment": "experiment", "load_best": "experiment",
    "fine_tune": "finetuning",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
