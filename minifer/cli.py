"""What all commands share: one-line errors and exit codes.

0: done; 2: wrong use or wrong input, said in one line; 130: stopped by Ctrl-C.
"""

import argparse
import sys

from .errors import MiniferError

__all__ = ["ArgumentParser", "run"]


class ArgumentParser(argparse.ArgumentParser):
    """Argparse with errors of one line and defaults shown in the help."""

    def __init__(self, **kwargs):
        kwargs.setdefault("formatter_class", argparse.ArgumentDefaultsHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(**kwargs)

    def error(self, message):
        print(f"{self.prog}: error: {message}. See --help.", file=sys.stderr)
        sys.exit(2)


def run(main):
    """Call ``main()`` and exit; a MiniferError becomes one line and code 2."""
    try:
        main()
    except MiniferError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stop:  # its text may say what was saved
        print(str(stop) or "stopped", file=sys.stderr)
        sys.exit(130)
