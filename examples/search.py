"""Search for good settings: python examples/search.py --space lr=log:1e-4:1e-1

With --data each trial is a run of train_fer2013.py, without it one of train_ck.py, on
drawn faces or on --images and --labels. This is the command `minifer search`, and
minifer/commands/search.py is where it is told.
"""

import sys

from minifer.commands import search
from minifer.commands.cli import ArgumentParser, run


def main(argv=None, prog="search.py"):
    """Search with the options; return the result."""
    argv = sys.argv[1:] if argv is None else argv
    return search.script(argv, ArgumentParser(prog=prog,
                                              description=__doc__.split("\n")[0]))


if __name__ == "__main__":
    run(main)
