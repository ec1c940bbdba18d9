"""Who is drawn and what the face does: identities and action units.

Two things make a drawn face: the *person* (bones, hair, skin, light), which
says nothing about the expression, and the *action units* of the Facial Action
Coding System (FACS), the muscle movements that say all of it. They are drawn
from separate random streams, so that a network must tell them apart.

Faces are measured in face units: half the width of the head is 1, x runs to
the right of the picture, y downwards, and the eyes lie at y = 0. The sides of
a face are 0 (left in the picture) and 1 (right in the picture).

References
----------
* P. Ekman, W. Friesen and J. Hager (2002): Facial Action Coding System.
* P. Lucey et al. (2010): The Extended Cohn-Kanade Dataset (CK+). CVPR
  Workshops. Table 1 lists the action units that define each emotion.
"""

import dataclasses

import numpy as np

__all__ = ["EMOTIONS", "Person", "draw_person", "draw_peak", "intensities"]

#: The emotions in the order of their CK+ codes 1 to 7.
EMOTIONS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness",
            "surprise")

#: One past the largest action unit used, so that ``units[number]`` works.
NUM_UNITS = 28

HAIR_STYLES = ("cropped", "swept", "fringe", "long", "bald")

# Action unit -> intensity at the peak, after [1] and [2]. 1 inner brow raiser,
# 2 outer brow raiser, 4 brow lowerer, 5 upper lid raiser, 6 cheek raiser, 7 lid
# tightener, 9 nose wrinkler, 10 upper lip raiser, 12 lip corner puller, 14
# dimpler, 15 lip corner depressor, 16 lower lip depressor, 17 chin raiser,
# 20 lip stretcher, 23 lip tightener, 24 lip pressor, 25 lips part, 26 jaw
# drop, 27 mouth stretch.
_PEAKS = {
    "anger": {4: 1.0, 5: 0.45, 7: 0.8, 17: 0.4, 23: 0.8, 24: 1.1},
    "contempt": {12: 0.8, 14: 1.0},
    "disgust": {4: 0.4, 6: 0.3, 7: 0.5, 9: 1.0, 10: 0.9, 15: 0.3, 16: 0.4, 25: 0.5},
    "fear": {1: 1.0, 2: 0.5, 4: 0.7, 5: 1.0, 20: 1.0, 25: 0.8, 26: 0.3},
    "happiness": {6: 0.9, 12: 1.0, 25: 0.9},
    "sadness": {1: 1.1, 4: 0.8, 15: 1.2, 17: 0.7},
    "surprise": {1: 1.0, 2: 1.0, 5: 0.8, 25: 0.6, 26: 0.6, 27: 0.7},
}


@dataclasses.dataclass(frozen=True)
class Person:
    """What stays the same in all pictures of a subject (lengths: face units)."""

    crown: float            # height of the head above the eyes
    chin: float             # height of the face below the eyes
    jaw: float              # exponent of the outline: 1.9 pointed, 2.6 square
    taper: float            # how much narrower the jaw is than the cheekbones
    eye_x: float            # half the distance between the pupils
    eye_width: float        # half the width of an eye
    eye_open: float         # height of the upper lid above the corners
    eye_tilt: float         # how much higher the outer corner is
    iris: float             # brightness of the iris, 0 black to 1 white
    lid_crease: float       # distance of the crease above the upper lid
    brow_y: float           # height of the brow above the eyes
    brow_arch: float
    brow_slope: float       # how much lower the inner end is
    brow_thick: float
    brow_dark: float        # 0 invisible to 1 black
    nose_y: float           # base of the nose below the eyes
    nose_width: float       # half the width at the nostrils
    nose_bridge: float      # relief of the bridge
    mouth_y: float
    mouth_width: float      # half the width
    mouth_rest: float       # corners of the resting mouth: up positive
    lip_upper: float
    lip_lower: float
    lip_dark: float
    skin: float             # albedo, 0 black to 1 white
    blotches: float         # strength of the skin's texture
    age: float              # 0 smooth to 1 lined
    cheeks: float           # relief of the cheekbones
    hair: float             # albedo
    hair_style: str         # one of HAIR_STYLES
    hair_part: float        # where the hair is parted, -1 left to 1 right
    hair_line: float        # height of the hairline above the eyes
    beard: float            # 0 shaved to 1 full
    moustache: float
    glasses: bool
    shirt: float            # brightness of the clothes
    wave: np.ndarray        # (3,) phases of the lines on the forehead
    expressive: np.ndarray  # (NUM_UNITS,) personal gain of every action unit


def draw_person(rng):
    """Draw a :class:`Person` from ``rng`` (a NumPy generator)."""
    u, n = rng.uniform, rng.normal
    male = rng.random() < 0.5
    skin = u(0.38, 0.78)
    age = u(0, 1) ** 1.5
    hair = u(0.04, 0.25) if rng.random() < 0.7 else u(0.25, 0.6)
    odds = (.47, .37, .1, 0, .06) if male else (.05, .3, .2, .45, 0)
    style = str(rng.choice(HAIR_STYLES, p=odds))
    bearded = male and rng.random() < 0.3
    return Person(
        crown=u(1.28, 1.42), chin=u(1.36, 1.52), jaw=u(2.0, 2.5) + 0.15 * male,
        taper=u(0.07, 0.18) - 0.04 * male,
        eye_x=u(0.39, 0.45), eye_width=u(0.19, 0.225), eye_open=u(0.085, 0.115),
        eye_tilt=n(0.015, 0.015), iris=u(0.08, 0.45), lid_crease=u(0.03, 0.07),
        brow_y=u(0.27, 0.34), brow_arch=u(0.02, 0.07), brow_slope=n(0.01, 0.02),
        brow_thick=u(0.035, 0.06) + 0.02 * male, brow_dark=u(0.65, 0.95),
        nose_y=u(0.54, 0.63), nose_width=u(0.2, 0.28), nose_bridge=u(0.6, 1.2),
        mouth_y=u(0.86, 0.94), mouth_width=u(0.32, 0.4), mouth_rest=n(0.0, 0.015),
        lip_upper=u(0.05, 0.1), lip_lower=u(0.08, 0.14), lip_dark=u(0.2, 0.45),
        skin=skin, blotches=u(0.2, 1.0), age=age, cheeks=u(0.3, 1.0),
        hair=hair, hair_style=style, hair_part=u(-0.6, 0.6), hair_line=u(0.78, 0.98),
        beard=u(0.3, 0.9) if bearded else male * u(0, 0.2),
        moustache=u(0.3, 0.9) if bearded else 0.0,
        glasses=bool(rng.random() < 0.08), shirt=u(0.1, 0.9), wave=u(0, 6, 3),
        expressive=np.clip(n(1.0, 0.1, NUM_UNITS), 0.75, 1.25))


def draw_peak(emotion, person, rng):
    """Draw the intensity of every action unit at the peak of ``emotion``.

    Returns
    -------
    ndarray
        (NUM_UNITS, 2), one column a side. Contempt moves one side only; the
        others are lopsided by a few per cent.
    """
    peak = np.zeros((NUM_UNITS, 2))
    for unit, value in _PEAKS[emotion].items():
        peak[unit] = value
    peak *= (person.expressive * rng.uniform(0.85, 1.15, NUM_UNITS))[:, None]
    peak *= rng.uniform(0.92, 1.08, (NUM_UNITS, 2))
    if emotion == "contempt":
        peak[:, rng.integers(2)] = 0
    peak *= rng.uniform(0.92, 1.12)
    stray = rng.normal(0, 0.04, (NUM_UNITS, 1))  # movements that mean nothing
    return np.clip(peak + np.clip(stray, 0, 0.15), 0, 1.25)


def intensities(count, rng):
    """Ramp of ``count`` frames from 0 (neutral) to 1 (peak), an S-curve.

    The last 30 % of the frames lie above 0.75, so that they show the label.
    """
    time = np.linspace(0, 1, count)
    onset = rng.uniform(0.0, 0.12)
    apex = rng.uniform(0.72, 0.9)
    s = np.clip((time - onset) / (apex - onset), 0, 1)
    return s * s * (3 - 2 * s)
