"""The model of commands that were given none."""

import sys

from ..models import PRETRAINED

__all__ = ["MODEL", "named"]

#: Help of an option --model.
MODEL = ("a model file, as minifer train writes it; default: the model that comes with "
         "minifer (docs/model-card.md)")


def named(path):
    """The path, or that of the model in the box, which is then said."""
    if path is None:
        print("no --model is given: judging by the model that comes with minifer",
              file=sys.stderr)
    return path or PRETRAINED
