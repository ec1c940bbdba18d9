"""What a folder holds, sorted by name, so that every machine reads one order."""

import glob
import os

from ...errors import DatasetError

__all__ = ["folders", "files", "tree", "expand"]


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
        Files first, then those in folders; each sorted by name.

    Raises
    ------
    DatasetError
        As :func:`folders`.
    """
    inside = [os.path.join(name, below) for name in folders(path)
              if not os.path.islink(os.path.join(path, name))
              for below in tree(os.path.join(path, name))]
    return files(path) + inside


def expand(words, endings):
    """The files that the words of a command line name, in their order.

    Parameters
    ----------
    words : iterable of str
        A folder stands for the files in it and below that have one of the endings,
        as :func:`tree` sorts them; a pattern with ``*``, ``?`` or ``[`` for what it
        matches, ``**`` for folders at any depth; any other word for itself, be it
        there or not.
    endings : tuple of str
        Endings such as ``(".jpg", ".png")``, in small letters; names may have capitals.

    Returns
    -------
    found : list of str
    others : list of str
        Files in the folders that have none of the endings.

    Raises
    ------
    DatasetError
        If a folder cannot be listed.
    """
    found, others = [], []
    for word in map(os.fspath, words):
        there = os.path.exists(word)
        matches = () if there else sorted(glob.glob(word, recursive=True))
        for path in matches or [word]:
            if not os.path.isdir(path):
                found.append(path)
                continue
            for name in tree(path):
                wanted = name.lower().endswith(endings)
                (found if wanted else others).append(os.path.join(path, name))
    return found, others


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
