"""A student's file: loaded, and called so that what goes wrong has a line number."""

import ast
import difflib
import inspect
import io
import os
import stat
import sys
import tokenize
import traceback
import types
import warnings

from ..errors import SettingError, one_line

__all__ = ["Fault", "Student", "told"]

MOST = 10**6  # bytes of a file


class Fault(Exception):
    """What is wrong with a student's file, in one line."""


class Student:
    """A student's file.

    Parameters
    ----------
    path : str

    Attributes
    ----------
    module : module
        Once loaded.
    lines : dict of str -> int
        Where each function and class begins.
    """

    def __init__(self, path):
        self.path = os.path.abspath(path)

    def load(self):
        """Read, compile and run the file."""
        source = self._read()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of escapes such as "\\d"
                tree = ast.parse(source, self.path)
                code = compile(tree, self.path, "exec")
        except SyntaxError as error:
            where = f"line {error.lineno}: " if error.lineno else ""
            raise Fault(f"{where}{error.msg}.") from error
        except ValueError as error:
            raise Fault(f"the file is no Python text: {one_line(error)}.") from error
        except (RecursionError, MemoryError) as error:
            raise Fault("the file is nested too deeply for Python to read.") from error
        self.lines = {node.name: node.lineno for node in tree.body
                      if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        self.module = types.ModuleType("student")
        self.module.__file__ = self.path
        sys.modules["student"] = self.module  # dataclasses look there
        folder = os.path.dirname(self.path)
        if folder not in sys.path:
            sys.path.append(folder)  # for its neighbours; none hides a library
        self.run(exec, code, vars(self.module))

    def _read(self):
        try:
            kind = os.stat(self.path).st_mode
            if not stat.S_ISREG(kind):  # to open a FIFO would wait for ever
                what = "a folder" if stat.S_ISDIR(kind) else "a device or a pipe"
                raise SettingError(
                    f"{self.path}: expected a Python file, got {what}.")
            with open(self.path, "rb") as file:
                data = file.read(MOST + 1)
        except OSError as error:
            raise SettingError(f"{self.path}: expected a Python file, got "
                               f"'{error.strerror or error}'.") from error
        if len(data) > MOST:
            raise SettingError(f"{self.path}: expected a Python file of at most "
                               f"{MOST:,} bytes, got a longer one.")
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
            text = io.TextIOWrapper(io.BytesIO(data), encoding)
            return text.read()
        except (SyntaxError, UnicodeError, LookupError) as error:
            raise Fault("the file is no UTF-8 text, and does not say its encoding: "
                        f"{one_line(error)}. Save it as UTF-8.") from error

    def need_function(self, name, arguments):
        """A fault unless the file defines a function that takes these arguments."""
        function = getattr(self.module, name, None)
        if not inspect.isroutine(function):
            close = difflib.get_close_matches(name, self.lines, 1)
            hint = f" Line {self.lines[close[0]]} defines {close[0]}." if close else ""
            raise Fault(f"expected a function {name}({arguments}), found none.{hint}")
        try:
            signature = inspect.signature(function)
        except ValueError:  # a builtin that does not say
            return
        try:
            signature.bind(*arguments.split(", "))
        except TypeError:
            raise Fault(f"line {self.lines.get(name, 1)}: expected "
                        f"{name}({arguments}), got {name}{signature}.") from None

    def call(self, name, *arguments):
        """What the file's function returns; a fault if it raises."""
        return self.run(getattr(self.module, name), *arguments)

    def run(self, function, *arguments):
        """Call anything that ends in the student's code."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an overflow shows in the result
                return function(*arguments)
        except BaseException as error:  # SystemExit too, and a student's own
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
                     if frame.filename == self.path]
            where = f"line {lines[-1]}: " if lines else ""
            raise Fault(f"{where}{told(error)}") from error


def told(error):
    """An error's type and text in one line, even if it cannot say its text."""
    try:
        text = one_line(error)
    except BaseException:  # its own __str__ may raise anything
        text = "it has no text"
    return f"{type(error).__name__}: {text}"
