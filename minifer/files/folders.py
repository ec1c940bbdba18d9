"""Folders: locked for one program at a time, and filled whole or not at all."""

import atexit
import contextlib
import contextvars
import os
import secrets
import shutil
import warnings

from ..errors import DatasetError, OutputError
from .locks import lock
from .whole import check_target, make_folder

__all__ = ["new_folder", "lock_folder", "hold_folder", "release_folders", "break_lock"]

#: The file in a folder that is locked while a program writes there.
LOCK = ".minifer-lock"
#: Folders that this thread has locked, so that what it calls may use them, too.
_locked: contextvars.ContextVar[frozenset[str]] = contextvars.ContextVar(
    "locked folders", default=frozenset())
_until_the_end = contextlib.ExitStack()
atexit.register(_until_the_end.close)  # while modules are still whole


@contextlib.contextmanager
def lock_folder(path):
    """Make folder ``path`` and keep other programs and threads out of it for a block.

    They must ask with this function, too. However a program ends, the lock ends with
    it. What is called within the block may lock the folder again.

    Yields
    ------
    str
        The path.

    Raises
    ------
    OutputError
        If it cannot be written, or another run is at work there.
    """
    path = make_folder(path)
    real = os.path.realpath(path)
    if real in _locked.get():
        yield path
        return
    with _lock(os.path.join(real, LOCK), path):
        before = _locked.set(_locked.get() | {real})
        try:
            yield path
        finally:
            _locked.reset(before)


def hold_folder(path, names=()):
    """:func:`lock_folder` until the command has ended (:func:`release_folders`).

    Parameters
    ----------
    path : str or path-like
    names : iterable of str
        Files that will be written there: it is checked that they can be.

    Returns
    -------
    str
        The path.
    """
    path = make_folder(path)
    for name in names:
        check_target(os.path.join(path, name))
    return _until_the_end.enter_context(lock_folder(path))


def release_folders():
    """Let go of what :func:`hold_folder` holds."""
    _until_the_end.close()


def break_lock(path):
    """Take the lock of folder ``path`` away from whoever holds it.

    For the owner of the folder around it, who knows that the holder has been given up:
    a process that was stopped keeps its locks.
    """
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(path, LOCK))


@contextlib.contextmanager
def _lock(name, folder):
    """Hold the lock that is the file ``name``, which is gone afterwards."""
    while True:
        try:
            # Not to be inherited by programs that this one starts: they may live on.
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise OutputError(f"{folder}: could not be locked ({error.strerror}). "
                              "Choose another folder.") from error
        try:
            _lock_now(descriptor, folder)
            if _is(descriptor, name):  # or else its owner has just removed it
                break
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if os.name == "posix":  # while it is locked: no other run has it
                os.unlink(name)
        os.close(descriptor)
        with contextlib.suppress(OSError):
            if os.name != "posix":  # Windows removes nothing that is open
                os.unlink(name)


def _lock_now(descriptor, folder):
    try:
        free = lock(descriptor)
    except OSError as error:
        warnings.warn(f"{folder}: the disk has no locks ({error.strerror}), so do not "
                      "start two runs in this folder at a time.", stacklevel=2)
        return
    if not free:
        raise OutputError(f"{folder}: another run of minifer is at work in this folder."
                          " Wait for its end, or choose another folder.")


def _is(descriptor, name):
    """Whether the file that is open is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(name))
    except FileNotFoundError:
        return False


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
        If the folder cannot be created, or another run is about to.
    """
    path = os.path.normpath(path)
    if os.path.islink(path):  # an empty folder may be one
        path = os.path.realpath(path)
    if os.path.lexists(path) and (not os.path.isdir(path) or os.listdir(path)):
        raise DatasetError(f"{path}: expected an empty folder or none, but it is in "
                           "use. Choose another name, or remove what is there.")
    above, name = os.path.split(path)
    make_folder(above or ".")
    with _lock(os.path.join(above, f".{name[:50]}{LOCK}"), path):
        partial = f"{path}.{secrets.token_hex(4)}.partial"
        try:
            yield make_folder(partial)
            _put(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)  # gone when all went well


def _put(folder, path):
    """Rename a folder to ``path``, where nothing but an empty folder may be."""
    try:
        if os.path.isdir(path):
            os.rmdir(path)
        os.rename(folder, path)
    except OSError as error:
        raise OutputError(f"{path}: could not be created ({error.strerror}). Choose "
                          "another folder.") from error
