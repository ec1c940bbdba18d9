"""Data sets: read, split, made up. Plain arrays and names; no layers here.

>>> from minifer import data
>>> data.EMOTIONS[4]
'happiness'

Each name lives in the file that :data:`_HOMES` tells and is imported when it is
first used, so that ``import minifer`` does not wait for OpenCV.
"""

import importlib

_HOMES = {
    "load_ck": "ckplus", "scan_ck": "ckplus",
    "load_fer2013": "fer2013", "FER2013_CLASSES": "fer2013",
    "load_ferplus": "ferplus",
    "load_folders": "folders", "scan_folders": "folders", "save_folders": "folders",
    "load": "loading",
    "load_ck_soft": "softlabels", "SOFT_CLASSES": "softlabels", "ramp": "softlabels",
    "load_web": "webphotos",
    "save_samples": "samples", "load_samples": "samples",
    "Dataset": "dataset", "EMOTIONS": "dataset", "SplitDataset": "split_dataset",
    "join": "split_dataset",
    "balanced_weights": "balance",
    "clean": "cleaning", "count_copies": "cleaning",
    "exact_copies": "copies", "near_copies": "copies",
    "Augmentation": "augment", "augment_offline": "offline",
    "keep_together": "offline", "source_of": "offline",
    "audit": "auditing", "class_bars": "audit_pictures",
    "brightness_boxes": "audit_pictures", "sample_grid": "audit_pictures",
    "split_by_subject": "splits", "split_random": "splits", "k_fold": "splits",
    "describe": "splits", "cache_folder": "cache",
    "read_image": "images", "save_faces": "facefiles",
    "make_faces": "synthetic",
}

__all__ = list(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return getattr(module, name)


def __dir__():
    return sorted(set(globals()) | set(_HOMES))
