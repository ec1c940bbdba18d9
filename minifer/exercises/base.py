"""What every exercise is: a text, a template, and checks in order.

A check is a function that raises :class:`Fault` if it finds one, and may return a
note. The first fault ends the examination: what follows would only repeat it.
"""

import inspect
import time
from typing import NamedTuple

import numpy as np

from ..errors import SettingError
from .student import Fault, Student, told

__all__ = ["Exercise", "Finding", "against", "as_result", "check_like", "compare",
           "is_like", "name_mistake", "same", "seconds"]


class Finding(NamedTuple):
    """What one check found: its title, whether it passed, and a text ('' for none)."""

    check: str
    passed: bool
    text: str


class Exercise:
    """An exercise.

    Parameters
    ----------
    module : str
        Name of the module that holds it; its last part names the exercise.
    functions : dict of str -> (str, str)
        The functions that a student's file must define: names -> arguments, results,
        as they would be written in a program.
    text : str
        What the student reads: the module's docstring.
    """

    def __init__(self, module, functions, text):
        self.name = module.rpartition(".")[2]
        self.functions = functions
        self.text = inspect.cleandoc(text)

    def template(self):
        """A file to begin with, str."""
        parts = [f'"""{self.text}\n\nTry it: minifer check {self.name} FILE\n"""\n\n'
                 "import numpy as np\n"]
        for name, (arguments, results) in self.functions.items():
            parts.append(
                f'\n\ndef {name}({arguments}):\n    """Return {results}."""\n'
                f'    raise NotImplementedError("{name} is yours to write")\n')
        return "".join(parts)

    def examine(self, path, began=lambda title: None):
        """Run a file in this process, check after check.

        Parameters
        ----------
        path : str
        began : function
            Called with the title of each check before it starts.

        Yields
        ------
        Finding
            Up to the first that has not passed.
        """
        student = Student(path)
        checks = [("the file loads", lambda: self.load(student)), *self.checks(student)]
        for title, check in checks:
            began(title)
            try:
                note = check()
            except Fault as fault:
                yield Finding(title, False, _plain(fault))
                return
            except Exception as error:  # of what came from the file, or of what it did
                if title == checks[0][0] and isinstance(error, SettingError):
                    raise  # there is no file to read
                yield Finding(title, False, _plain(
                    f"the check itself failed on what came from the file: {told(error)}"
                ))
                return
            yield Finding(title, True, _plain(note or ""))

    def load(self, student):
        """The first check: the file defines what it should."""
        student.load()
        for name, (arguments, _) in self.functions.items():
            student.need_function(name, arguments)

    def checks(self, student):
        """List of (title, function) after the first."""
        raise NotImplementedError


def _plain(text):
    """A text that every terminal can show: one line, not too long, no control codes."""
    text = " ".join(str(text).split())
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode()
                   for c in text)
    return text if len(text) <= 1000 else text[:999] + "…"


def as_result(name, value):
    """What a student returned, as an array; a fault if it is none."""
    if value is None:
        raise Fault(f"{name}: expected an array, got None. Is a return missing?")
    try:
        value = np.asarray(value)
    except Exception as error:
        raise Fault(f"{name}: expected an array, got a {type(value).__name__} that is "
                    f"none: {told(error)}") from error
    if value.dtype.kind not in "biuf":
        raise Fault(f"{name}: expected an array of numbers, got {value.dtype}.")
    return value


def same(a, b):
    """Whether two arrays agree in shape and, but for rounding, in their values."""
    if a.shape != b.shape:
        return False
    size = np.abs(b)[np.isfinite(b)]
    return np.allclose(a, b, rtol=1e-6, atol=1e-8 * size.max(initial=1e-3),
                       equal_nan=True)


def is_like(got, expected):
    """Whether an array has the right shape and, unless it is one number, type."""
    return got.shape == expected.shape and (not got.ndim or got.dtype == expected.dtype)


def check_like(name, got, expected, like):
    """A fault unless :func:`is_like`; ``like`` says whose type it should have."""
    if got.shape != expected.shape:
        raise Fault(f"{name}: expected shape {expected.shape}, got {got.shape}.")
    if not is_like(got, expected):
        raise Fault(f"{name}: expected {expected.dtype} as {like} has, got "
                    f"{got.dtype}. np.zeros and np.array make float64 unless told "
                    f"dtype={like}.dtype.")


def compare(name, rows, mistakes=None):
    """A fault unless all results are right; it names the mistake if it is a known one.

    Parameters
    ----------
    name : str
        Name of the result, such as 'dW'.
    rows : list of (str, tuple, array, array)
        For each case its label, the arguments for the mistakes, what is expected and
        what came.
    mistakes : dict of str -> function
        What completes "dW is ..." -> what that mistake gives for the arguments.
    """
    name_mistake(name, rows, mistakes)
    if not _all_right(rows):
        raise Fault(_worst(name, rows))


def name_mistake(name, rows, mistakes=None):
    """A fault if results, as in :func:`compare`, are those of a known mistake."""
    if _all_right(rows):  # where mistakes that show in other cases are right, too
        return
    for phrase, mistake in (mistakes or {}).items():
        if all(_matches(mistake, arguments, got) for _, arguments, _, got in rows):
            raise Fault(f"{name} is {phrase}.")
    for phrase, factor in (("minus the right one: look for a sign", -1),
                           ("zero everywhere", 0), ("half of the right one", 0.5),
                           ("twice the right one", 2)):
        if all(same(got, factor * expected) for _, _, expected, got in rows):
            raise Fault(f"{name} is {phrase}.")


def _all_right(rows):
    return all(same(got, expected) for _, _, expected, got in rows)


def _matches(mistake, arguments, got):
    """Whether a mistake gives what came; one that cannot be made here does not."""
    try:
        with np.errstate(all="ignore"):
            return same(np.asarray(mistake(*arguments)), got)
    except (ValueError, IndexError):
        return False


def _worst(name, rows):
    """The element that is farthest off, in the first case that is wrong."""
    label, _, expected, got = next(r for r in rows if not same(r[3], r[2]))
    if got.shape != expected.shape:
        return f"{name}: expected shape {expected.shape}, got {got.shape} ({label})."
    with np.errstate(invalid="ignore"):
        off = np.abs(got - expected)
    place = np.unravel_index(np.argmax(np.where(np.isnan(off), np.inf, off)), off.shape)
    index = f"[{', '.join(map(str, place))}]" if place else ""
    return (f"{name}{index}: expected {expected[place]:.6g}, got {got[place]:.6g}; "
            f"the farthest off ({label}).")


def seconds(function, repeat=3):
    """The shortest of ``repeat`` runs, in seconds; of one run if that takes 1 s."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
        if best > 1:
            break
    return best


def against(mine, house):
    """A note that holds two times against each other, both in seconds."""
    ratio = mine / house
    words = (f"{ratio:.1f} times as long" if ratio >= 1.05 else
             "as long" if ratio > 0.95 else f"{1 / ratio:.1f} times as fast")
    return f"{1e3 * mine:.2f} ms, minifer's {1e3 * house:.2f} ms: {words}"
