"""Evaluation: how good a network is, in numbers; :mod:`minifer.report` draws them.

``metrics.py`` has accuracy with its interval, ``calibration.py`` asks whether a network
knows what it does not know, ``comparison.py`` whether one is better than another, and
``explain.py`` where it looked.
"""

from typing import TYPE_CHECKING

from .._lazy import door

_HOMES = {
    "evaluation_text": "table", "Evaluation": "metrics", "Scores": "metrics",
    "evaluate": "metrics", "confusion_matrix": "metrics",
    "precision_recall_f1": "metrics", "accuracy_interval": "metrics",
    "Calibration": "calibration", "calibrate": "calibration", "Pair": "comparison",
    "compare_pair": "comparison", "mcnemar": "comparison", "saliency": "explain",
    "grad_cam": "explain", "last_maps": "explain",
}

if TYPE_CHECKING:  # the same, for those who read and never run
    from .calibration import Calibration, calibrate
    from .comparison import Pair, compare_pair, mcnemar
    from .explain import grad_cam, last_maps, saliency
    from .metrics import (Evaluation, Scores, accuracy_interval, confusion_matrix,
                          evaluate, precision_recall_f1)
    from .table import evaluation_text

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
