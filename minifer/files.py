"""Files are written whole or not at all.

Each writer fills a temporary file beside the target, flushes it to the disk,
and renames it over the target, which POSIX and Windows promise to do in one
step. A crash, a full disk or a killed process leaves the old file as it was.
"""

import contextlib
import csv
import glob
import hashlib
import json
import os
import secrets
import shutil
import tempfile
import types

from .errors import DatasetError, OutputError

__all__ = ["atomic_write", "atomic_path", "write_bytes", "write_text", "write_json",
           "csv_writer", "make_folder", "new_folder", "remove_leftovers", "sha256",
           "digest"]


@contextlib.contextmanager
def atomic_write(path):
    """Open a binary file that replaces ``path`` when the block ends well.

    Parameters
    ----------
    path : str or path-like
        The file to create or replace. Its folder must exist.

    Yields
    ------
    file
        A writable binary file in the same folder. If the block raises, it is
        removed and ``path`` is left untouched.

    Raises
    ------
    OutputError
        If the file cannot be written (permission, full disk, no folder).
    """
    with _temporary(path) as temporary, open(temporary, "xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def atomic_path(path):
    """:func:`atomic_write` for libraries that open files by name, as OpenCV does.

    Yields
    ------
    str
        A name in the same folder with the same ending, of no file as yet. When the
        block ends well, the file of that name replaces ``path``.
    """
    with _temporary(path, os.path.splitext(path)[1]) as temporary:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())


@contextlib.contextmanager
def _temporary(path, ending=""):
    """Yield a name beside ``path``; rename its file to ``path``, or remove it."""
    path = os.fspath(path)
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.tmp{ending}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"{path}: could not be written ({error.strerror or error}). "
            "What stood there before is untouched; free some space or choose "
            "another folder.") from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # already renamed when all went well


def remove_leftovers(path):
    """Remove the temporary files that killed processes left beside ``path``."""
    folder, name = os.path.split(os.fspath(path))
    pattern = os.path.join(glob.escape(folder), f".{glob.escape(name)}.*.tmp")
    for leftover in glob.glob(pattern):
        with contextlib.suppress(OSError):
            os.unlink(leftover)


def write_bytes(path, data):
    """Write ``data`` (bytes) to ``path``, whole or not at all."""
    with atomic_write(path) as file:
        file.write(data)


def write_text(path, text):
    """Write ``text`` to ``path`` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path, value):
    """Write ``value`` to ``path`` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def csv_writer(path):
    """Open a table that replaces ``path``, whole, when the block ends well.

    Yields
    ------
    csv.writer
        ``.writerow(values)`` adds a row; nothing is kept in memory. Names of files
        that are no valid Unicode keep their bytes.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with atomic_write(path) as file:
        text = types.SimpleNamespace(write=lambda row: file.write(
            row.encode("utf-8", "surrogateescape")))
        yield csv.writer(text, lineterminator="\n")


def make_folder(path):
    """Create folder ``path`` (and parents) and prove that it can be written.

    Raises
    ------
    OutputError
        If it cannot be created or nothing can be written into it. Commands
        call this first, so that no work is done whose result cannot be kept.
    """
    path = os.fspath(path)
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OutputError(
            f"{path}: expected a folder that can be written, got "
            f"'{error.strerror or error}'. Choose another folder.") from error
    return path


@contextlib.contextmanager
def new_folder(path):
    """Make a folder that appears when the block ends well, or not at all.

    Parameters
    ----------
    path : str or path-like
        Absent or an empty folder.

    Yields
    ------
    str
        A folder beside it to be filled. If the block raises, it is removed.

    Raises
    ------
    DatasetError
        If there is something at ``path`` already: it is left alone.
    OutputError
        If the folder cannot be created.
    """
    path = os.path.normpath(path)
    if os.path.exists(path) and (not os.path.isdir(path) or os.listdir(path)):
        raise DatasetError(f"{path}: expected an empty folder or none, but it is in "
                           "use. Choose another name, or remove what is there.")
    make_folder(os.path.dirname(path) or ".")
    partial = f"{path}.{secrets.token_hex(4)}.partial"
    try:
        yield make_folder(partial)
        _put(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # gone already when all went well


def _put(folder, path):
    """Rename a folder to ``path``, where nothing but an empty folder may be."""
    try:
        if os.path.isdir(path):
            os.rmdir(path)
        os.rename(folder, path)
    except OSError as error:
        raise OutputError(f"{path}: could not be created ({error.strerror}). Choose "
                          "another folder.") from error


def sha256(path):
    """The SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def digest(*parts):
    """A short fingerprint, 16 hexadecimal digits, of bytes or contiguous arrays.

    >>> digest(b"the same data")
    '1b1569b9edb95739'
    """
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()[:16]
