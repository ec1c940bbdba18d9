"""Evaluation: how good a network is, in numbers; :mod:`minifer.report` draws them.

``metrics.py`` has accuracy with its interval, ``calibration.py`` asks whether a network
knows what it does not know, ``comparison.py`` whether one is better than another, and
``explain.py`` where it looked.
"""

from .._lazy import door

_HOMES = {
    "evaluation_text": "table", "Evaluation": "metrics", "Scores": "metrics",
    "evaluate": "metrics", "confusion_matrix": "metrics",
    "precision_recall_f1": "metrics", "accuracy_interval": "metrics",
    "Calibration": "calibration", "calibrate": "calibration", "Pair": "comparison",
    "compare_pair": "comparison", "mcnemar": "comparison", "saliency": "explain",
    "grad_cam": "explain", "last_maps": "explain",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
