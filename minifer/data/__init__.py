"""Data sets: read, split, made up. Plain arrays and names; no layers here.

>>> from minifer import data
>>> data.EMOTIONS[4]
'happiness'

``readers/`` has a file a format, ``drawn/`` draws faces of no real person,
``auditing/`` says what is wrong with a data set, ``augment/`` changes images.
"""

from typing import TYPE_CHECKING

from .._lazy import door

_HOMES = {
    "load_ck": "readers.ckplus", "scan_ck": "readers.ckplus",
    "load_fer2013": "readers.fer2013", "FER2013_CLASSES": "readers.fer2013",
    "load_ferplus": "readers.ferplus",
    "load_folders": "readers.folders", "scan_folders": "readers.folders",
    "save_folders": "readers.folders",
    "load": "readers.loading",
    "load_ck_soft": "readers.softlabels", "SOFT_CLASSES": "readers.softlabels",
    "ramp": "readers.softlabels",
    "load_web": "readers.webphotos",
    "save_samples": "readers.samples", "load_samples": "readers.samples",
    "Dataset": "dataset", "EMOTIONS": "dataset", "SplitDataset": "split_dataset",
    "join": "split_dataset",
    "balanced_weights": "balance",
    "clean": "auditing.cleaning", "count_copies": "auditing.cleaning",
    "exact_copies": "copies", "near_copies": "copies",
    "Augmentation": "augment", "augment_offline": "augment.offline",
    "keep_together": "augment.offline", "source_of": "augment.offline",
    "audit": "auditing",
    "split_by_subject": "splits", "split_random": "splits", "k_fold": "splits",
    "describe": "splits", "save_faces": "readers.facefiles",
    "make_faces": "drawn",
}

if TYPE_CHECKING:  # the same, for those who read and never run
    from .auditing import audit
    from .auditing.cleaning import clean, count_copies
    from .augment import Augmentation
    from .augment.offline import augment_offline, keep_together, source_of
    from .balance import balanced_weights
    from .copies import exact_copies, near_copies
    from .dataset import EMOTIONS, Dataset
    from .drawn import make_faces
    from .readers.ckplus import load_ck, scan_ck
    from .readers.facefiles import save_faces
    from .readers.fer2013 import FER2013_CLASSES, load_fer2013
    from .readers.ferplus import load_ferplus
    from .readers.folders import load_folders, save_folders, scan_folders
    from .readers.loading import load
    from .readers.samples import load_samples, save_samples
    from .readers.softlabels import SOFT_CLASSES, load_ck_soft, ramp
    from .readers.webphotos import load_web
    from .split_dataset import SplitDataset, join
    from .splits import describe, k_fold, split_by_subject, split_random

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
