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
import stat
import tempfile

from ..errors import OutputError
from .locks import lock
from .reading import open_file

__all__ = ["atomic_write", "atomic_path", "write_bytes", "write_text", "write_json",
           "write_new", "make_folder", "check_target", "remove_leftovers"]


@contextlib.contextmanager
def atomic_write(path):
    """Open a binary file that replaces ``path`` when the block ends well.

    Parameters
    ----------
    path : str or path-like
        The file to create or replace. Its folder must exist. Of a link, the file that
        it leads to is replaced.

    Yields
    ------
    file
        A writable binary file in the same folder. If the block raises, it is
        removed and ``path`` is left untouched.

    Raises
    ------
    OutputError
        If the file cannot be written (permission, full disk, no folder), or there is
        a folder, a pipe or a device of that name.
    """
    with _temporary(path) as temporary, open(temporary, "xb") as file:
        with contextlib.suppress(OSError):  # where there are none
            lock(file.fileno())  # so that remove_leftovers() lets it be
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
    target = _target(path)
    temporary = f"{_beside(target)}.{secrets.token_hex(4)}.tmp{ending}"
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        # Of a pipe whose reader has gone, never of this file.
        if isinstance(error, (OutputError, BrokenPipeError)):
            raise
        raise _unwritten(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # already renamed when all went well


def _target(path):
    """Where the file of this name lies; it is a file or nothing as yet."""
    try:
        kind = os.stat(path).st_mode
        if not stat.S_ISREG(kind):
            what = "a folder" if stat.S_ISDIR(kind) else "a pipe or a device"
            raise OSError(f"there is {what} of that name")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _unwritten(path, error) from error
    return os.path.realpath(path) if os.path.islink(path) else path


def _unwritten(path, error):
    return OutputError(
        f"{path or repr(path)}: could not be written ({error.strerror or error}). "
        "What stood there before is untouched; free some space or choose "
        "another folder.")


def _beside(path):
    """How temporary files of ``path`` begin; a long name is cut to leave some room."""
    folder, name = os.path.split(os.fspath(path))
    return os.path.join(folder, f".{name[:50]}")


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
            f"{path or repr(path)}: expected a folder that can be written, got "
            f"'{error.strerror or error}'. Choose another folder.") from error
    return path


def check_target(path):
    """Prove that a file of this name can be written, before the work of filling it.

    Raises
    ------
    OutputError
        If its folder can neither be found, made nor written, or there is a folder, a
        pipe or a device of that name.
    """
    path = os.fspath(path)
    if not os.path.basename(path):
        raise OutputError(f"{path or repr(path)}: expected the name of a file, got "
                          "none. Add one.")
    make_folder(os.path.dirname(path) or ".")
    make_folder(os.path.dirname(_target(path)) or ".")


def remove_leftovers(path):
    """Remove the temporary files that killed processes left beside ``path``.

    Those that a living one writes are locked, and stay.
    """
    for leftover in glob.glob(f"{glob.escape(_beside(path))}.*.tmp"):
        with contextlib.suppress(OSError), open_file(leftover) as file:
            if lock(file.fileno()) or os.name != "posix":
                os.unlink(leftover)


def write_bytes(path, data):
    """Write ``data`` (bytes) to ``path``, whole or not at all."""
    with atomic_write(path) as file:
        file.write(data)


def write_text(path, text):
    """Write ``text`` to ``path`` as UTF-8, whole or not at all.

    What is no valid Unicode, as in names of files in an old encoding, is written as
    ``\\udcb3``, which JSON reads as what it was.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path, value):
    """Write ``value`` to ``path`` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_new(path, text):
    """Write ``text`` to ``path`` as UTF-8, never over what is there.

    Raises
    ------
    OutputError
        If there is something of that name, or it cannot be written; no half of it is
        left then.
    """
    try:
        file = open(path, "xb")
    except OSError as error:
        raise _unmade(path, error) from error
    try:
        with file:
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(path)
        if isinstance(error, OSError):
            raise _unmade(path, error) from error
        raise


def _unmade(path, error):
    return OutputError(f"{path}: could not be made ({error.strerror or error}). Choose "
                       "a name that is free, in a folder that is there.")
