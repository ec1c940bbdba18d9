"""How fast is minifer here? minifer bench [--against torch] [options].

Times training steps and inference, on random data, and compares with PyTorch if it is
installed. This is the script bench.py of examples/.
"""

from . import script as load


def script(argv, parser):
    """Run it."""
    load("bench").main(argv, parser.prog)
