"""What a folder holds, sorted by name, so that every machine reads one order."""

import os

from ..errors import DatasetError

__all__ = ["folders", "files", "tree"]


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


def tree(path):
    """Paths of the files inside folder ``path`` and all folders in it, relative to it.

    Links to folders are not followed, for they may lead round in a circle.

    Returns
    -------
    list of str
        Sorted by folder and name.

    Raises
    ------
    DatasetError
        As :func:`folders`.
    """
    inside = [os.path.join(name, below) for name in folders(path)
              if not os.path.islink(os.path.join(path, name))
              for below in tree(os.path.join(path, name))]
    return files(path) + inside


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
