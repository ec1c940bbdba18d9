"""Weights in several files, with a list of them in JSON.

Keras writes ``model.weights.json`` beside ``model_00000.weights.h5`` and so on; the
libraries around safetensors write ``model.safetensors.index.json``. Both have a
``weight_map`` from names to files, or lists of files.
"""

from __future__ import annotations

import os

from ...errors import WeightsError, quoted
from ...files import parse_json, read_bytes

__all__ = ["beside"]

LONGEST, MOST_FILES = 1 << 26, 1000


def beside(path, file, endings):
    """The paths of the files that a list names, which lie in its folder.

    Parameters
    ----------
    path : str or path-like
        Path of the list.
    file : file
        The list, opened.
    endings : tuple of str
        What a file's name may end in.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If it is no such list.
    WeightsError
        If a file would lie in another folder, or is not there.
    """
    listed = parse_json(read_bytes(file, LONGEST, "JSON"))
    names = listed.get("weight_map") if isinstance(listed, dict) else None
    if not isinstance(names, dict) or not names:
        raise ValueError("no list of files, weight_map")
    found: dict = {}
    for entry in names.values():
        for name in entry if isinstance(entry, list) else [entry]:
            if not isinstance(name, str) or not name.endswith(endings):
                raise ValueError(f"{quoted(str(name))} in its list, expected names "
                                 f"that end in {' or '.join(endings)}")
            found[name] = None
    if len(found) > MOST_FILES:
        raise ValueError(f"more than {MOST_FILES} files in its list")
    folder, paths = os.path.dirname(os.path.abspath(path)), []
    for name in found:
        if os.path.basename(name) != name or "\\" in name:
            raise WeightsError(f"expected files of its own folder in its list, got "
                               f"{quoted(name)}.")
        paths.append(os.path.join(folder, name))
        if not os.path.isfile(paths[-1]):
            raise WeightsError(f"expected {quoted(name)} beside it, got no such file. "
                               "Get all files that its list names.")
    return paths
