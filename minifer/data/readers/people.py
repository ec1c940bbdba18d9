"""Who is on a photo, where its name tells, as the names of known data sets do.

In a folder a class, as CK+48 is passed around, the three last frames of a sequence
stand side by side, and a random split puts a person on both sides.

>>> person_of("S010_004_00000019.png")
Person(data_set='CK+', subject='S010', sequence='S010_004')
>>> person_of("AF01ANS.JPG").subject, person_of("KA.AN1.39.tiff").subject
('F01', 'KA')
>>> person_of("Training_10019449.jpg")
"""

import os
import re
from collections import Counter
from typing import NamedTuple

import numpy as np

__all__ = ["Person", "person_of", "people"]


class Person(NamedTuple):
    """Whom the name of a file names; the sequence is None if each photo is its own."""

    data_set: str
    subject: str
    sequence: "str | None"


_CODES = "AN|DI|FE|HA|NE|SA|SU"

#: Data set -> how its names begin. What comes after may be an ending, or the mark of
#: a copy. Groups: the subject; the frames of one sequence, or views of one pose.
_NAMES = {
    # S010_004_00000019.png: subject, sequence, frame.
    "CK+": r"(?P<sequence>(?P<subject>S\d{3,4})_\d{3})_\d{8}(?!\d)",
    # KA.AN1.39.tiff: subject, expression and take, number.
    "JAFFE": rf"(?P<subject>[A-Z]{{2}})\.(?:{_CODES})\d\.\d{{1,3}}(?!\d)",
    # AF01ANS.JPG: session, sex and number, expression, angle.
    "KDEF": r"(?P<sequence>[AB](?P<subject>[FM]\d\d)(?:AF|AN|DI|HA|NE|SA|SU))"
            r"(?:FL|HL|S|HR|FR)(?![A-Z\d])",
    # Rafd090_01_Caucasian_female_angry_frontal.jpg: angle, subject, ..., gaze.
    "RaFD": r"Rafd\d{3}_(?P<sequence>(?P<subject>\d\d)_[A-Z]+_[A-Z]+_[A-Z]+_"
            r"(?:frontal|left|right))(?![A-Z\d])",
    # 01F_AN_C.BMP: subject and sex, expression, mouth.
    "NimStim": r"(?P<subject>\d\d[FM])_(?:AN|CA|DI|FE|HA|NE|SA|SP|SU)_[COX](?![A-Z\d])",
    # F0001_AN01WH_F2D.bmp: subject, expression and strength, group, kind of file.
    "BU-3DFE": rf"(?P<subject>[FM]\d{{4}})_(?:{_CODES})\d\d[A-Z]{{2}}_F[23]D(?!\w)"}

_PATTERNS = {name: re.compile(text, re.IGNORECASE) for name, text in _NAMES.items()}


def person_of(path):
    """The person whom a file's name names, or None.

    Parameters
    ----------
    path : str

    Returns
    -------
    Person or None
    """
    for data_set, pattern in _PATTERNS.items():
        match = pattern.match(os.path.basename(path))
        if match:
            found = match.groupdict()
            sequence = found.get("sequence")
            return Person(data_set, found["subject"].upper(),
                          sequence and sequence.upper())
    return None


def people(names, copies):
    """Subjects and sequences of images, from their names and from what is the same.

    Parameters
    ----------
    names : ndarray (N,) of str
        The files of the images.
    copies : int ndarray (N,)
        The first image with the same pixels as each.

    Returns
    -------
    subjects, sequences : ndarray (N,) of str
        Images with the same pixels have one subject, even if their names differ. Where
        a name tells nothing, an image's subject is the first that looks the same, and
        its sequence is itself.
    note : str
        How many people the names tell of; empty if none.
    """
    names = names.tolist()
    found = [person_of(name) for name in names]
    keys = [name if person is None else person.subject
            for name, person in zip(names, found)]
    known, leader = {person.subject for person in found if person}, {}

    def lead(key):
        while key in leader:
            key = leader[key]
        return key

    for key, first in zip(keys, copies):
        one, other = lead(keys[first]), lead(key)
        if one != other:
            if other in known and one not in known:  # a person rather than a file
                one, other = other, one
            leader[other] = one
    subjects = [lead(key) for key in keys]
    sequences = [name if person is None or person.sequence is None else person.sequence
                 for name, person in zip(names, found)]
    return np.array(subjects), np.array(sequences), _note(found)


def _note(found):
    named = [person for person in found if person]
    if not named:
        return ""
    sets = Counter(person.data_set for person in named)
    return (f"{len({one.subject for one in named}):,d} people by the names of "
            f"{len(named):,d} files ({', '.join(sets)})"
            + (f"; {len(found) - len(named):,d} files tell of none"
               if len(named) < len(found) else ""))
