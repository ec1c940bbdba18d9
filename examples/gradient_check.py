"""See that every gradient is right: python examples/gradient_check.py

A network learns from gradients that people have derived by hand, and a sign
error there does not crash: the network just learns badly. So each gradient is
measured by small steps and compared: here first one of them, by hand; then, as
`minifer gradcheck` does, every layer of the library on a small random input,
and the whole headline network, 3,641,191 parameters.
"""

import sys

import numpy as np

from minifer import layers, objectives, random
from minifer.commands import gradcheck
from minifer.commands.cli import ArgumentParser, run


def by_hand(step=1e-5):
    """One weight's gradient: as the network computes it, and as measured."""
    raise NotImplementedError


def main(argv=None, prog="gradient_check.py"):
    """Check by hand, then everything; return the exit code."""
