"""Every reader that minifer has: a valid file of its kind, and what is read from it.

Each reads as a user would: a model's file up to the judgement of a photo, a checkpoint
up to the next epoch. What comes back is split in two: the structure (shapes, names,
types), and the numbers.
"""

from fuzz.readers.base import Reader, Wrong
from fuzz.readers.own import OWN
from fuzz.readers.pictures import PICTURES
from fuzz.readers.sets import SETS
from fuzz.readers.weights import WEIGHTS

__all__ = ["Reader", "Wrong", "READERS"]

READERS = [*WEIGHTS, *SETS, *PICTURES, *OWN]
