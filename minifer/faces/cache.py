"""A folder of finished face crops, so that no photo is searched twice.

An entry is one small file named by everything that decides its content (see
``faces.prepare``). It holds the SHA-256 of its pixels and then the pixels; an
entry that was cut or changed does not fit its sum and counts as absent.
"""

from __future__ import annotations

import hashlib
import os

import numpy as np

from .._types import FilePath
from ..errors import DatasetError, OutputError
from ..files import make_folder, read_bytes, reading, write_bytes

__all__ = ["CropCache", "cache_folder"]

_SUM = hashlib.sha256().digest_size
#: In bytes; a thousand faces of 500×500 pixels.
LARGEST_ENTRY = 1 << 28


def cache_folder() -> str:
    """Return the path of the folder where minifer keeps what it can recompute.

    It is ``$MINIFER_CACHE``, or ``$XDG_CACHE_HOME/minifer``, or
    ``~/.cache/minifer``: the first that is set. Deleting it costs time only.
    """
    if os.environ.get("MINIFER_CACHE"):
        return os.environ["MINIFER_CACHE"]
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(home, "minifer")


class CropCache:
    """Crops of ``size`` x ``size`` pixels in the files of one folder.

    Parameters
    ----------
    folder : str or path-like
        Created when the first entry is written.
    size : int
        Side of every crop in pixels.

    Attributes
    ----------
    problem : str or None
        Why entries cannot be written; after the first failure none is tried.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = CropCache(folder, size=2)
    ...     cache.put("ab12", np.full((1, 2, 2), 7, np.uint8))
    ...     cache.get("ab12").tolist(), cache.get("ff00")
    ([[[7, 7], [7, 7]]], None)
    """

    def __init__(self, folder: FilePath, size: int):
        self.folder = os.fspath(folder)
        self.size = size
        self.problem: str | None = None

    def get(self, key: str) -> np.ndarray | None:
        """Return the crops (K, size, size) of ``key``, or None if not there."""
        try:
            with reading(self._path(key), "crops", DatasetError) as file:
                entry = read_bytes(file, LARGEST_ENTRY, "crops")
        except DatasetError:
            return None  # absent or unreadable: the caller computes it again
        total, pixels = entry[:_SUM], entry[_SUM:]
        if (hashlib.sha256(pixels).digest() != total
                or len(pixels) % self.size ** 2):
            return None
        crops = np.frombuffer(pixels, np.uint8)
        return crops.reshape(-1, self.size, self.size)

    def put(self, key: str, crops: np.ndarray) -> None:
        """Keep ``crops`` (K, size, size) uint8 under ``key``; K may be 0."""
        if self.problem:
            return
        pixels = crops.tobytes()
        path = self._path(key)
        try:
            if not os.path.isdir(os.path.dirname(path)):
                make_folder(os.path.dirname(path))
            write_bytes(path, hashlib.sha256(pixels).digest() + pixels)
        except OutputError as error:
            self.problem = str(error)

    def _path(self, key):
        # 256 sub-folders keep each one short enough to list
        return os.path.join(self.folder, key[:2], key)
