"""What a folder holds, sorted by name, so that every machine reads one order."""

import os

from ..errors import DatasetError

__all__ = ["folders", "files"]


def folders(path):
    """Names of the folders inside folder ``path``, sorted, without hidden ones.

    Raises
    ------
    DatasetError
        If ``path`` is no folder or cannot be listed.
    """
    return [entry.name for entry in _entries(path) if entry.is_dir()]


def files(path):
    """Names of the files inside folder ``path``, as :func:`folders`."""
    return [entry.name for entry in _entries(path) if entry.is_file()]


def _entries(path):
    """Hidden names are left out: macOS strews .DS_Store and ._ files about."""
    try:
        with os.scandir(path) as entries:
            return sorted((entry for entry in entries
                           if not entry.name.startswith(".")),
                          key=lambda entry: entry.name)
    except OSError as error:
        raise DatasetError(
            f"{path}: expected a folder that can be listed, got '{error.strerror}'. "
            "Check the path and its permissions.") from error
