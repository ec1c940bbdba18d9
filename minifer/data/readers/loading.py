"""Load a data set of any kind: how its files look tells which kind it is.

The loaders have options of their own; this chooses the loader, for commands that
take a data set of any kind.
"""

from __future__ import annotations

import os

from ..._types import FilePath, OnProgress
from ...errors import DatasetError, SettingError
from ..augment.offline import keep_together
from ..dataset import Dataset
from ..split_dataset import join
from .ckplus import IMAGE_FOLDERS, load_ck
from .fer2013 import load_fer2013
from .folders import load_folders
from .listing import folders
from .samples import load_samples

__all__ = ["load"]


def load(path: FilePath, labels: FilePath | None = None, faces: str | None = None,
         strict: bool = False, cache: FilePath | bool | None = None,
         progress: OnProgress | None = None, merge_alike: bool = False) -> Dataset:
    """Load a data set of any kind.

    Parameters
    ----------
    path : str or path-like
        A table like ``fer2013.csv``; a folder of class folders, whose augmented
        copies are kept with their source; a folder of stored samples, ``ck`` and
        ``google``; a folder that holds CK+'s images and labels; or, with
        ``labels``, CK+'s image root.
    labels : str or path-like, optional
        CK+'s label root.
    faces : {'haar', 'whole'}, optional
        Find the face on each image, or take images whole. Default: find it in CK+.
    strict : bool
        Refuse a table with a bad row, or class folders with an unreadable image,
        rather than leave them out and list them in the notes. For the other kinds
        everything must be readable anyway.
    cache, progress
        As for :func:`~minifer.data.readers.ckplus.load_ck`.
    merge_alike : bool
        Make one class of class folders whose names mean the same; see
        :func:`~minifer.data.readers.folders.load_folders`.

    Returns
    -------
    Dataset
        A :class:`~minifer.data.split_dataset.SplitDataset`, except for CK+.

    Raises
    ------
    SettingError
        If ``faces`` is given for a kind that holds faces already.
    DatasetError
        If nothing is there, or it is no data set.
    LabelError, ImageError, BackendUnavailable
        As the loaders.
    """
    path = os.fspath(path)
    if not os.path.exists(path):
        raise DatasetError(f"{path}: expected a csv file or a folder, found nothing. "
                           "Check the path.")
    inside = {name.lower() for name in folders(path)} if os.path.isdir(path) else set()
    if labels is not None or inside.intersection(IMAGE_FOLDERS):
        return load_ck(path, path if labels is None else labels, faces=faces or "haar",
                       cache=cache, progress=progress)
    if not os.path.isdir(path) or inside.intersection(("ck", "google")):
        if faces is not None:
            raise SettingError(f"faces: expected nothing for {path}, which holds face "
                               f"crops already, got {faces!r}.")
        return (join(load_samples(path)) if inside else load_fer2013(path, strict))
    return keep_together(load_folders(path, faces=faces or "whole", strict=strict,
                                      cache=False if cache is None else cache,
                                      progress=progress, merge_alike=merge_alike))
