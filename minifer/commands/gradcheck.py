"""See that every gradient is right: minifer gradcheck [--device emu].

Measures the gradient of every layer by small steps and compares; exit code 1 if one
is wrong. This is the script gradient_check.py of examples/.
"""

from . import script as load


def script(argv, parser):
    """Run it."""
    return 0 if load("gradient_check").main(argv, parser.prog) else 1
