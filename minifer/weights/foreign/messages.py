"""Texts out of a file, made fit for one line of an error message."""

__all__ = ["quoted", "one_line"]


def quoted(name):
    """A name in quotes, at most 80 characters of it.

    >>> quoted("os.system")
    "'os.system'"
    """
    return repr(name if len(name) <= 80 else name[:79] + "…")


def one_line(error):
    """The text of an error, or a name, on one line: 200 characters of it at most.

    >>> one_line(ValueError("no header\\n at all"))
    'no header at all'
    """
    return " ".join(str(error).split())[:200] or type(error).__name__
