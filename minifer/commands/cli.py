"""The command ``minifer``, and what all commands share.

Errors take one line. Exit codes are 0: done; 1: the task failed, or a check found
something; 2: wrong use or wrong input; 130: stopped by Ctrl-C; 141: the reader of its
output has gone, as in ``minifer doctor | head -1``.
"""

import argparse
import os
import sys

from .._version import __version__
from ..errors import MiniferError
from . import COMMANDS, GROUPS, command

__all__ = ["ArgumentParser", "main", "run"]


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
        print(f"{self.prog}: error: {message}. See --help.", file=sys.stderr)
        sys.exit(2)


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
    parser = ArgumentParser(
        prog="minifer", usage="%(prog)s [-h] [--version] COMMAND [options]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Deep learning to be read, and facial expressions.\n\n"
        + _overview(), epilog=FIRST_STEPS)
    parser.add_argument("--version", action="version", version=f"minifer {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND",
                        help="one of those above")
    name = parser.parse_args(argv[:1]).command
    run(lambda: _call(name, argv[1:]))


def _overview():
    """The commands by group."""
    lines = []
    for title, names in GROUPS.items():
        known = [name for name in names if name in COMMANDS]
        lines += [f"{title}:"] * bool(known)
        lines += [f"  {name:<10} {COMMANDS[name]}" for name in known]
    return "\n".join(lines)


def _call(name, argv):
    module = command(name)
    parser = ArgumentParser(prog=f"minifer {name}", description=module.__doc__,
                            formatter_class=_Help)
    if hasattr(module, "script"):
        return module.script(argv, parser)
    module.arguments(parser)
    return module.main(parser.parse_args(argv))


def run(main):
    """Call ``main()`` and exit with the code it returns, or 0 for anything else.

    A MiniferError becomes one line and code 2.
    """
    if hasattr(sys.stdout, "reconfigure"):  # names of files may be no valid Unicode
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = main()
        sys.stdout.flush()  # a closed pipe shows here, not when Python ends
    except MiniferError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stop:  # its text may say what was saved
        print(str(stop) or "stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # such as ``| head``: say nothing, neither now nor at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    if type(code) is int and code:  # a script may return its results, or a bool
        sys.exit(code)
