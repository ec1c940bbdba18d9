"""Train a network: minifer train ck | fer2013 | transfer [options].

  ck        the headline network, on drawn faces or your own CK+
  fer2013   a network for FER2013's 48x48 faces
  transfer  a new head on a frozen ResNet

`minifer train ck --help` shows the options. These are the scripts train_ck.py,
train_fer2013.py and train_transfer.py of examples/, made to be read.
"""

from . import script as load

SCRIPTS = {"ck": "train_ck", "fer2013": "train_fer2013", "transfer": "train_transfer"}


def script(argv, parser):
    """Run the script that the first word names."""
    parser.add_argument("what", choices=SCRIPTS)
    args = parser.parse_args(argv[:1])
    load(SCRIPTS[args.what]).main(argv[1:], f"{parser.prog} {args.what}")
