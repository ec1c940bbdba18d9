"""Train a network: minifer train ck | fer2013 | transfer [options].

  ck        the headline network, on drawn faces or your own CK+
  fer2013   a network for FER2013's 48x48 faces
  transfer  a new head on a frozen ResNet

`minifer train ck --help` shows the options. The scripts train_ck.py, train_fer2013.py
and train_transfer.py of examples/ do the same step by step, made to be read.
"""

from .. import runs
from .cli import ArgumentParser

EXPERIMENTS = {"ck": "CK", "fer2013": "FER2013", "transfer": "Transfer"}


def script(argv, parser):
    """Run the experiment that the first word names."""
    parser.add_argument("what", choices=EXPERIMENTS)
    what = parser.parse_args(argv[:1]).what
    experiment = getattr(runs, EXPERIMENTS[what])
    experiment.start(argv[1:], ArgumentParser(prog=f"{parser.prog} {what}",
                                              description=experiment.__doc__)).run()
