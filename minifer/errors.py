"""The errors minifer raises: small, typed, and each says what to do.

Every message has three parts: what was expected, what came, and the remedy.
The commands turn a :class:`MiniferError` into one line and exit code 2, so
anything a user can cause is one of these; any other exception is our bug.

>>> raise NoFaceError("photo.jpg: no face found. Use a photo that shows one.")
Traceback (most recent call last):
    ...
minifer.errors.NoFaceError: photo.jpg: no face found. Use a photo that shows one.

Below them are the checks and texts that many messages share.
"""

import numbers
import re


class MiniferError(Exception):
    """Base of every error that minifer raises on purpose."""


class ShapeError(MiniferError, ValueError):
    """An array, a layer option or a parameter has the wrong shape or value."""


class SettingError(MiniferError, ValueError):
    """A setting (batch size, fraction, name of a method …) is out of range."""


class DatasetError(MiniferError, ValueError):
    """A data set is missing, laid out otherwise, or holds too little."""


class LabelError(DatasetError):
    """A label file is empty, not a number, or out of range."""


class ImageError(DatasetError):
    """An image file is unreadable, truncated, empty or far too small."""


class VideoError(DatasetError):
    """A video cannot be read or holds no frame, or a camera is not there."""


class NoFaceError(MiniferError, ValueError):
    """No face was found where one is needed."""


class WeightsError(MiniferError, ValueError):
    """A model file is truncated, foreign, of another network, or a pickle."""


class OutputError(MiniferError, OSError):
    """A file could not be written: no permission, no space, no folder."""


class BackendUnavailable(MiniferError, RuntimeError):
    """The device or a library it needs is missing on this machine."""


class KernelError(MiniferError, RuntimeError):
    """A kernel was called with the wrong arrays, or broke a rule of CUDA."""


class CaptureError(MiniferError, RuntimeError):
    """A task does what a graph cannot hold: it waits for the device, or copies."""


class NotFiniteError(MiniferError, ArithmeticError):
    """Training met a loss, activation or gradient that is NaN or infinite."""


class LeakageWarning(UserWarning):
    """A protocol lets the test set leak into training, so results flatter."""


class ResumeWarning(UserWarning):
    """A run goes on elsewhere than it began, so its last bits may differ."""


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
    return visible(" ".join(str(error).split()))[:200] or type(error).__name__


# What controls a terminal, turns the direction of writing, ends a line, or is half a
# letter, as names of files in an old encoding have them.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text, but=""):
    r"""A text, such as a name, with all that is not to be seen written out.

    Parameters
    ----------
    text : str
    but : str
        Characters that may stay, such as a newline.

    >>> print(visible("\x1b[2Jphoto\n.png"))
    \x1b[2Jphoto\n.png
    """
    return _INVISIBLE.sub(lambda one: one[0] if one[0] in but else one[0].encode(
        "unicode_escape").decode("ascii"), str(text))


def check_number(name, value, least=0.0, below=float("inf")):
    """Return a number from ``least`` on and below ``below``, or raise SettingError.

    >>> check_number("momentum", 0.9, below=1)
    0.9
    """
    try:
        good = not isinstance(value, (bool, str)) and least <= float(value) < below
    except (TypeError, ValueError):
        good = False
    if not good:
        end = "" if below == float("inf") else f" and below {below:g}"
        raise SettingError(f"{name}: expected a number of {least:g} or more{end}, got "
                           f"{value!r}.")
    return value


def check_seed(seed):
    """Return ``seed`` as an int, or raise SettingError."""
    if not isinstance(seed, numbers.Integral) or isinstance(seed, bool) or seed < 0:
        raise SettingError(f"seed: expected a whole number >= 0, got {seed!r}.")
    return int(seed)


def check_count(name, value):
    """Return ``value`` as an int >= 1, or raise SettingError."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        raise SettingError(f"{name}: expected a whole number >= 1, got {value!r}.")
    return int(value)
