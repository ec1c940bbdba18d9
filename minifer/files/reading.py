"""Reading what is a file, and telling files and arrays apart by their content."""

import contextlib
import errno
import hashlib
import os
import stat
import tempfile

__all__ = ["open_file", "utf8_path", "sha256", "digest"]


def open_file(path, mode="rb", **options):
    """``open`` for reading, of files alone.

    A pipe would be waited for without end, and a device such as ``/dev/zero`` be read
    without end.

    Raises
    ------
    OSError
        As ``open`` does, and for a pipe or a device.
    """
    # Looked at before and after: opening some devices does things, and what has the
    # name may change.
    _check(os.stat(path), path)
    file = open(path, mode, opener=_open, **options)
    try:
        _check(os.fstat(file.fileno()), path)
    except OSError:
        file.close()
        raise
    return file


def _check(status, path):
    kind = status.st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):  # open() says it of a folder
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", path)


def _open(path, flags):
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@contextlib.contextmanager
def utf8_path(path):
    """A name of the same file for libraries that take valid Unicode only.

    Some end the whole process where a name is in an old encoding.

    Yields
    ------
    str
        ``path``, or a link to it that is there in this block.
    """
    path = os.fspath(path)
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory(prefix="minifer-") as folder:
            ending = os.path.splitext(path)[1].encode("ascii", "ignore").decode()
            link = os.path.join(folder, f"link{ending}")
            os.symlink(os.path.abspath(path), link)
            yield link
    else:
        yield path


def sha256(path):
    """The SHA-256 of a file's bytes, 64 hexadecimal digits."""
    found = hashlib.sha256()
    with open_file(path) as file:
        while part := file.read(1 << 20):
            found.update(part)
    return found.hexdigest()


def digest(*parts):
    """A short fingerprint, 16 hexadecimal digits, of bytes or contiguous arrays.

    >>> digest(b"the same data")
    '1b1569b9edb95739'
    """
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()[:16]
