"""Files are written whole or not at all.

Each writer fills a temporary file beside the target, flushes it to the disk,
and renames it over the target, which POSIX and Windows promise to do in one
step. A crash, a full disk or a killed process leaves the old file as it was.
"""

import contextlib
import glob
import json
import os
import secrets
import tempfile

from .errors import OutputError

__all__ = ["atomic_write", "write_bytes", "write_text", "write_json", "make_folder",
           "remove_leftovers"]


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
    path = os.fspath(path)
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
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
