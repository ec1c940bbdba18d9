"""Words that mean the same: names of classes, of parts and of a table's columns.

>>> meaning("Happy"), meaning("joy"), meaning(" very_odd ")
('happiness', 'happiness', 'very odd')
>>> alike(["anger", "Happy", "angry", "happy", "sad"])
[['anger', 'angry'], ['Happy', 'happy']]
>>> part_of("PublicTest"), part_of("Train"), part_of("sometimes")
('validation', 'train', None)
"""

import re

__all__ = ["SPLIT_WORDS", "COLUMN_WORDS", "MERGE_ALIKE", "meaning", "alike",
           "spelled_as", "part_of"]

#: What the option --merge-alike of the commands means.
MERGE_ALIKE = ("make one class of class folders whose names mean the same, such as "
               "Happy and happy, or anger and angry; unless given, they are named")

#: Emotion -> other words for it, in small letters.
SYNONYMS = {
    "anger": ("angry", "enraged"),
    "contempt": ("contemptuous", "scorn"),
    "disgust": ("disgusted",),
    "fear": ("fearful", "afraid", "scared"),
    "happiness": ("happy", "joy", "joyful"),
    "sadness": ("sad",),
    "surprise": ("surprised",),
    "neutral": ("neutrality",)}

#: Words for the parts of a data set, in small letters without blanks.
SPLIT_WORDS = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "publictest": "validation",
    "test": "test", "testing": "test", "privatetest": "test"}

#: Column of FER2013's table -> other names for it.
COLUMN_WORDS = {"emotion": ("label", "class"), "pixels": ("pixel",),
                "usage": ("split", "part", "set")}

_MEANINGS = {word: emotion for emotion, words in SYNONYMS.items()
             for word in (emotion, *words)}


def meaning(name):
    """What the name of a class means: an emotion, or its own words in small letters."""
    plain = " ".join(re.split(r"[\s_\-]+", name.casefold())).strip()
    return _MEANINGS.get(plain, plain)


def alike(names):
    """Those of several names that mean the same, as lists of two or more."""
    found: dict = {}
    for name in dict.fromkeys(names):
        found.setdefault(meaning(name), []).append(name)
    return [group for group in found.values() if len(group) > 1]


def spelled_as(name, classes):
    """The one of ``classes`` that a name means, or None; its own spelling first."""
    if name in classes:
        return name
    same = [one for one in classes if meaning(one) == meaning(name)]
    exact = [one for one in same if one.casefold() == name.casefold()]
    return next(iter([*exact, *same]), None)


def part_of(word):
    """The part that a word of a table or a folder names, or None."""
    return SPLIT_WORDS.get(re.sub(r"[\s_\-]+", "", word.casefold()))
