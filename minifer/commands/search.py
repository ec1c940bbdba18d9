"""Look for good settings of a training: minifer search [options].

This is the script search.py of examples/.
"""

from . import script as load


def script(argv, parser):
    """Run it."""
    load("search").main(argv, parser.prog)
