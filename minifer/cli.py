"""The command ``minifer``, and what all commands share.

Errors take one line. Exit codes are 0: done; 1: the task failed; 2: wrong use or wrong
input; 130: stopped by Ctrl-C.
"""

import argparse
import sys

from ._version import __version__
from .commands import COMMANDS, command
from .errors import MiniferError

__all__ = ["ArgumentParser", "main", "run"]


class ArgumentParser(argparse.ArgumentParser):
    """Argparse with errors of one line and defaults shown in the help."""

    def __init__(self, **kwargs):
        kwargs.setdefault("formatter_class", argparse.ArgumentDefaultsHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(**kwargs)

    def error(self, message):
        print(f"{self.prog}: error: {message}. See --help.", file=sys.stderr)
        sys.exit(2)


class _Help(argparse.ArgumentDefaultsHelpFormatter,
            argparse.RawDescriptionHelpFormatter):
    """A command's docstring as it is written, and defaults."""


def main(argv=None):
    """Run ``minifer COMMAND [options]``, and exit."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = ArgumentParser(
        prog="minifer", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Deep learning to be read, and facial expressions.",
        epilog="commands:\n" + "\n".join(f"  {name:<10} {text}"
                                         for name, text in COMMANDS.items())
        + "\n\n`minifer COMMAND --help` explains each.")
    parser.add_argument("--version", action="version", version=f"minifer {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    name = parser.parse_args(argv[:1]).command
    run(lambda: _call(name, argv[1:]))


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
    try:
        code = main()
    except MiniferError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stop:  # its text may say what was saved
        print(str(stop) or "stopped", file=sys.stderr)
        sys.exit(130)
    if type(code) is int and code:  # a script may return its results, or a bool
        sys.exit(code)
