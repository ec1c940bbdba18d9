"""The command ``minifer``, and what all commands share.

Errors take one line. Exit codes are 0: done; 1: the task failed, or a check found
something; 2: wrong use or wrong input, or no room for the output; 130: stopped by
Ctrl-C; 141: the reader of its output has gone, as in ``minifer doctor | head -1``.
"""

import argparse
import atexit
import contextlib
import inspect
import os
import re
import sys

from .._version import __version__
from ..errors import MiniferError, check_count, visible
from ..files import release_folders
from ..ranks import end, fail_early
from . import COMMANDS, GROUPS, command

__all__ = ["ArgumentParser", "StreamError", "main", "run", "run_script"]


class _Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Show defaults in the help, where they say something."""

    def _get_help_string(self, action):
        if action.default is None or action.default is False:
            return action.help
        return super()._get_help_string(action)


class _Help(_Defaults, argparse.RawDescriptionHelpFormatter):
    """A command's docstring as it is written, and defaults."""


class ArgumentParser(argparse.ArgumentParser):
    """Argparse with errors of one line and defaults shown in the help."""

    def __init__(self, **kwargs):
        kwargs.setdefault("formatter_class", _Defaults)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(**kwargs)

    def error(self, message):
        print(f"{self.prog}: error: {_line(message)}. See --help.", file=sys.stderr)
        sys.exit(2)

    def parse_known_args(self, args=None, namespace=None):
        """Refuse empty words too: an unset variable of a shell leaves such a one."""
        args = sys.argv[1:] if args is None else list(args)
        found, others = super().parse_known_args(args, namespace)
        for name, value in vars(found).items():
            words = value if isinstance(value, list) else [value]
            if "" in words and value != self.get_default(name):
                option = f"--{name.replace('_', '-')}"
                given = any(word.partition("=")[0] == option for word in args)
                self.error(f"{option if given else name}: expected a value, got an "
                           "empty one")
        return found, others


#: Said below the list of commands.
FIRST_STEPS = """\
first steps:
  minifer doctor                      is all there, and does it work?
  minifer train ck                    train the headline network on drawn faces
  minifer data audit fer2013.csv      what is wrong with this data set?

`minifer COMMAND --help` explains each command. What is asked for goes to standard
output, progress and errors to standard error; --json prints for machines. Exit codes:
0 done, 1 the task failed or a check found something, 2 wrong use or wrong input."""


def main(argv=None):
    """Run ``minifer COMMAND [options]``, and exit."""
    argv = sys.argv[1:] if argv is None else list(argv)
    run(lambda: _call(argv))


def _overview():
    """The commands by group."""
    lines = []
    for title, names in GROUPS.items():
        known = [name for name in names if name in COMMANDS]
        lines += [f"{title}:"] * bool(known)
        lines += [f"  {name:<10} {COMMANDS[name]}" for name in known]
    return "\n".join(lines)


def _call(argv):
    parser = ArgumentParser(
        prog="minifer", usage="%(prog)s [-h] [--version] COMMAND [options]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Deep learning to be read, and facial expressions.\n\n"
        + _overview(), epilog=FIRST_STEPS)
    parser.add_argument("--version", action="version", version=f"minifer {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND",
                        help="one of those above")
    name, argv = parser.parse_args(argv[:1]).command, argv[1:]
    module = command(name)
    parser = ArgumentParser(prog=f"minifer {name}", description=module.__doc__,
                            formatter_class=_Help)
    if hasattr(module, "script"):
        return module.script(argv, parser)
    module.arguments(parser)
    return module.main(parser.parse_args(argv))


def run(main):
    """Call ``main()`` and exit with the code it returns, or 0 for anything else.

    A MiniferError becomes one line and code 2. What is printed meanwhile shows what
    would control the terminal; folders that are held are let go at the end.
    """
    with contextlib.ExitStack() as stack:
        stack.push(_fail_early)
        stack.enter_context(contextlib.redirect_stdout(_Out(sys.stdout)))
        stack.enter_context(contextlib.redirect_stderr(_Err(sys.stderr)))
        stack.callback(release_folders)
        code = _ended(main)
        if isinstance(code, SystemExit):
            raise code
        if type(code) is int and code:  # a script may return its results, or a bool
            sys.exit(code)


def _fail_early(kind, error, trace):
    """Tell the launcher of an end that is none, in case other ranks wait for this one.
    """
    code = error.code if isinstance(error, SystemExit) else error and 1
    if code and any(word.partition("=")[0] == "--ranks" for word in sys.argv):
        # When all has been printed, a traceback too.
        atexit.register(fail_early, code if isinstance(code, int) else 1)


def run_script(main, argv=None):
    """Run a script whose options are the parameters of its ``main``, and exit.

    Parameters
    ----------
    main : function
        ``main(epochs=30, out="runs/story")`` has options ``--epochs`` and ``--out``:
        whole numbers from 1 on, and texts. The first paragraph of its docstring is the
        help.
    argv : list of str, optional
        Words of the command line.
    """
    def called():
        parser = ArgumentParser(description=inspect.getdoc(main).partition("\n\n")[0])
        defaults = {name: one.default
                    for name, one in inspect.signature(main).parameters.items()}
        for name, default in defaults.items():
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(default),
                                default=default, help="a whole number" if
                                isinstance(default, int) else "a text")
        chosen = vars(parser.parse_args(argv))
        for name, value in chosen.items():
            if isinstance(value, int):
                check_count(f"--{name.replace('_', '-')}", value)
        main(**chosen)  # what it returns is for those who call it in Python

    run(called)


def _ended(main):
    """What ``main()`` returned or exits with, or the code of its error, told."""
    try:
        try:
            code = main()
        except SystemExit as end:
            code = end
        sys.stdout.flush()  # a closed pipe shows here, not when Python ends
        return code
    except MiniferError as error:
        return _told(f"error: {_line(error)}", 2)
    except KeyboardInterrupt as stop:  # its text may say what was saved
        return _told(str(stop) or "stopped", 130)
    except StreamError as error:
        sys.stdout.abandon()
        if error.pipe:
            return 141
        return _told(f"error: standard output could not be written ({error}).", 2)
    except OSError as error:  # of a file that no reader of ours explained
        name = f"{error.filename}: " if error.filename is not None else ""
        return _told(f"error: {name}{_line(error.strerror or error)}.", 2)


def _told(text, code):
    if end(text, code):  # once, if there are many ranks
        with contextlib.suppress(StreamError):
            print(text, file=sys.stderr)
    try:
        sys.stdout.flush()  # what came before the error
    except StreamError:
        sys.stdout.abandon()
    return code


def _line(text):
    """A message on one line; blanks within the names in it stay."""
    return visible(re.sub(r"\s*\n\s*", " ", str(text).strip()))


class StreamError(Exception):
    """Standard output or error cannot be written; no OSError, which blames a file.

    Attributes
    ----------
    pipe : bool
        Whether that is because its reader has gone.
    """

    def __init__(self, error):
        super().__init__(error.strerror or str(error))
        self.pipe = isinstance(error, BrokenPipeError)


class _Out:
    """Standard output that shows controls of the terminal rather than sends them."""

    keeps = "\n\t"

    def __init__(self, stream):
        self.stream = stream  # None in a program that was started without one
        if hasattr(stream, "reconfigure"):  # names of files may be no valid Unicode
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        with self.errors():
            if self.stream is not None:
                self.stream.write(self.shown(text))
        return len(text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self):
        with self.errors():
            if self.stream is not None:
                self.stream.flush()

    def isatty(self):
        return self.stream is not None and self.stream.isatty()

    def shown(self, text):
        return visible(text, self.keeps)

    @contextlib.contextmanager
    def errors(self):
        try:
            yield
        except OSError as error:
            raise StreamError(error) from error

    def abandon(self):
        """Let what is still to be written go nowhere, now and when Python ends."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.stream.fileno())
            os.close(null)


class _Err(_Out):
    """The same of standard error; it goes quiet where there is no room for it."""

    def shown(self, text):
        if text[:1] == "\r":  # a bar that is drawn again
            return "\r" + super().shown(text[1:])
        return super().shown(text)

    @contextlib.contextmanager
    def errors(self):
        try:
            yield
        except BrokenPipeError as error:
            raise StreamError(error) from error
        except OSError:
            self.abandon()
